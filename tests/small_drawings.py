"""Drawings of rectangles and of noise, whose statistics are known."""

import struct
import zlib

import numpy as np
import PIL.Image

from comics_genai.describe import studies
from comics_genai.drawings import Drawing

RED, GREEN, BLUE, WHITE = (220, 30, 40), (40, 160, 70), (40, 70, 200), (255, 255, 255)


def figure_on(paper, color, size=(120, 120), box=(40, 20, 80, 110)) -> PIL.Image.Image:
    """A rectangle on paper."""
    picture = PIL.Image.new("RGB", size, paper)
    picture.paste(color, box)
    return picture


def studied(picture: PIL.Image.Image, name: str = "a.png", caption: str = "") -> studies.Study:
    return studies.study(Drawing(name, picture, caption))


def noise(seed: int, side: int = 96) -> PIL.Image.Image:
    cells = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return PIL.Image.fromarray(cells).resize((side, side), PIL.Image.Resampling.BICUBIC)


def claiming(side: int) -> bytes:
    """A PNG that says it has side × side pixels and has none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
