import pytest

from comics_genai.studies.cast import means


def test_means_are_of_what_all_records_have():
    records = [
        {"prompt": 0, "noise": 1, "identity": 0.5, "copied": True, "pose": None, "file": "a"},
        {"prompt": 1, "noise": 2, "identity": 1.0, "copied": False, "pose": None, "file": "b"},
    ]
    assert means(records) == {"identity": pytest.approx(0.75), "copied": 0.5}
