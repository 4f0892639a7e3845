"""A folder is understood as people lay it out, and no file in it is passed over in silence."""

import warnings
from pathlib import Path

import PIL.Image
import pytest

from comics_genai import drawings
from comics_genai.errors import UserError


def write(folder: Path, *names: str) -> Path:
    """Pictures of these names, each of another colour."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"tga": "TGA", "jfif": "JPEG", "gif": "GIF"}.get(path.suffix.lower()[1:], "PNG")
        PIL.Image.new("RGB", (64, 64), (25 * i, 9, 9)).save(path, kind)
    return folder


def load(folder: Path) -> tuple[list[drawings.Drawing], list[str]]:
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = drawings.load(folder)
    return found, [str(note.message) for note in notes]


LAYOUTS = {
    "flat, any suffix": (["A.PNG", "b.Jfif", "c.tga", "nameless", "e.gif"], ["A.PNG", "b.Jfif", "c.tga", "e.gif",
                                                                              "nameless"], [1] * 5),
    "train": (["train/a.png", "train/b.png"], ["a.png", "b.png"], [1, 1]),
    "kohya's": (["10_sks girl/a.png", "5_side/b.png", "5_side/c.png"],
                ["10_sks girl/a.png", "5_side/b.png", "5_side/c.png"], [2, 1, 1]),
    "kohya's in train": (["train/3_sks/a.png", "train/3_sks/b.png"], ["3_sks/a.png", "3_sks/b.png"], [1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_understood(name, tmp_path):
    files, names, repeats = LAYOUTS[name]
    found, notes = load(write(tmp_path, *files))
    assert [drawing.name for drawing in found] == names
    assert [drawing.repeats for drawing in found] == repeats
    assert [note for note in notes if "folders' numbers" not in note] == []
    assert any("10_sks girl 10 times, 5_side 5 times" in note for note in notes) == (name == "kohya's")


def test_links_are_followed(tmp_path):
    write(tmp_path / "elsewhere", "a.png", "b.png")
    (tmp_path / "folder").mkdir()
    for name in ("a", "b"):
        (tmp_path / "folder" / f"{name}.png").symlink_to(tmp_path / "elsewhere" / f"{name}.png")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert [drawing.name for drawing in load(tmp_path / "link")[0]] == ["a.png", "b.png"]


TOLD = {
    "other files": (lambda folder: (folder / "notes.md").write_text("x"), "notes.md in {} is not used, being no"),
    "a caption that links to nowhere": (
        lambda folder: (folder / "a.txt").symlink_to("gone.txt"), "a.txt in {} is not used"),
    "a link to nowhere": (lambda folder: (folder / "c.png").symlink_to("gone.png"), "c.png in {} is not used"),
    "captions of another name": (lambda folder: (folder / "metadata1000.jsonl").write_text("{}"),
                                 "metadata1000.jsonl in {} is not used: captions are read from metadata.jsonl or "),
    "a hidden picture": (lambda folder: write(folder, ".c.png"), ".c.png in {} is hidden and not used."),
    "a folder of more": (lambda folder: write(folder / "more", "c.png"), "The folder more in {} is not read."),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_is_not_used_is_told(name, tmp_path):
    make, note = TOLD[name]
    make(write(tmp_path, "a.png", "b.png"))
    found, notes = load(tmp_path)
    assert len(found) == 2 and len(notes) == 1 and notes[0].startswith(note.format(tmp_path))


def test_what_systems_leave_behind_and_cards_are_not_worth_a_word(tmp_path):
    write(tmp_path, "a.png", "b.png")
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes(b"x")
    assert load(tmp_path)[1] == []


@pytest.mark.parametrize("name", ["a.heic", "a.SVG", "a.clip", "a.pdf", "a.eps"])
def test_kinds_that_cannot_be_read_are_named(tmp_path, name):
    (write(tmp_path, "a.png", "b.png") / name).write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(UserError, match=f"{name} in .* is of a kind that cannot be read here: save as PNG"):
        drawings.load(tmp_path)


def test_a_folder_above_the_drawings_is_told_where_they_are_and_too_many_are_refused(tmp_path):
    write(tmp_path / "images", "a.png", "b.png")
    with pytest.raises(UserError, match="There are no pictures in .*: give .*images, which has some"):
        drawings.load(tmp_path)
    for i in range(1001):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    with pytest.raises(UserError, match="1,001 pictures in .*, and 1,000 are the most"):
        drawings.load(tmp_path)
