"""The command that a picture comes with makes the same file again."""

import shlex

import pytest

from comics_genai.__main__ import main
from comics_genai.publishing.gallery.commands import command_of
from comics_genai.publishing.gallery.records import read_folder

HOSTILE = "--a girl; rm -rf $HOME `x` \"quoted\" 'too'\nnext"


def again(folder, name):
    """Run the command of a picture of `folder`, as a shell would split it; returns the new file's bytes."""
    records, _ = read_folder(folder, folder.name)
    fields = next(record.fields for record in records if record.path.name == name)
    words = shlex.split(command_of(fields))
    assert words[:3] == ["python", "-m", "comics_genai"]
    assert main(words[3:]) == 0
    return next((folder.parent / "6_generated" / "again").glob(name)).read_bytes()


def test_the_shipped_miniature_draws_the_same_bytes_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--steps", "2", "--scheduler", "dpm++", "--negative=-blue", "--folder", "first"]
    assert main(["generate", "--base", "mini", f"--prompt={HOSTILE}", "--seeds", "0-1", *options]) == 0
    picture = next(path for path in (tmp_path / "first").glob("*-1-*.png"))
    assert again(tmp_path / "first", picture.name) == picture.read_bytes()


def test_a_fine_tuned_run_draws_the_same_bytes_again(tmp_path, monkeypatch, character_folder):
    monkeypatch.chdir(tmp_path)
    tune = ["--drawings", str(character_folder), "--base", "mini", "--steps", "1", "--run", "runs/ann"]
    assert main(["finetune", *tune]) == 0
    drawn = ["--prompt", "a drawing of UnicornGirl, a girl", "--seeds", "3", "--steps", "2", "--folder", "first"]
    assert main(["generate", "runs/ann", *drawn]) == 0
    picture = next((tmp_path / "first").glob("*-3-*.png"))
    assert again(tmp_path / "first", picture.name) == picture.read_bytes()


@pytest.mark.parametrize(
    "more",
    [
        {"base": ""},
        {"seed": None},
        {"seed": True},
        {"prompt": 1},
        {"start": "sketch.png"},
        {"adapter": {"a": 1}},
        {"adapter": ["a", "b"], "strength": [1.0, 0.5]},
    ],
)
def test_a_record_that_no_command_can_repeat_has_none(more):
    assert command_of({"base": "mini", "prompt": "a girl", "seed": 0} | more) == ""
