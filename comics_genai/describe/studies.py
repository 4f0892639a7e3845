"""Prepare drawings for statistics: facts of their files, pictures with true aspect ratio, masks of the character."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image

from comics_genai import drawings
from comics_genai.describe.character import character_mask, unpadded
from comics_genai.drawings import Drawing

SIDE = 256  # pixels of the longer side: enough for shares of colours and areas
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
EXIF_ORIENTATION = 0x0112
LABEL = 14  # letters of a name for which figures have room


@dataclass(frozen=True)
class Stored:
    """The properties of a stored picture before any conversion."""

    width: int  # pixels, upright
    height: int
    mode: str  # Pillow's: L, P, RGB, RGBA, CMYK ...
    has_alpha: bool  # whether it can be transparent at all
    bits: int  # a channel
    bytes: int


@dataclass(frozen=True)
class Study:
    """One drawing at true aspect, its longer side at most SIDE pixels, and where the character is in it."""

    name: str  # of the file, told apart from others of that name
    label: str  # the same, short enough for figures
    caption: str
    image: PIL.Image.Image  # RGB, to look at
    colors: np.ndarray  # uint8 (height, width, 3): every pixel is one of the drawing's, none is a mixture
    mask: np.ndarray  # bool (height, width), True on the character
    is_estimated: bool  # whether the mask was estimated, because there was no transparency
    stored: Stored

    @property
    def character(self) -> np.ndarray:
        """Colours of the character: uint8 (N, 3)."""
        return self.colors[self.mask]

    @property
    def background(self) -> np.ndarray:
        """Colours of everything else: uint8 (N, 3), none where the character fills the picture."""
        return self.colors[~self.mask]


def load(source: str | Path) -> list[Study]:
    """The studies of a folder or Hub dataset; UserError, as `drawings.load`, if there are no two good drawings."""
    loaded = drawings.load(source)
    found = [study(drawing, _read(drawing.content)) for drawing in loaded]
    names, labels = (_told_apart([getattr(one, field) for one in found]) for field in ("name", "label"))
    return [replace(one, name=name, label=label) for one, name, label in zip(found, names, labels, strict=True)]


def study(drawing: Drawing, stored: Stored | None = None) -> Study:
    """The study of one drawing; without `stored` it is taken for the square that it was padded to."""
    stored = stored or Stored(*drawing.image.size, drawing.image.mode, drawing.mask is not None, 8, 0)
    scale = min(1.0, SIDE / max(stored.width, stored.height))
    size = (max(1, round(stored.width * scale)), max(1, round(stored.height * scale)))
    whole = unpadded(drawing.image, (stored.width, stored.height))
    return Study(
        drawing.name,
        _label(drawing.name),
        drawing.caption,
        whole.resize(size, PIL.Image.Resampling.LANCZOS),
        np.asarray(whole.resize(size, PIL.Image.Resampling.NEAREST)),
        character_mask(drawing, size),
        drawing.mask is None,
        stored,
    )


def _label(name: str) -> str:
    stem = Path(name).with_suffix("").as_posix()
    return stem if len(stem) <= LABEL else f"{stem[: LABEL // 2 - 1]}…{stem[-LABEL // 2 :]}"


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, numbered from the second time on that one occurs: rows of a data set may all be image.png."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def _read(content: bytes | Path) -> Stored:
    """The properties in the file's header. `drawings.load` has decoded the file before, so it is whole."""
    count = content.stat().st_size if isinstance(content, Path) else len(content)
    with PIL.Image.open(content if isinstance(content, Path) else io.BytesIO(content)) as picture:
        width, height = picture.size
        if drawings.orientation_of(picture) in TURNED:
            width, height = height, width
        return Stored(width, height, picture.mode, picture.has_transparency_data, _bits(picture, content), count)


def _bits(picture: PIL.Image.Image, content: bytes | Path) -> int:
    """Bits for each channel. For a PNG they come from its header, because Pillow reads 16-bit colour as 8-bit."""
    if picture.format == "PNG":
        with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
            return file.read(25)[24]  # a signature of 8; IHDR: length 4, name 4, width 4, height 4, then the depth
    if picture.mode == "1":
        return 1
    return 16 if picture.mode.startswith("I;16") else 32 if picture.mode in ("I", "F") else 8
