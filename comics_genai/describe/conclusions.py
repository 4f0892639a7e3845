"""Conclusions from the statistics of a set of drawings; every number and finding is computed from the set.

    for line in conclusions.overview(drawn, near=5, sizes=(512, 1024)): ...

The notebooks in 2_descriptive_stats end with them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from comics_genai.describe import coverage, hsv, palette
from comics_genai.describe import overview as measures
from comics_genai.describe.palette import CharacterColor, Color
from comics_genai.describe.studies import Study

CENTRED = 0.1  # of the drawing's side: a character's box is centred if it is no further from the middle
DARK = 0.7  # of the median value of the other drawings: a darker drawing is called dimmed
STEADY = 15.0  # degrees: mean hues that differ by less are called the same


def overview(drawn: Sequence[Study], near: int, sizes: Sequence[int]) -> list[str]:
    """Sentences on the files, duplicates, framing, likeness and missing values of at least two drawings."""
    layouts, colors = (_pairs(m) for m in (measures.layout_similarity(drawn), measures.color_similarity(drawn)))
    steady = "more alike than" if colors.min() > layouts.max() else "no more alike than"
    return [
        _files(drawn, sizes),
        *measures.duplicates_in_words(drawn, near),
        _framing(drawn),
        f"Two layouts are alike by {_range(layouts, 2)} (SSIM), and two characters share {_range(100 * colors, 0)} % "
        f"of their colours: the characters are {steady} the pictures around them.",
        _variation(drawn),
        *coverage.sentences(coverage.coverage([study.caption for study in drawn])),
    ]


def _files(drawn: Sequence[Study], sizes: Sequence[int]) -> str:
    stored = [study.stored for study in drawn]
    shapes = sorted({f"{s.width}×{s.height}" for s in stored})
    modes = sorted({f"{s.mode} of {s.bits} bits" for s in stored})
    square = sum(s.width == s.height for s in stored)
    padded = "none is padded" if square == len(drawn) else f"{len(drawn) - square} of them are padded to squares"
    scaled = [f"{size} px: {_list(sorted({measures.scaling(study, size) for study in drawn}))}" for size in sizes]
    return (
        f"The {len(drawn)} files are {_list(shapes)} pixels, {_list(modes)} a channel; {padded}. "
        f"What the sizes do to them, {'; '.join(scaled)}."
    )


def _framing(drawn: Sequence[Study]) -> str:
    framings = [measures.framing(study) for study in drawn]
    areas, margins = (100 * np.array([getattr(f, name) for f in framings]) for name in ("character", "margin"))
    middles = [(f.box[0] + f.box[2]) / 2 / study.mask.shape[1] for f, study in zip(framings, drawn, strict=True)]
    off = [study.name for study, middle in zip(drawn, middles, strict=True) if abs(middle - 0.5) > CENTRED]
    place = f"away from the middle in {_list(off)}" if off else "in the middle of every drawing"
    nearest = drawn[int(margins.argmin())].name
    return (
        f"The character stands {place}, covers {_range(areas, 0)} % of the paper, and comes nearest to an edge in "
        f"{nearest} (margin {margins.min():.0f} %). Fine-tuning learns this framing with the character."
    )


def _variation(drawn: Sequence[Study]) -> str:
    """The thirds of the picture's height that vary most and least."""
    thirds = [part.mean() for part in np.array_split(measures.variation(drawn), 3)]
    names = ("upper", "middle", "lower")
    most, least = int(np.argmax(thirds)), int(np.argmin(thirds))
    return (
        f"The {names[most]} third of the pictures varies most ({thirds[most]:.0f} units of CIELAB), the "
        f"{names[least]} third least ({thirds[least]:.0f})."
    )


def colors(
    drawn: Sequence[Study],
    whole: Sequence[Color],
    character: Sequence[CharacterColor],
    by_drawing: Mapping[str, Sequence[Color]],
    distances: Mapping[str, Sequence[float]],
) -> list[str]:
    """Sentences on the number of colours, the identity colours, the contrast, and what the distance can detect.

    distances: those of true drawings, then those of each change that was tried; see Image_ColorBreakdown.
    """
    identity = [color for color in character if color.is_identity]
    varying = [color for color in character if not color.is_identity]
    sizes = np.array([len(one) for one in by_drawing.values()])
    lines = [
        f"{len(whole)} colours are near enough for all drawings, {len(character)} for the character alone; one drawing "
        f"takes {_range(sizes, 0)}. The most frequent one is {_shown(max(whole, key=lambda color: color.share))}.",
        f"{len(identity)} of the character's {len(character)} colours are identity: "
        f"{_list([_shown(color) for color in identity]) or 'none'}.",
    ]
    for color in varying:
        absent = [name for name, share in color.shares.items() if share < palette.PRESENT_SHARE]
        lines.append(f"{_shown(color)} varies: {_list(absent)} {'does' if len(absent) == 1 else 'do'} not show it.")
    return [*lines, _contrast(drawn), _telling(distances)]


def _contrast(drawn: Sequence[Study]) -> str:
    found = {study.name: palette.contrast(study) for study in drawn}
    seen = {name: one for name, one in found.items() if np.isfinite(one.background_chroma)}
    if not seen:
        return "No drawing shows a background."
    own, around = (np.array([getattr(c, n) for c in seen.values()]) for n in ("chroma", "background_chroma"))
    vivid = [name for name, one in seen.items() if one.chroma > one.background_chroma]
    darker = [name for name, one in seen.items() if one.lightness < one.background_lightness]
    return (
        f"The character is more colourful than the background in {len(vivid)} of {len(seen)} drawings (chroma "
        f"{_range(own, 0)} against {_range(around, 0)}), and darker in {len(darker)}."
    )


def _telling(distances: Mapping[str, Sequence[float]]) -> str:
    (_, true), *changed = distances.items()
    seen = [f"{name} {min(values):.1f} at least" for name, values in changed if min(values) > max(true)]
    missed = [name for name, values in changed if min(values) <= max(true)]
    found = f"what it tells from them: {_list(seen)}" if seen else "it tells no change from them"
    overlooked = f"; what it does not: {_list(missed)}" if missed else ""
    return (
        f"True drawings are {_range(np.array(true), 1)} from the palette of the others; {found}{overlooked}. "
        f"A generated picture well above {max(true):.1f} has other colours than this character."
    )


def hues(drawn: Sequence[Study], turn: float, named: Sequence[hsv.Disagreement]) -> list[str]:
    """Sentences on warm and cool colours, the constancy of hue and brightness, and drawings that disagree.

    named: the disagreements that were found after the last drawing's hues were turned by `turn` degrees.
    """
    whole = {study.name: hsv.summary(study.colors.reshape(-1, 3)) for study in drawn}
    own = {study.name: hsv.summary(study.character) for study in drawn}
    warm = [name for name, one in whole.items() if one.warm > one.cool]
    shares, all_shares = (100 * np.array([one.warm for one in each.values()]) for each in (own, whole))
    return [
        f"Whole drawings are warm in {_range(all_shares, 0)} % of their pixels; {len(warm)} of {len(drawn)} are more "
        f"warm than cool ({_list(warm) or 'none'}).",
        f"The character is warm in {_range(shares, 0)} % of its pixels, {_hue_spread(own)}.",
        _dimmed(whole, own),
        _disagreement(drawn, turn, named),
    ]


def _hue_spread(own: Mapping[str, hsv.Summary]) -> str:
    means = np.array([one.hue for one in own.values() if np.isfinite(one.hue)])
    if not len(means):
        return "and no drawing of it has a hue"
    # Around the circle 359 and 1 are 2 apart, not 358.
    center = np.degrees(np.angle(np.exp(1j * np.radians(means)).mean())) % 360
    spread = float(np.ptp((means - center + 180) % 360))
    kept = "the same hues throughout" if spread <= STEADY else "hues that change from drawing to drawing"
    return f"with {kept}: the mean hue is {center:.0f}° and varies by {spread:.0f}°"


def _dimmed(whole: Mapping[str, hsv.Summary], own: Mapping[str, hsv.Summary]) -> str:
    usual = float(np.median([one.value for one in whole.values()]))
    dim = [name for name, one in whole.items() if one.value < DARK * usual]
    if not dim:
        return f"No drawing is dimmed (median value {usual:.2f} as a rule), so no dark light can be learned from them."
    own_usual = float(np.median([one.value for one in own.values()]))
    bright = [name for name in dim if own[name].value >= DARK * own_usual]
    values = ", ".join(f"{name} {whole[name].value:.2f}" for name in dim)
    told = f"Dimmed against a usual median value of {usual:.2f}: {values}."
    if not bright:
        return f"{told} The character is dimmed with them."
    stays = ", ".join(f"{name} {own[name].value:.2f}" for name in bright)
    return f"{told} The character stays bright there ({stays}), so how it looks in the dark is not shown."


def _disagreement(drawn: Sequence[Study], turn: float, named: Sequence[hsv.Disagreement]) -> str:
    found = hsv.outliers(drawn)
    agree = f"No drawing's colours disagree: hues are at most {_most_hue(drawn)} from the others'"
    told = "; ".join(map(str, found)) if found else agree
    noticed = any(one.drawing == drawn[-1].name and one.what == "hue" for one in named)
    seen = "is named" if noticed else "is not noticed"
    return f"{told}. A drawing whose hues are turned by {turn:g}° {seen}."


def _most_hue(drawn: Sequence[Study]) -> str:
    known = [value for value in hsv.distances(drawn)["hue"] if np.isfinite(value)]
    return f"{max(known):.1f}°" if known else "no degree"


def _shown(color: Color) -> str:
    return f"`{color.hex}` ({color.share:.0%})"


def _pairs(matrix: np.ndarray) -> np.ndarray:
    """The values above the diagonal of (n, n)."""
    return matrix[np.triu_indices(len(matrix), 1)]


def _range(values: np.ndarray, digits: int) -> str:
    low, high = (f"{value:.{digits}f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _list(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)
