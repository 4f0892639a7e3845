"""Captions are found wherever people keep them; what is not used is told, and what is no caption is refused."""

import json
import unicodedata
import warnings
from pathlib import Path

import PIL.Image
import pytest

from comics_genai import drawings
from comics_genai.errors import UserError


def write(folder: Path, files: dict[str, object]) -> Path:
    """A folder of these files: pictures (None), texts, bytes, and rows of JSON."""
    for i, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            PIL.Image.new("RGB", (64, 64), (20 * i, 9, 9)).save(path)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def load(folder: Path, **options) -> tuple[dict[str, str], list[str]]:
    """Captions by name, and what was told."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = drawings.load(folder, **options)
    return {drawing.name: drawing.caption for drawing in found}, [str(note.message) for note in notes]


TWO = {"00.png": None, "01.png": None}
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))


def row(name: str, **columns) -> dict:
    return {"file_name": name, **columns}


FOUND = {
    "text files": ({**TWO, "00.txt": "one\n", "01.txt": "\ufefftwo"}, {}, ["one", "two"]),
    "caption files in any case": ({**TWO, "00.caption": "one", "01.TXT": "two\nlines"}, {}, ["one", "two\nlines"]),
    ".captions": ({**TWO, "00.captions": "one"}, {}, ["one", ""]),
    "UTF-16 of Windows' editor": ({**TWO, "00.txt": "é".encode("utf-16")}, {}, ["é", ""]),
    "a table in capitals": ({**TWO, "Metadata.CSV": "file_name,text\n00.png,one\n"}, {}, ["one", ""]),
    "NAME.png.txt": ({**TWO, "00.png.txt": "one"}, {}, ["one", ""]),
    "metadata.jsonl, text": ({**TWO, "metadata.jsonl": [row("00.png", text=" one ")]}, {}, ["one", ""]),
    "metadata.jsonl, caption": ({**TWO, "metadata.jsonl": [row("./00.png", caption="one")]}, {}, ["one", ""]),
    "a column of one's own": (
        {**TWO, "metadata.jsonl": [row("00.png", text="no", note="one")]}, {"caption_column": "note"}, ["one", ""],
    ),
    "line separators within a caption": (
        {**TWO, "metadata.jsonl": [row("00.png", text="one\u2028line\x85or\x0ctwo")]}, {},
        ["one\u2028line\x85or\x0ctwo", ""],
    ),
    "a byte-order mark": ({**TWO, "metadata.jsonl": b'\xef\xbb\xbf{"file_name": "00.png", "text": "one"}'}, {},
                          ["one", ""]),
    "metadata.csv": ({**TWO, "metadata.csv": 'file_name,prompt\r\n00.png,"one, ""two"""\r\n01.png,\r\n'}, {},
                     ['one, "two"', ""]),
    "a spreadsheet's csv": ({**TWO, "metadata.csv": "\ufefffile_name;text\n00.png;one, two\n"}, {}, ["one, two", ""]),
    "no value": ({**TWO, "metadata.jsonl": [row("00.png", text=None), row("01.png", text="two")]}, {}, ["", "two"]),
    "at the root": (
        {"train/00.png": None, "train/01.png": None, "metadata.jsonl": [row("train/00.png", text="one"),
                                                                       row("01.png", text="two")]},
        {}, ["one", "two"],
    ),
    "in train, from above it": (
        {"train/00.png": None, "train/01.png": None, "train/metadata.jsonl": [row("train/00.png", text="one"),
                                                                             row("01.png", text="two")]},
        {}, ["one", "two"],
    ),
    "a Windows path": (
        {"train/00.png": None, "train/01.png": None, "metadata.csv": "file_name,text\ntrain\\00.png,one"},
        {}, ["one", ""],
    ),
    "a decomposed name": ({DECOMPOSED: None, "01.png": None, "metadata.jsonl": [row(COMPOSED, text="one")]}, {},
                          ["", "one"]),
    "a composed name": ({COMPOSED: None, "01.png": None, f"{DECOMPOSED[:-4]}.txt": "one"}, {}, ["", "one"]),
    "pictures below": ({"below/00.png": None, "below/01.png": None,
                        "metadata.jsonl": [row(f"below/0{i}.png", text=str(i)) for i in range(2)]}, {}, ["0", "1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_captions_are_found_where_people_keep_them(name, tmp_path):
    files, options, captions = FOUND[name]
    found, notes = load(write(tmp_path, files), **options)
    assert list(found.values()) == captions and notes == []


TOLD = {
    "a missing picture": ({**TWO, "metadata.jsonl": [row("00.png", text="a"), row("gone.png", text="b")]}, ["a", ""],
                          "metadata.jsonl captions gone.png, which is not there."),
    "a caption file of no picture": ({**TWO, "05.txt": "x"}, ["", ""], "05.txt belongs to no picture."),
    "two captions": ({**TWO, "metadata.jsonl": [row("00.png", text="a")], "00.txt": "b"}, ["a", ""],
                     "00.txt is not used, since the same pictures have other captions too."),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_captions_that_are_not_used_are_told(name, tmp_path):
    files, captions, note = TOLD[name]
    found, notes = load(write(tmp_path, files))
    assert list(found.values()) == captions and notes == [note]


REFUSED = {
    "a number": ({"metadata.jsonl": [row("00.png", text="a"), row("01.png", text=7)]}, {},
                 '"text" in line 2 of .*metadata.jsonl is 7, not a text'),
    "a list": ({"metadata.jsonl": [row("00.png", caption=["a"])]}, {}, '"caption" in line 1 of .* not a text'),
    "twice": ({"metadata.jsonl": [row("00.png", text="a"), row("00.png", text="b")]}, {}, "captions 00.png twice"),
    "outside": ({"metadata.jsonl": [row("../00.png", text="a")]}, {}, "which is outside its folder"),
    "outside by a drive": ({"metadata.jsonl": [row("C:\\00.png", text="a")]}, {}, "which is outside its folder"),
    "no file name": ({"metadata.jsonl": [{"image": "00.png", "text": "a"}]}, {}, 'Line 1 .* the text "file_name"'),
    "no caption column": ({"metadata.jsonl": [row("00.png", label="a")]}, {},
                          "none of the columns text, caption, prompt, only file_name, label"),
    "no such column": ({"metadata.jsonl": [row("00.png", text="a")]}, {"caption_column": "note"},
                       "has no column 'note', only file_name, text"),
    "no object": ({"metadata.jsonl": ["00.png"]}, {}, "Line 1 of .* is no object"),
    "no JSON": ({"metadata.jsonl": '{"file_name": "00.png", "text": "a"}\n{"file_name"\n'}, {}, "Line 2 of .* JSON"),
    "deep JSON": ({"metadata.jsonl": "[" * 100_000}, {}, "Line 1 of .* is not JSON"),
    "a comma too many": ({"metadata.csv": "file_name,text\n00.png,a girl, jumping\n"}, {},
                         "Line 2 of .* more cells than its head: put a caption that holds ',' in double quotes"),
    "Latin": ({"00.txt": "café".encode("latin-1")}, {}, "00.txt is not UTF-8"),
    "half a character": ({"metadata.jsonl": '{"file_name": "00.png", "text": "a \\ud83d girl"}\n'}, {},
                         '"text" in line 1 of .* holds half a character'),
    "megabytes": ({"00.txt": b"x" * 10_000_000}, {}, "00.txt has 10,000,000 bytes"),
    "megabytes in a table": ({"metadata.jsonl": [row("00.png", text="x" * 10_000_000)]}, {},
                             "a caption of 10,000,000 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_caption_is_refused_with_its_place(name, tmp_path):
    files, options, sentence = REFUSED[name]
    with pytest.raises(UserError, match=sentence):
        drawings.load(write(tmp_path, TWO | files), **options)


@pytest.mark.parametrize(
    ("captions", "line"),
    [
        ("", "3 drawings, no captions"),
        ("abc", "3 drawings, 3 captions"),
        ("ab", "3 drawings, 2 captions (02.png has none)"),
        ("a", "3 drawings, 1 caption (01.png, 02.png have none)"),
    ],
)
def test_one_line_says_what_was_loaded(captions, line, tmp_path):
    files = {f"0{i}.png": None for i in range(3)} | {f"0{i}.txt": text for i, text in enumerate(captions)}
    assert drawings.told(drawings.load(write(tmp_path, files))) == line
