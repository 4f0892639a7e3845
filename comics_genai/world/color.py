"""Colours of the comic world: continuous HSV values, and the coarse names captions have for some of them."""

import colorsys
import itertools
from functools import cache

import numpy as np

from comics_genai.world.color_difference import ciede2000, lab_of_srgb

HSV = tuple[float, float, float]

# name -> (hue in degrees, saturation, value) ranges. The gaps between them are colours no caption can name:
# turquoise, lime, magenta and all that is neither dull nor bright enough for its word.
NAMES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-8, 8), (0.70, 0.95), (0.65, 0.92)),
    "orange": ((22, 34), (0.70, 0.95), (0.88, 1.0)),
    "yellow": ((47, 57), (0.50, 0.90), (0.90, 1.0)),
    "green": ((98, 140), (0.45, 0.85), (0.42, 0.78)),
    "blue": ((208, 230), (0.55, 0.90), (0.50, 0.92)),
    "purple": ((262, 284), (0.40, 0.80), (0.42, 0.82)),
    "pink": ((320, 342), (0.25, 0.55), (0.90, 1.0)),
    "brown": ((14, 28), (0.50, 0.75), (0.30, 0.52)),
    "black": ((0, 360), (0.0, 0.25), (0.12, 0.22)),
    "white": ((0, 360), (0.0, 0.07), (0.94, 1.0)),
    "grey": ((0, 360), (0.0, 0.07), (0.45, 0.68)),
}
SKIN_NAMES: dict[str, tuple[float, float]] = {"pale": (0.0, 0.25), "tan": (0.4, 0.6), "brown": (0.75, 1.0)}
_SKIN_TONES = np.array([[24, 0.14, 1.0], [24, 0.27, 0.97], [24, 0.42, 0.86], [22, 0.52, 0.68], [20, 0.58, 0.45]])


def sample_color(rng: np.random.Generator, named: float = 0.65) -> HSV:
    """A colour: with probability `named` from one of NAMES' ranges, else from anywhere in the HSV cylinder."""
    if rng.random() < named:
        ranges = NAMES[list(NAMES)[rng.integers(len(NAMES))]]
    else:
        ranges = ((0, 360), (0.15, 0.95), (0.35, 1.0))
    hue, saturation, value = (float(rng.uniform(low, high)) for low, high in ranges)
    return (hue % 360, saturation, value)


def skin_tone(t: float) -> HSV:
    """The skin colour at `t` in [0, 1] on a curve from pale to dark."""
    position = np.linspace(0, 1, len(_SKIN_TONES))
    return tuple(float(np.interp(t, position, _SKIN_TONES[:, i])) for i in range(3))


_SKIN_CURVE = np.array([skin_tone(t) for t in np.linspace(0, 1, 101)])


def sample_skin(rng: np.random.Generator, fantastic: float = 0.12) -> HSV:
    """A skin colour on the natural curve, or with probability `fantastic` a pastel of any hue."""
    if rng.random() < fantastic:
        return (float(rng.uniform(60, 330)), float(rng.uniform(0.15, 0.45)), float(rng.uniform(0.75, 1.0)))
    return skin_tone(float(rng.random()))


def color_name(hsv: HSV) -> str | None:
    """The caption's word for a colour, or None for one in a gap between the words."""
    hue, saturation, value = hsv
    for name, (hues, saturations, values) in NAMES.items():
        in_hue = (hue - hues[0]) % 360 <= hues[1] - hues[0]
        if in_hue and saturations[0] <= saturation <= saturations[1] and values[0] <= value <= values[1]:
            return name
    return None


def skin_name(hsv: HSV) -> str | None:
    """The caption's word for a skin colour, or None."""
    nearest = int(np.argmin((np.abs(_SKIN_CURVE - np.array(hsv)) / (2.0, 0.02, 0.02)).max(1)))
    if (np.abs(_SKIN_CURVE[nearest] - np.array(hsv)) > (2.0, 0.02, 0.02)).any():
        return None
    t = nearest / (len(_SKIN_CURVE) - 1)
    return next((name for name, (low, high) in SKIN_NAMES.items() if low <= t <= high), None)


def rgb(hsv: HSV) -> tuple[int, int, int]:
    """sRGB in 0-255 of an HSV colour."""
    r, g, b = colorsys.hsv_to_rgb(hsv[0] / 360 % 1, min(max(hsv[1], 0), 1), min(max(hsv[2], 0), 1))
    return round(r * 255), round(g * 255), round(b * 255)


def lab(hsv: HSV) -> tuple[float, float, float]:
    """CIELAB (D65) of an HSV colour: L in [0, 100]."""
    return tuple(float(value) for value in lab_of_srgb(np.array(rgb(hsv), np.uint8)))


def nearest_name(colors: np.ndarray, skin: bool = False) -> list[str]:
    """The nearest word in NAMES (or SKIN_NAMES) for each CIELAB colour (N, 3), by CIEDE2000.

    Unlike `color_name` it always returns a word.
    """
    words, samples = _named_samples(skin)
    return [words[int(ciede2000(color, samples).argmin())] for color in np.asarray(colors)]


@cache
def _named_samples(skin: bool) -> tuple[list[str], np.ndarray]:
    """Words, and CIELAB colours (N, 3) all over the range of each: row i is a colour of word i."""
    found: list[tuple[str, tuple[float, float, float]]] = []
    if skin:
        for name, ends in SKIN_NAMES.items():
            found += [(name, lab(skin_tone(t))) for t in np.linspace(*ends, 7)]
    else:
        for name, ranges in NAMES.items():
            every = itertools.product(*(np.linspace(*ends, 7 if i == 0 else 4) for i, ends in enumerate(ranges)))
            found += [(name, lab((hue % 360, saturation, value))) for hue, saturation, value in every]
    words, samples = zip(*found, strict=True)
    return list(words), np.array(samples)


def darker(hsv: HSV, amount: float = 0.22) -> HSV:
    """The shadow tone of a colour: less value, a little more saturation, hue drawn towards violet."""
    hue, saturation, value = hsv
    towards = ((265 - hue + 180) % 360 - 180) * 0.08
    return ((hue + towards) % 360, min(1.0, saturation * (1 + 0.5 * amount) + 0.06), value * (1 - amount))


def lighter(hsv: HSV, amount: float = 0.4) -> HSV:
    """The highlight tone of a colour."""
    return (hsv[0], hsv[1] * (1 - amount), hsv[2] + (1 - hsv[2]) * amount)
