"""Scores are told in words, and a record of another shape tells nothing."""

import pytest

from comics_genai.publishing.gallery.scores import scores_in_words


def test_scores_say_what_is_right_and_what_is_wrong():
    scores = {
        "right": {"hair_color": True, "left_arm": False},
        "identity": 0.75,
        "joint_error": 0.031,
        "nearest_reference": 2,
        "copied": True,
        "joint_success": False,
    }
    told = scores_in_words(scores)
    assert told["right"] == ["hair colour"] and told["wrong"] == ["left arm"]
    assert told["numbers"] == {"character right": 0.75, "distance of joints": 0.031}
    assert told["shares"] == ["character right"]
    assert told["sentences"] == [
        "The character and the pose are not both right.",
        "It counts as a copy of one of the drawings.",
    ]


@pytest.mark.parametrize("scores", [None, "good", [1], {}])
def test_without_scores_nothing_is_told(scores):
    told = scores_in_words(scores)
    assert not any(told.values())
