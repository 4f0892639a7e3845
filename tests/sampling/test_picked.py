"""The list of picked pictures: what is read, and the one sentence for what is not."""

import json

import pytest

from comics_genai.errors import UserError
from comics_genai.sampling.picked import read_picked
from tests.gallery_runs import save_picture


def saved(folder, content):
    file = folder / "picked.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def listed(*names):
    return {"format": "comics-genai-picked", "version": 1, "pictures": list(names)}


def test_the_pictures_come_in_their_order_each_once_from_json_and_from_lines(tmp_path):
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / "run" / name, 0)
    expected = [tmp_path / "run" / "b.png", tmp_path / "run" / "a.png"]
    assert read_picked(saved(tmp_path, listed("run/b.png", "run/a.png", "run/b.png")), tmp_path) == expected
    assert read_picked(saved(tmp_path, "# mine\nrun/b.png\n\nrun/a.png\n"), tmp_path) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (listed("../secret.png"), "outside the gallery"),
        (listed("/etc/hostname"), "outside the gallery"),
        (listed("run/gone.png"), "no such picture"),
        (listed(), "names no picture"),
        ("", "names no picture"),
        ('{"format": "comics-genai-picked", "ver', "cut off or not JSON"),
        ({"pictures": []}, "not a list of picked pictures"),
        ({**listed(), "pictures": [1]}, "no list of paths"),
    ],
)
def test_another_list_is_one_sentence(tmp_path, content, sentence):
    save_picture(tmp_path / "gallery" / "run" / "a.png", 0)
    save_picture(tmp_path / "secret.png", 0)
    with pytest.raises(UserError, match=sentence):
        read_picked(saved(tmp_path, content), tmp_path / "gallery")


def test_a_list_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_picked(tmp_path / "picked.json", tmp_path)
