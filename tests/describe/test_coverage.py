"""What no drawing of a set shows, by its captions."""

from comics_genai import world
from comics_genai.describe import coverage


def test_what_the_six_drawings_lack_is_sitting_anger_and_plain_paper(girl):
    found = coverage.coverage([study.caption for study in girl])
    missing = {factor: values for factor, values in found.missing.items() if values}
    assert missing == {"legs": ["sitting"], "expression": ["angry"], "background": ["on plain paper"]}
    assert (found.combinations, found.possible) == (6, 5 * 4 * 4 * 3 * 4 * 7)
    assert coverage.sentences(found)[0] == "Never seen, legs: sitting."


def test_the_worlds_words_are_all_of_its_factors():
    assert [len(values) for values in coverage.WORLD.values()] == [
        *map(len, world.POSE_FACTORS.values()),
        len(world.BACKGROUNDS),
    ]


def test_foreign_captions_are_held_against_common_words():
    said = ["A fox sits in the woods, facing left.", "", "The fox, angry, runs down a street by night"]
    found = coverage.coverage(said)
    assert not found.is_world and found.captions == 2
    seen = {value for values in found.counts.values() for value, count in values.items() if count}
    assert seen == {"sitting", "running", "left", "angry", "a forest", "a street", "night"}
    assert "standing" in coverage.sentences(found)[0]


def test_without_captions_that_is_what_is_said():
    assert "no captions" in coverage.sentences(coverage.coverage(["", " "]))[0]
