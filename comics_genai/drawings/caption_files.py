"""Read captions: from NAME.txt or NAME.caption beside NAME.png, from metadata.jsonl or from metadata.csv.

{"file_name": "00.png", "text": "a girl, jumping"}      a line of metadata.jsonl; "caption" or "prompt" serve too
"""

import codecs
import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from comics_genai.drawings.captions import MAXIMUM_CAPTION
from comics_genai.errors import UserError
from comics_genai.paths import encodable

METADATA = "metadata.jsonl"
TABLES = (METADATA, "metadata.csv")
BESIDE = (".txt", ".caption", ".captions")  # suffixes, in any case; the first that exists counts
COLUMNS = ("text", "caption", "prompt")  # columns of a table; the first that exists counts
MAXIMUM_TABLE = 50_000_000  # bytes


@dataclass
class Captions:
    """Captions by picture name, pictures that only a table names, and notes on files that are not used."""

    by_name: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def captions_of(folder: Path, pictures: Mapping[str, Path], column: str = "", root: Path | None = None) -> Captions:
    """The captions of the pictures in `folder`, by their names there.

    Names in Unicode's composed and decomposed form are equal. column: the column of tables, by default the first of
    COLUMNS. root: a folder above that may hold tables too. Raises UserError, which names the place, for a caption that
    is not a text or is given twice, a name outside the folder, or a table that cannot be read.
    """
    found = Captions()
    places = dict.fromkeys([folder, *(path.parent for path in pictures.values()), *([root] if root else [])])
    tables = [path for place in places for path in sorted(place.iterdir()) if is_table(path.name) and path.is_file()]
    index = {normal(path.relative_to(folder).as_posix()): name for name, path in pictures.items()}
    for table in tables:
        _take_table(found, table, folder, index, column)
    if column and not tables:
        found.notes.append(f"The column {column!r} is not used: {folder} has neither {' nor '.join(TABLES)}")
    _take_files_beside(found, pictures | found.pictures)
    return found


def is_table(name: str) -> bool:
    """Whether a file of this name, in any case, is a table of captions."""
    return name.lower() in TABLES


def normal(name: str) -> str:
    """A file's name in the form in which names are compared: composed Unicode, forward slashes, no leading ./."""
    return PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).as_posix()


def caption_text(value: Any, place: str) -> str:
    """The caption in a `value` that was read at `place`, "" for none.

    Raises UserError if it is not a text, or is too long.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{place} is {json.dumps(value, default=str)[:60]}, not a text: put the caption in quotes.")
    if not encodable(value):
        raise UserError(f"{place} holds half a character: write the caption anew.")
    if len(value) > MAXIMUM_CAPTION:
        raise UserError(
            f"{place} is a caption of {len(value):,} characters, and {MAXIMUM_CAPTION:,} are the most: shorten it."
        )
    return value.strip()


def _take_table(found: Captions, table: Path, folder: Path, index: Mapping[str, str], column: str) -> None:
    rows = list(_rows(table))
    keys = list(dict.fromkeys(key for _, row in rows for key in row))
    chosen = column or next((name for name in COLUMNS if name in keys), "")
    if rows and chosen not in keys:
        problem = f"no column {column!r}" if column else f"none of the columns {', '.join(COLUMNS)}"
        raise UserError(
            f"{table} has {problem}, only {', '.join(keys)}: name the one with the captions by --caption-column."
        )
    absent = []
    for line, row in rows:
        given = row.get("file_name")
        if not (isinstance(given, str) and given):
            raise UserError(f'Line {line} of {table} needs the text "file_name", the picture that it captions: add it.')
        name, picture = _picture(table, line, given, folder, index)
        if name is None:
            absent.append(given)
            continue
        if picture is not None:
            found.pictures[name] = picture
        text = caption_text(row.get(chosen), f'"{chosen}" in line {line} of {table}')
        if name in found.by_name:
            raise UserError(f"{table} captions {given} twice, again in line {line}: leave one.")
        found.by_name[name] = text
    if absent:
        found.notes.append(f"{table.name} captions {listed(absent)}, which {_is(absent)} not there")


def _picture(
    table: Path, line: int, given: str, folder: Path, index: Mapping[str, str]
) -> tuple[str | None, Path | None]:
    """The name of a row's picture, None if it is not there; and its path, if the table alone names it."""
    name = normal(given)
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or ":" in name[:2]:
        raise UserError(f"Line {line} of {table} names {given}, which is outside its folder: copy it there.")
    below_named = name.removeprefix(f"{normal(folder.name)}/")  # some count from the folder above the pictures' own
    for place, below in dict.fromkeys([(table.parent, name), (folder, name), (folder, below_named)]):
        path = _on_disk(place, below)
        if path is not None and path.is_relative_to(folder):
            below = normal(path.relative_to(folder).as_posix())
            return (index[below], None) if below in index else (path.relative_to(folder).as_posix(), path)
    return None, None


def _on_disk(place: Path, name: str) -> Path | None:
    """The file of that name in `place`, in whichever form of Unicode the disk stores its name."""
    path = place
    for part in PurePosixPath(name).parts:
        exact = path / part
        if not exact.exists():
            if not path.is_dir():
                return None
            exact = next((entry for entry in path.iterdir() if normal(entry.name) == part), None)
            if exact is None:
                return None
        path = exact
    return path if path.is_file() else None


def _rows(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and rows of a table."""
    if table.stat().st_size > MAXIMUM_TABLE:
        raise UserError(f"{table} has {table.stat().st_size / 1e6:.0f} MB, too many for captions: is it another file?")
    text = read_text(table)
    if table.suffix.lower() == ".csv":
        yield from _csv_rows(table, text)
        return
    # Only a line feed ends a line, because texts in JSON may hold Unicode's other line separators.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"Line {number} of {table} is not JSON ({error}): write one object a line.") from error
        if not isinstance(row, dict):
            raise UserError(f'Line {number} of {table} is no object: write {{"file_name": ..., "text": ...}}.')
        yield number, row


def _csv_rows(table: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)  # in countries with a decimal comma, spreadsheets separate cells by ;
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if None in row:
                raise UserError(
                    f"Line {reader.line_num} of {table} has more cells than its head: put a caption that holds "
                    f"{delimiter!r} in double quotes."
                )
            yield reader.line_num, {(key or "").strip(): value for key, value in row.items()}
    except csv.Error as error:
        raise UserError(f"Line {reader.line_num} of {table} cannot be read ({error}): write it anew as CSV.") from error


def _take_files_beside(found: Captions, pictures: Mapping[str, Path]) -> None:
    by_place: dict[Path, dict[str, Path]] = {}
    for path in pictures.values():
        by_place.setdefault(path.parent, _caption_files(path.parent) if path.parent not in by_place else {})
    used, ignored = set(), []
    for name, path in pictures.items():
        files = by_place[path.parent]
        stems = [normal(path.stem), normal(path.name)]
        beside = [files[key] for suffix in BESIDE for stem in stems if (key := stem + suffix) in files]
        used.update(beside)
        for i, file in enumerate(dict.fromkeys(beside)):
            text = caption_text(_short_text(file), str(file))
            if found.by_name.get(name) and text not in ("", found.by_name[name]):
                ignored.append(file.name)
            elif i == 0 or not found.by_name.get(name):
                found.by_name[name] = found.by_name.get(name) or text
    if ignored:
        found.notes.append(
            f"{listed(ignored)} {_is(ignored)} not used, since the same pictures have other captions too"
        )
    orphans = sorted(file.name for files in by_place.values() for file in files.values() if file not in used)
    if orphans:
        found.notes.append(f"{listed(orphans)} {'belongs' if len(orphans) == 1 else 'belong'} to no picture")


def _caption_files(place: Path) -> dict[str, Path]:
    """The files in `place` that may be captions, by stem and suffix in the form in which they are compared."""
    files = sorted(path for path in place.iterdir() if path.suffix.lower() in BESIDE and not path.name.startswith("."))
    return {normal(path.stem) + path.suffix.lower(): path for path in files if path.is_file()}


def _short_text(path: Path) -> str:
    if path.stat().st_size > 4 * MAXIMUM_CAPTION:
        raise UserError(
            f"{path} has {path.stat().st_size:,} bytes, and a caption has at most {MAXIMUM_CAPTION:,} characters: "
            "shorten it."
        )
    return read_text(path)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, or of a UTF-16 file with a byte-order mark, which Windows' editor calls "Unicode".

    Raises UserError for any other encoding.
    """
    try:
        content = path.read_bytes()
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file and its rights.") from error


def listed(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
