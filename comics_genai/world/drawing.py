"""Draws a scene: background, then the figure from back to front. The same picture at every size."""

import numpy as np
from PIL import Image, ImageDraw

from .background import draw_background
from .body import draw_back, draw_body, draw_front_arms
from .factors import Scene
from .head import draw_back_hair, draw_head
from .ink import Pen
from .parts import PARTS
from .skeleton import UNIT, skeleton, to_picture

LINE = 0.62  # half the weight of an ink line, in figure units
LIMITS = (64, 2048)


def draw(scene: Scene, size: int = 128) -> Image.Image:
    """The scene as an RGB picture, `size` x `size` pixels (64 to 2048); ValueError outside these limits."""
    return _paint(scene, size, with_figure=True)


def figure_mask(scene: Scene, size: int = 128) -> np.ndarray:
    """Where the figure (and its shadow) is: bool (size, size)."""
    whole, background = (np.asarray(_paint(scene, size, shown), np.int16) for shown in (True, False))
    return np.abs(whole - background).max(-1) > 2


def draw_with_parts(scene: Scene, size: int = 128, side: int = 16) -> tuple[Image.Image, np.ndarray]:
    """The scene as `draw` draws it, and the share of each of `side` x `side` cells that each part of the figure covers.

    The shares are float32 (len(PARTS), side, side) in [0, 1]; `size` is a multiple of `side`.
    """
    supersampling = _supersampling(size)
    numbers = Image.new("L", (size * supersampling,) * 2, 0)
    picture = _paint(scene, size, with_figure=True, parts=ImageDraw.Draw(numbers))
    cell = size * supersampling // side
    cells = np.asarray(numbers).reshape(side, cell, side, cell)
    shares = [(cells == number).mean((1, 3)) for number in range(1, len(PARTS) + 1)]
    return picture, np.stack(shares).astype(np.float32)


def _supersampling(size: int) -> int:
    return 4 if size <= 256 else 2


def _paint(scene: Scene, size: int, with_figure: bool, parts: ImageDraw.ImageDraw | None = None) -> Image.Image:
    if not LIMITS[0] <= size <= LIMITS[1]:
        raise ValueError(f"A picture of the comic world is {LIMITS[0]} to {LIMITS[1]} px wide, not {size}.")
    supersampling = _supersampling(size)
    canvas = size * supersampling
    image = Image.new("RGB", (canvas, canvas), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    draw_background(Pen(pen, canvas, (0.0, 1.0), 0.01, 0.3), scene.setting)
    if with_figure:
        unit = UNIT * scene.setting.scale
        figure = Pen(pen, canvas, to_picture(scene, (0.0, 0.0)), unit, LINE * scene.setting.line_width, parts)
        points = skeleton(scene.pose)
        for part in (draw_back, draw_back_hair, draw_body, draw_head, draw_front_arms):
            part(figure, scene, points)
    return image.reduce(supersampling)
