"""A character's drawings, from a folder or the Hub: checked, upright, on paper, padded to squares, with captions.

drawings.load("1_data/unicorn_girl")     a folder, with train/ and metadata.jsonl or flat
drawings.load("owner/name")              a dataset on the Hugging Face Hub
"""

import math
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from comics_genai.drawings import hub
from comics_genai.drawings.caption_files import listed
from comics_genai.drawings.folder import check_count, folder_of, survey, tell
from comics_genai.drawings.opening import MAXIMUM_SIDE, read_picture
from comics_genai.drawings.preparation import (
    AUTO,
    NEARLY_VANISHED,
    WHITE,
    Color,
    Layers,
    box_in_square,
    chosen_paper,
    layers_of,
    on_paper,
    paper_of,
    to_square,
    visibility,
)
from comics_genai.errors import UserError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PIXELS_IN_ALL = 1_000_000_000  # pixels of all drawings together, 3 GB; if there are many, each is kept smaller


@dataclass(frozen=True)
class Drawing:
    """One drawing of the character."""

    name: str  # file name, for records and messages
    image: PIL.Image.Image  # RGB, square
    caption: str  # empty if the drawing came without one
    mask: PIL.Image.Image | None = None  # L, as large as the image, 255 where drawn; None if it had no transparency
    box: tuple[int, int, int, int] | None = None  # left, top, right, bottom in the image; None if nothing was padded
    repeats: int = 1  # how often it counts beside the others
    content: Path | bytes | None = None  # the file as it was given


@dataclass(frozen=True)
class _Source:
    """A drawing before it is read."""

    name: str
    content: Path | bytes
    caption: str
    repeats: int = 1


def load(
    source: str | Path, *, paper: Color | str = AUTO, size: int | None = None, caption_column: str = ""
) -> list[Drawing]:
    """The drawings of a folder or of a dataset on the Hub, in the order of their names or rows.

    A folder holds the pictures itself, in train/, or in folders 10_name/ as kohya's tools use. Captions come from
    metadata.jsonl or metadata.csv (`file_name`, and `caption_column` or text, caption, prompt), or from NAME.txt or
    NAME.caption beside NAME.png. A relative path is looked up in the current folder, then in the repository.
    `paper` fills transparent areas: a colour, or "auto" for white or a colour on which pale strokes can be seen.
    Pictures are padded to squares by continuing their border, never cropped. Their side becomes `size` px; by default
    it stays as it is, up to 2048. Warns of a picture that is there twice or nearly vanishes, and of files that are not
    used. Raises UserError unless there are at least two whole still pictures of 64 px or more.
    """
    paper = paper_of(paper) if isinstance(paper, str) else paper
    sources = _sources(source, caption_column)
    side = max(size or 0, min(MAXIMUM_SIDE, math.isqrt(PIXELS_IN_ALL // len(sources))))
    layers = [_layers(one, side) for one in sources]
    chosen = paper or chosen_paper(layers)
    _warn_of_paper(sources, layers, chosen, given=paper is not None)
    found = [_drawing(one, picture, chosen, size) for one, picture in zip(sources, layers, strict=True)]
    _warn_of_twins(found)
    return found


def load_one(path: str | Path, *, paper: Color | str = AUTO) -> Drawing:
    """Read and check a single picture, such as a sketch to start from, as `load` does; its caption is empty."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"There is no picture {path}: give a file such as sketch.png.")
    paper = paper_of(paper) if isinstance(paper, str) else paper
    source = _Source(path.name, path, "")
    layers = _layers(source, MAXIMUM_SIDE)
    return _drawing(source, layers, paper or chosen_paper([layers]), None)


def told(character: Sequence[Drawing]) -> str:
    """One line on what was loaded: "6 drawings, 5 captions (04.png has none)"."""
    without = [drawing.name for drawing in character if not drawing.caption]
    count = len(character) - len(without)
    line = f"{len(character)} drawings, {count or 'no'} caption{'' if count == 1 else 's'}"
    return f"{line} ({listed(without)} {'has' if len(without) == 1 else 'have'} none)" if count and without else line


def _sources(source: str | Path, column: str) -> list[_Source]:
    folder = folder_of(source)
    if folder is None:
        if isinstance(source, Path) or not HUB_ID.fullmatch(source):
            raise UserError(f"There is no folder {source}: give a folder of drawings or a Hub dataset as owner/name.")
        fetched = hub.fetch(source)
        if not isinstance(fetched, Path):
            return _rows(source, fetched, column)
        folder = fetched
    found = survey(folder, column)
    tell(found.notes)
    divisor = math.gcd(*found.repeats.values()) if len(found.repeats) == len(found.pictures) else 1
    return [
        _Source(name, path, found.captions.get(name, ""), found.repeats.get(name, 1) // divisor)
        for name, path in found.pictures.items()
    ]


def _rows(dataset_id: str, rows: list[dict], column: str) -> list[_Source]:
    check_count(len(rows), f"the dataset {dataset_id}")
    sources = []
    for i, row in enumerate(rows):
        stored = next(iter(row.values())) or {}
        name = os.path.basename(stored.get("path") or f"row {i}")
        content = stored["bytes"] if stored.get("bytes") else Path(stored.get("path") or name)
        sources.append(_Source(name, content, hub.caption_of(row, column, f"row {i} of {dataset_id}")))
    return sources


def _layers(source: _Source, side: int) -> Layers:
    picture = read_picture(source.name, source.content, side)
    try:
        colors, alpha = layers_of(picture)
    except ValueError as error:
        raise UserError(f"{source.name} has colours that cannot be read ({error}): save it as an RGB PNG.") from error
    if alpha is not None and alpha.getextrema()[1] == 0:
        raise UserError(f"{source.name} is wholly transparent: export the drawing with its layers shown.")
    return colors, alpha


def _drawing(source: _Source, layers: Layers, paper: Color, size: int | None) -> Drawing:
    alpha = layers[1]
    image = on_paper(layers, paper)
    mask = None if alpha is None else to_square(alpha, size, 0)
    square = to_square(image, size, None if alpha is None else paper)
    box = box_in_square(*image.size, size)
    return Drawing(source.name, square, source.caption, mask, box, source.repeats, source.content)


def _warn_of_paper(sources: Sequence[_Source], layers: Sequence[Layers], paper: Color, given: bool) -> None:
    name = "#{:02x}{:02x}{:02x}".format(*paper)
    if not given and paper != WHITE:
        warnings.warn(
            f"The drawings' transparency is laid on {name}, since pale strokes would vanish on white: --paper takes "
            "another colour.",
            stacklevel=3,
        )
    for source, (colors, alpha) in zip(sources, layers, strict=True):
        if alpha is not None and visibility(colors, alpha, paper)[0] < NEARLY_VANISHED:
            warnings.warn(
                f"{source.name} nearly vanishes on paper {name}: choose another colour by --paper.", stacklevel=3
            )


def _warn_of_twins(drawings: list[Drawing]) -> None:
    first: dict[bytes, str] = {}
    for drawing in drawings:
        twin = first.setdefault(drawing.image.tobytes(), drawing.name)
        if twin != drawing.name:
            warnings.warn(
                f"{twin} and {drawing.name} are the same picture, so it counts twice in training: remove one.",
                stacklevel=3,
            )
