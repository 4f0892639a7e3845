"""Prepare pictures for the page: check them, make thumbnails, copy them if needed, and find the nearest drawing."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import PIL.Image

from comics_genai.files import write_atomic
from comics_genai.publishing.gallery.records import PICTURES

OWN = "gallery"  # folder beside index.html for the builder's own files
THUMBNAIL = 256  # pixels of the longer side
LARGEST_AS_IT_IS = 192  # a picture of at most this side needs no thumbnail
POOLED = 16  # side in pixels at which colours are compared
MAXIMUM_PIXELS = 80_000_000  # a file that claims more is damaged or an attack
QUALITY = 88


@dataclass(frozen=True)
class Shown:
    """A picture on the page: addresses relative to the page, its size in pixels, its colours pooled to 16 x 16."""

    source: str
    thumbnail: str
    width: int
    height: int
    pooled: np.ndarray  # float32 (16, 16, 3) in [0, 1]
    digest: str  # of the file


class Unreadable(Exception):
    """A picture that cannot be shown; the message is "missing", "damaged" or "of a kind that browsers do not show"."""


def show(path: Path, gallery: Path, own: str = OWN) -> Shown:
    """Prepare a picture for the page in folder `gallery`; files that are there already are kept.

    own: the folder in it for thumbnails, and for copies of pictures that lie outside `gallery`. Raises Unreadable.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise Unreadable("missing") from error
    if path.suffix.lower() not in PICTURES:
        raise Unreadable("of a kind that browsers do not show")
    digest = hashlib.sha256(content).hexdigest()[:16]
    small = gallery / own / "thumbnails" / f"{digest}.webp"
    try:
        with PIL.Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > MAXIMUM_PIXELS:
                raise Unreadable("damaged")
            reduced = max(width, height) > LARGEST_AS_IT_IS
            if reduced and not small.is_file():
                write_atomic(small, _webp(image.convert("RGB")))
            # Large pictures are always compared by their thumbnails, so that a second build gives the same.
            pixels = _opened(small) if reduced else image.convert("RGB")
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise Unreadable("damaged") from error
    if path.resolve().is_relative_to(gallery.resolve()):
        source = path.resolve().relative_to(gallery.resolve()).as_posix()
    else:
        source = f"{own}/pictures/{digest}{path.suffix.lower()}"
        if not (gallery / source).is_file():
            write_atomic(gallery / source, content)
    thumbnail = small.relative_to(gallery).as_posix() if reduced else source
    pooled = np.asarray(pixels.resize((POOLED, POOLED), PIL.Image.Resampling.BOX), np.float32) / 255
    return Shown(_address(source), _address(thumbnail), width, height, pooled, digest)


def nearest(pooled: np.ndarray, drawings: Sequence[np.ndarray]) -> tuple[int, float]:
    """The index of the nearest drawing and its distance (root mean square difference of RGB in [0, 1] at 16 x 16)."""
    distances = [float(np.sqrt(np.mean(np.square(pooled - drawing)))) for drawing in drawings]
    best = int(np.argmin(distances))
    return best, distances[best]


def _address(path: str) -> str:
    return quote(path, errors="surrogateescape")


def _opened(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as image:
        return image.convert("RGB")


def _webp(image: PIL.Image.Image) -> bytes:
    reduced = image.copy()
    reduced.thumbnail((THUMBNAIL, THUMBNAIL), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    reduced.save(buffer, format="WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()
