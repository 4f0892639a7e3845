"""Read a folder of drawings: flat, with train/, or with kohya's 10_name/. Every file is used, or named in a warning."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comics_genai import environment
from comics_genai.drawings.caption_files import BESIDE, TABLES, captions_of, is_table, listed
from comics_genai.drawings.opening import UNREADABLE, is_picture, suffixes
from comics_genai.errors import UserError

MINIMUM_DRAWINGS = 2
MAXIMUM_DRAWINGS = 1000  # a character is learnt from a few drawings; a folder with more is another kind of data set
KOHYA = re.compile(r"(\d{1,4})_(.+)")  # in a folder "10_sks girl" every picture counts ten times
LEFT_BEHIND = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".gitattributes", ".gitignore", ".gitkeep"})
LIKE_TABLES = frozenset({".jsonl", ".json", ".csv", ".tsv", ".parquet"})  # captions, perhaps, under another name
CARDS = re.compile(r"(README|LICEN[CS]E)(\.\w+)?", re.IGNORECASE)


@dataclass
class Survey:
    """A folder's pictures by name, in order, with captions and repeats, and notes on files that are not used."""

    pictures: dict[str, Path]
    captions: dict[str, str]
    repeats: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def folder_of(source: str | Path) -> Path | None:
    """The folder that `source` names, here or in the repository; None if it may be the id of a dataset."""
    found = environment.find(source)
    if found is not None and found.is_file():
        raise UserError(f"{found} is a file: give the folder that holds the drawings.")
    return found


def files_of(folder: Path, column: str = "") -> dict[str, tuple[Path, str]]:
    """A folder's pictures by name, in order, each with its caption ("" for none).

    Warns of files that are not used. Raises UserError as `load` does.
    """
    found = survey(folder, column)
    tell(found.notes)
    return {name: (path, found.captions.get(name, "")) for name, path in found.pictures.items()}


def tell(notes: Sequence[str]) -> None:
    """Warn of the files that are not used, in one sentence each."""
    for note in notes:
        warnings.warn(f"{note}.", stacklevel=4)


def survey(folder: Path, column: str = "") -> Survey:
    """List what is in the folder, see `Survey`.

    Raises UserError for fewer than two pictures, or for files of a kind that cannot be read here.
    """
    root, notes, repeats = None, [], {}
    pictures = _pictures(folder, notes)
    if not pictures and (folder / "train").is_dir():
        root, folder = folder, folder / "train"
        pictures = _pictures(folder, notes)
    if not pictures:
        pictures, repeats = _kohya(folder, notes)
    captions = captions_of(folder, pictures, column, root)
    pictures |= captions.pictures
    _check_count(len(pictures), folder)
    notes += _unread_folders(folder, pictures) + captions.notes
    ordered = {name: pictures[name] for name in sorted(pictures)}
    return Survey(ordered, captions.by_name, repeats, notes)


def _pictures(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Names and paths of the pictures in the folder; links are followed."""
    known, found, others, foreign, hidden, tables = suffixes(), {}, [], [], [], []
    for path in sorted(folder.iterdir()):
        name, suffix = path.name, path.suffix.lower()
        if path.is_dir() or name.startswith("._") or name in LEFT_BEHIND or CARDS.fullmatch(name):
            continue
        if path.is_file() and (is_table(name) or (suffix in BESIDE and not name.startswith("."))):
            continue  # captions, which `captions_of` reads
        if not path.is_file():
            others.append(name)  # such as a broken link or a pipe
        elif name.startswith("."):
            hidden += [name] if is_picture(path) else []
        elif suffix in UNREADABLE and not is_picture(path):
            foreign.append(name)
        elif suffix in known or is_picture(path):
            found[name] = path
        else:
            (tables if suffix in LIKE_TABLES else others).append(name)
    if foreign:
        raise UserError(
            f"{listed(foreign)} in {folder} {_is(foreign)} of a kind that cannot be read here: save as PNG."
        )
    if others:
        notes.append(f"{listed(others)} in {folder} {_is(others)} not used, being no {_plural('picture', others)}")
    if tables:
        read = " or ".join(TABLES)
        notes.append(f"{listed(tables)} in {folder} {_is(tables)} not used: captions are read from {read}")
    if hidden:
        notes.append(f"{listed(hidden)} in {folder} {_is(hidden)} hidden and not used")
    return found


def _kohya(folder: Path, notes: list[str]) -> tuple[dict[str, Path], dict[str, int]]:
    """The pictures in kohya's folders 10_name/ below `folder`, and how often each counts."""
    found, repeats, read = {}, {}, []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        layout = KOHYA.fullmatch(place.name)
        if layout and int(layout[1]) > 0 and (inside := _pictures(place, notes)):
            names = {f"{place.name}/{name}": path for name, path in inside.items()}
            found |= names
            repeats |= dict.fromkeys(names, int(layout[1]))
            read.append(f"{place.name} {layout[1]} times")
    if read:
        notes.append(
            f"The drawings count by their folders' numbers ({listed(read)}); the folders' names are no captions"
        )
    return found, repeats


def _unread_folders(folder: Path, pictures: dict[str, Path]) -> list[str]:
    """Notes on the subfolders whose pictures are not used."""
    used = {path.parent for path in pictures.values()}
    places = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    unread = [
        path.name for path in places if path not in used and not used & set(path.rglob("*")) and _any_picture(path)
    ]
    return [f"The folder {listed(unread)} in {folder} is not read"] if unread else []


def _any_picture(folder: Path) -> bool:
    known = suffixes()
    return any(path.suffix.lower() in known for path in folder.iterdir())


def _check_count(count: int, folder: Path) -> None:
    if count == 0:
        below = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and _any_picture(path)]
        hint = f"give {folder / below[0]}, which has some" if below else f"put at least {MINIMUM_DRAWINGS} there"
        raise UserError(f"There are no pictures in {folder}: {hint}.")
    check_count(count, str(folder))


def check_count(count: int, place: str) -> None:
    """Raise UserError unless `count` drawings are enough to learn from, and not too many to hold."""
    if count < MINIMUM_DRAWINGS:
        found = "is only one picture" if count else "are no pictures"
        raise UserError(f"There {found} in {place}: put at least {MINIMUM_DRAWINGS} there.")
    if count > MAXIMUM_DRAWINGS:
        raise UserError(
            f"There are {count:,} pictures in {place}, and {MAXIMUM_DRAWINGS:,} are the most: choose the best."
        )


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _plural(noun: str, names: Sequence[str]) -> str:
    return noun if len(names) == 1 else f"{noun}s"
