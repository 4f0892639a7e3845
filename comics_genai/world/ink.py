"""The pen: smooth curves, fills in two tones and ink lines whose weight follows the light."""

import numpy as np
from PIL import ImageDraw

from .color import HSV, darker, rgb

INK = (44, 30, 52)
LIGHT = np.array([0.55, -0.83])  # away from the light, y up: lines and shadows gather here


def _basis(n: int) -> np.ndarray:
    t = np.arange(n)[:, None] / n
    return 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3])


_BASES = {n: _basis(n) for n in (3, 4, 6, 8)}


def closed(points, n: int = 6) -> np.ndarray:
    """A closed Catmull-Rom spline through `points` (K, 2): (K n, 2). Catmull & Rom 1974."""
    p = np.asarray(points, float)
    around = np.stack([np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)], 1)
    return (_BASES[n] @ around).reshape(-1, 2)


def curve(points, n: int = 6) -> np.ndarray:
    """An open Catmull-Rom spline through `points` (K, 2): ((K - 1) n + 1, 2)."""
    p = np.asarray(points, float)
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    around = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], 1)
    return np.vstack([(_BASES[n] @ around).reshape(-1, 2), p[-1]])


def ellipse(center, rx: float, ry: float, n: int = 24, tilt: float = 0.0) -> np.ndarray:
    """An ellipse as (n, 2); `tilt` in degrees."""
    a = np.linspace(0, 2 * np.pi, n, endpoint=False)
    p = np.stack([rx * np.cos(a), ry * np.sin(a)], 1)
    return np.asarray(center) + (p @ rotation(tilt) if tilt else p)


def rotation(degrees: float) -> np.ndarray:
    """The matrix R with p @ R turned anticlockwise (y up)."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def _normals(p: np.ndarray, is_closed: bool) -> np.ndarray:
    if is_closed:
        t = np.roll(p, -1, 0) - np.roll(p, 1, 0)
        x, y = p[:, 0], p[:, 1]
        sign = 1.0 if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0 else -1.0
    else:
        t, sign = np.gradient(p, axis=0), 1.0
    t = t / (np.sqrt((t * t).sum(1, keepdims=True)) + 1e-9)
    return sign * np.stack([t[:, 1], -t[:, 0]], 1)


def limb(points, radii) -> np.ndarray:
    """A tapering limb's outline along a spline through `points`, half-widths `radii`, round at its end."""
    center = curve(points)
    r = np.interp(np.linspace(0, 1, len(center)), np.linspace(0, 1, len(radii)), radii)
    n = _normals(center, False)
    start = np.arctan2(n[-1, 1], n[-1, 0])
    a = start + np.linspace(0, np.pi, 7)[1:-1]
    cap = center[-1] + r[-1] * np.stack([np.cos(a), np.sin(a)], 1)
    return np.vstack([center + n * r[:, None], cap, (center - n * r[:, None])[::-1]])


class Pen:
    """Draws figure-unit or picture-unit shapes on a canvas.

    `draw`: Pillow's pen; `size`: canvas pixels; `origin` and `unit`: picture fractions (y down) of the point (0, 0)
    and of one unit (y up); `line`: the ink line's half-weight in units. `parts`: Pillow's pen on a second canvas of
    the same size, where each shape is filled with the number `part` instead of a colour.
    """

    part = 0

    def __init__(self, draw: ImageDraw.ImageDraw, size: int, origin, unit: float, line: float, parts=None):
        self.draw, self.line, self.parts = draw, line, parts
        self.scale = np.array([unit, -unit]) * size
        self.origin = np.asarray(origin) * size

    def pixels(self, points: np.ndarray) -> list[float]:
        """Units (K, 2) to the flat pixel list Pillow takes."""
        return (np.asarray(points) * self.scale + self.origin).ravel().tolist()

    def fill(self, points: np.ndarray, color: HSV | tuple[int, int, int]) -> None:
        """A flat fill: an HSV colour, or sRGB integers."""
        pixels = self.pixels(points)
        self.draw.polygon(pixels, fill=rgb(color) if isinstance(color[1], float) else tuple(color))
        if self.parts is not None:
            self.parts.polygon(pixels, fill=self.part)

    def shape(self, points: np.ndarray, color: HSV, shade: float = 1.6, line: float = 1.0, ink=INK) -> None:
        """A closed outline filled in two tones: shadow where it turns from the light, ink around it.

        `shade`: depth of the shadow in units (0: one tone); `line`: weight of the ink against the pen's (0: none).
        """
        n = _normals(points, True)
        away = np.maximum(0, n @ LIGHT)[:, None]
        if line:
            self.fill(points + n * (self.line * line * (0.55 + 0.85 * away)), ink)
        if shade:
            self.fill(points, darker(color))
            self.fill(points - n * away * shade, color)
        else:
            self.fill(points, color)

    def stroke(self, points: np.ndarray, weight: float = 1.0, color=INK, taper: bool = True) -> None:
        """An open ink line through a spline of `points`, thin at both ends."""
        center = curve(points, 4)
        t = np.linspace(0, 1, len(center))
        w = self.line * weight * (np.sin(np.pi * (0.12 + 0.76 * t)) if taper else np.ones_like(t))
        n = _normals(center, False) * w[:, None]
        self.fill(np.vstack([center + n, (center - n)[::-1]]), color)
