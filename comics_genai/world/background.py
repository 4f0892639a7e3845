"""Draw one of seven places behind the figure, each with a little story, in pale colours."""

import numpy as np

from .color import HSV, darker
from .factors import Setting
from .ink import Pen, closed, curve, ellipse

SOFT = (150, 138, 158)


def draw_background(pen: Pen, setting: Setting) -> None:
    """Fill the whole picture. Units are percent of the picture, with y up."""
    rng = np.random.default_rng(setting.seed)
    PLACES[setting.background](pen, rng)


def _hue(rng: np.random.Generator, hsv: HSV, spread: float = 12) -> HSV:
    return ((hsv[0] + float(rng.uniform(-spread, spread))) % 360, hsv[1], hsv[2])


def _box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def _sky(pen: Pen, top: HSV, bottom: HSV, bands: int = 5) -> None:
    for i in range(bands):
        t = i / (bands - 1)
        mixed = tuple(a + (b - a) * t for a, b in zip(top, bottom, strict=True))
        pen.fill(_box(-1, -1, 101, 101 - i * 62 / bands), mixed)


def _cloud(pen: Pen, x: float, y: float, size: float, color: HSV = (210, 0.02, 1.0)) -> None:
    for dx, dy, r in ((-1.3, 0, 0.8), (0, 0.45, 1.1), (1.2, 0.05, 0.85), (0, -0.1, 0.9)):
        pen.fill(ellipse((x + dx * size, y + dy * size), r * size * 1.15, r * size * 0.75, 20), color)


def _hill(pen: Pen, rng: np.random.Generator, height: float, wave: float, color: HSV) -> None:
    x = np.linspace(-5, 105, 7)
    y = height + rng.uniform(-wave, wave, 7)
    ridge = curve(np.stack([x, y], 1))
    pen.fill(np.vstack([ridge, [(105, -2), (-5, -2)]]), color)
    pen.stroke(ridge[::6], 0.9, tuple(int(c * 0.9) for c in SOFT), taper=False)


def _shape(pen: Pen, points: np.ndarray, color: HSV, shade: float = 0.0) -> None:
    pen.shape(points, color, shade=shade, line=0.9, ink=SOFT)


def _paper(pen: Pen, rng: np.random.Generator) -> None:
    pen.fill(_box(-1, -1, 101, 101), _hue(rng, (40, 0.03, 0.995), 20))
    tone = _hue(rng, (float(rng.uniform(0, 360)), 0.10, 0.97))
    left = rng.random() < 0.5
    for i in range(7):  # a corner of halftone dots, shrinking
        for j in range(7 - i):
            x, y = 4 + i * 6.5, 96 - j * 6.5
            pen.fill(ellipse((x if left else 100 - x, y), 2.3 - 0.3 * (i + j), 2.3 - 0.3 * (i + j), 12), tone)
    pen.fill(ellipse((50, 5), 46, 4.5, 32), (tone[0], 0.06, 0.95))


def _meadow(pen: Pen, rng: np.random.Generator) -> None:
    _sky(pen, _hue(rng, (204, 0.28, 1.0)), (200, 0.08, 1.0))
    sun = float(rng.uniform(12, 88))
    pen.fill(ellipse((sun, 86), 7.5, 7.5), (48, 0.35, 1.0))
    _cloud(pen, float(rng.uniform(5, 45)), float(rng.uniform(68, 90)), float(rng.uniform(4, 6)))
    _cloud(pen, float(rng.uniform(60, 98)), float(rng.uniform(60, 82)), float(rng.uniform(3, 5)))
    _hill(pen, rng, 38, 6, _hue(rng, (112, 0.22, 0.90)))
    _hill(pen, rng, 24, 4, _hue(rng, (100, 0.32, 0.88)))
    for _ in range(9):
        x, y = float(rng.uniform(2, 98)), float(rng.uniform(2, 18))
        petal = _hue(rng, (float(rng.choice([340, 50, 280])), 0.3, 1.0))
        pen.fill(_box(x - 0.25, y - 3, x + 0.25, y), (110, 0.45, 0.65))
        pen.fill(ellipse((x, y), 1.3, 1.3, 10), petal)
    if rng.random() < 0.5:  # a kite has slipped its string
        x, y = float(rng.choice([14.0, 86.0])), float(rng.uniform(62, 78))
        _shape(pen, np.array([(x, y + 6), (x + 4, y), (x, y - 7), (x - 4, y)]), _hue(rng, (10, 0.4, 1.0)))
        pen.stroke(np.array([(x, y - 7), (x + 2, y - 12), (x - 1, y - 17), (x + 2, y - 22)]), 0.9, SOFT)


def _night(pen: Pen, rng: np.random.Generator) -> None:
    _sky(pen, _hue(rng, (236, 0.42, 0.52)), _hue(rng, (262, 0.28, 0.74)))
    x = float(rng.choice([rng.uniform(12, 26), rng.uniform(74, 88)]))
    pen.fill(ellipse((x, 82), 9, 9), (50, 0.22, 1.0))
    pen.fill(ellipse((x + 4, 84), 8, 8), (240, 0.38, 0.56))
    for _ in range(16):
        sx, sy, r = float(rng.uniform(2, 98)), float(rng.uniform(42, 98)), float(rng.uniform(0.4, 1.0))
        pen.fill(
            np.array([(sx, sy + 2 * r), (sx + 0.5 * r, sy), (sx, sy - 2 * r), (sx - 0.5 * r, sy)]), (50, 0.15, 1.0)
        )
        pen.fill(
            np.array([(sx - 2 * r, sy), (sx, sy + 0.5 * r), (sx + 2 * r, sy), (sx, sy - 0.5 * r)]), (50, 0.15, 1.0)
        )
    for x0 in (-4, 22, 48, 74):  # roofs, one with a lit window, one with a cat
        peak = 26 + float(rng.uniform(-3, 6))
        house = _hue(rng, (250, 0.26, 0.50))
        _shape(pen, np.array([(x0, -2), (x0, peak - 9), (x0 + 14, peak), (x0 + 28, peak - 9), (x0 + 28, -2)]), house)
        if rng.random() < 0.6:
            pen.fill(_box(x0 + 10, peak - 16, x0 + 17, peak - 9), (46, 0.45, 0.98))
    cat = float(rng.choice([9.0, 87.0]))
    pen.fill(closed([(cat - 2.5, 26), (cat - 2, 31), (cat + 2, 31), (cat + 2.5, 26)], 4), (250, 0.3, 0.25))
    pen.fill(np.array([(cat - 2, 31), (cat - 1.7, 35), (cat, 33), (cat + 1.7, 35), (cat + 2, 31)]), (250, 0.3, 0.25))
    pen.fill(_box(-1, -1, 101, 7), (255, 0.22, 0.58))


def _city(pen: Pen, rng: np.random.Generator) -> None:
    _sky(pen, _hue(rng, (28, 0.16, 1.0)), (48, 0.08, 1.0))
    pen.fill(ellipse((float(rng.uniform(15, 85)), 70), 11, 11), (30, 0.22, 1.0))
    for depth, (low, high, value) in enumerate(((38, 66, 0.93), (22, 48, 0.86))):
        x = -6.0
        while x < 102:
            width, top = float(rng.uniform(11, 19)), float(rng.uniform(low, high))
            wall = _hue(rng, (float(rng.choice([215, 350, 25])), 0.13 + 0.05 * depth, value))
            _shape(pen, _box(x, -2, x + width, top), wall)
            for row in range(int((top - 16) // 8)):
                for column in range(2):
                    wx, wy = x + 2.5 + column * (width / 2 - 0.5), top - 6 - row * 8
                    lit = (48, 0.3, 1.0) if rng.random() < 0.35 else darker(wall, 0.12)
                    pen.fill(_box(wx, wy, wx + width / 2 - 4, wy + 3.6), lit)
            x += width + 0.8
    pen.fill(_box(-1, -1, 101, 12), (220, 0.06, 0.84))
    pen.fill(_box(-1, 11.4, 101, 12.6), (240, 0.12, 0.62))
    for x in np.arange(float(rng.uniform(-8, 0)), 100, 18):
        pen.fill(_box(x, 4, x + 9, 5.6), (50, 0.15, 0.99))


def _beach(pen: Pen, rng: np.random.Generator) -> None:
    _sky(pen, _hue(rng, (198, 0.22, 1.0)), (190, 0.05, 1.0))
    _cloud(pen, float(rng.uniform(10, 90)), float(rng.uniform(74, 92)), float(rng.uniform(4, 6)))
    pen.fill(_box(-1, -1, 101, 46), _hue(rng, (192, 0.34, 0.92)))
    for _ in range(7):
        x, y = float(rng.uniform(0, 95)), float(rng.uniform(28, 43))
        pen.stroke(np.array([(x, y), (x + 3, y + 0.9), (x + 6, y)]), 1.4, (240, 252, 255))
    x = float(rng.choice([rng.uniform(8, 20), rng.uniform(80, 92)]))  # a sail on its way home
    _shape(pen, np.array([(x, 47), (x, 62), (x + 8, 48)]), _hue(rng, (float(rng.choice([0, 45, 330])), 0.28, 1.0)))
    _shape(pen, np.array([(x - 6, 46), (x - 4, 42.5), (x + 6, 42.5), (x + 9, 46)]), (22, 0.4, 0.75))
    shore = curve([(-5, 22), (20, 25), (45, 21), (75, 25), (105, 22)])
    pen.fill(np.vstack([shore + (0, 2.2), [(105, -2), (-5, -2)]]), (190, 0.03, 1.0))
    pen.fill(np.vstack([shore, [(105, -2), (-5, -2)]]), _hue(rng, (42, 0.24, 0.97), 5))
    x, y = float(rng.choice([12.0, 88.0])), float(rng.uniform(6, 12))
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False) + np.pi / 2
    radius = np.where(np.arange(10) % 2, 1.7, 4.0)
    _shape(pen, np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1), _hue(rng, (12, 0.45, 0.98)))


def _forest(pen: Pen, rng: np.random.Generator) -> None:
    _sky(pen, _hue(rng, (80, 0.14, 0.98)), (60, 0.08, 1.0))
    for depth, count in ((0, 5), (1, 4)):
        for i in range(count):
            x = (i + float(rng.uniform(0.2, 0.8))) * 100 / count
            if depth and 30 < x < 70:
                continue
            top = float(rng.uniform(70, 92)) - 8 * depth
            crown = _hue(rng, (128 + 14 * depth, 0.22 + 0.14 * depth, 0.86 - 0.13 * depth))
            _shape(pen, _box(x - 2, 8, x + 2, top - 20), (24, 0.28, 0.68 - 0.1 * depth))
            if rng.random() < 0.5:
                for step in range(3):
                    y, w = top - 14 * step, 7 + 4 * step
                    _shape(pen, np.array([(x, y), (x + w, y - 20), (x - w, y - 20)]), crown)
            else:
                lobes = [(x + 13 * np.cos(a), top - 18 + 15 * np.sin(a)) for a in np.linspace(0, 5.5, 8)]
                _shape(pen, closed(lobes, 4), crown, 2.0)
    _hill(pen, rng, 14, 2.5, _hue(rng, (98, 0.34, 0.76)))
    x = float(rng.choice([9.0, 91.0]))  # a toadstool
    _shape(pen, _box(x - 1.4, 3, x + 1.4, 9), (40, 0.08, 0.98))
    _shape(pen, closed([(x - 6, 8.5), (x - 4, 13), (x, 15), (x + 4, 13), (x + 6, 8.5), (x, 7.8)], 4), (4, 0.6, 0.9))
    for dx, dy in ((-2.5, 11), (1, 12.5), (3, 9.8)):
        pen.fill(ellipse((x + dx, dy), 0.9, 0.9, 8), (0, 0.0, 1.0))


def _room(pen: Pen, rng: np.random.Generator) -> None:
    wall = _hue(rng, (float(rng.choice([30, 330, 190, 60])), 0.13, 0.97))
    pen.fill(_box(-1, -1, 101, 101), wall)
    for x in np.arange(4, 100, 12):
        pen.fill(_box(x, 24, x + 4, 101), (wall[0], wall[1] + 0.04, wall[2] - 0.02))
    pen.fill(_box(-1, -1, 101, 24), _hue(rng, (28, 0.34, 0.86), 6))
    pen.fill(_box(-1, 23, 101, 25.5), (30, 0.06, 0.98))
    for y in (6.0, 14.0):
        pen.fill(_box(-1, y, 101, y + 0.7), (24, 0.4, 0.74))
    left = rng.random() < 0.5
    x = 6.0 if left else 70.0
    _shape(pen, _box(x - 1.5, 52.5, x + 25.5, 90.5), (30, 0.05, 0.99))
    pen.fill(_box(x, 54, x + 24, 89), _hue(rng, (205, 0.25, 1.0)))
    _cloud(pen, x + float(rng.uniform(8, 16)), float(rng.uniform(62, 80)), 3.4)
    pen.fill(_box(x + 11.3, 54, x + 12.7, 89), (30, 0.05, 0.99))
    pen.fill(_box(x, 71, x + 24, 72.4), (30, 0.05, 0.99))
    x = 84.0 if left else 16.0
    _shape(pen, _box(x - 9, 66, x + 9, 86), _hue(rng, (40, 0.45, 0.85)))
    pen.fill(_box(x - 7, 68, x + 7, 84), (200, 0.08, 0.99))
    pen.fill(np.array([(x - 7, 68), (x - 1, 78), (x + 3, 72), (x + 5, 75), (x + 7, 68)]), (140, 0.25, 0.8))
    pot = float(rng.choice([8.0, 92.0]))
    for lean in (-5, 0, 5):
        leaf = closed([(pot, 29), (pot + lean - 2, 38), (pot + lean, 45), (pot + lean + 2, 38)], 4)
        _shape(pen, leaf, (130, 0.35, 0.75))
    _shape(pen, np.array([(pot - 5, 29), (pot + 5, 29), (pot + 3.6, 19), (pot - 3.6, 19)]), (14, 0.4, 0.88), 1.0)


PLACES = {
    "paper": _paper,
    "meadow": _meadow,
    "night": _night,
    "city": _city,
    "beach": _beach,
    "forest": _forest,
    "room": _room,
}
