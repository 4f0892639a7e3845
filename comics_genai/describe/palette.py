"""The colours of drawings: palettes, those that are the identity, and how far a picture is from a palette.

    girl = studies.load("1_data/unicorn_girl")
    colors = character_colors(girl)
    palette_distance(picture, [color for color in colors if color.is_identity])
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from comics_genai import environment
from comics_genai.describe.clusters import choose_k, errors, kmeans
from comics_genai.describe.studies import Study
from comics_genai.errors import UserError
from comics_genai.files import write_atomic
from comics_genai.world.color_difference import ciede2000, lab_of_srgb

SAMPLE = 3000  # number of pixels from which a palette is made
TOLERANCE = 5.0  # the largest mean CIEDE2000 from a picture to its palette
CHARACTER_TOLERANCE = 3.0  # smaller for the character, whose small parts distinguish it from others
PRESENT_WITHIN = 10.0  # CIEDE2000 within which a pixel shows a colour
PRESENT_SHARE = 0.005  # share of a character's pixels; a smaller share may come from blurred edges
METRIC_SIDE = 96  # pixels of the longer side at which a picture is compared with a palette


@dataclass(frozen=True)
class Color:
    """A colour of a palette."""

    hex: str  # sRGB, "#rrggbb"
    share: float  # of the pixels, in [0, 1]

    @property
    def rgb(self) -> np.ndarray:
        """sRGB, uint8 (3,)."""
        return np.frombuffer(bytes.fromhex(self.hex[1:]), np.uint8)


@dataclass(frozen=True)
class CharacterColor(Color):
    """A colour of the character, and how much of each drawing's character has it (within PRESENT_WITHIN)."""

    shares: Mapping[str, float]  # drawing's name -> share of its character

    @property
    def is_identity(self) -> bool:
        """Whether every drawing shows it."""
        return min(self.shares.values()) >= PRESENT_SHARE


def sample(colors: Sequence[np.ndarray], count: int = SAMPLE, seed: int = 0) -> np.ndarray:
    """About `count` pixels uint8 (N, 3), as many from each array of pixels (..., 3), chosen by the seed."""
    rng = np.random.default_rng(seed)
    pixels = [array.reshape(-1, 3) for array in colors if array.size]
    each = max(1, count // max(1, len(pixels)))
    chosen = [array[np.sort(rng.choice(len(array), min(each, len(array)), replace=False))] for array in pixels]
    return np.concatenate(chosen) if chosen else np.zeros((0, 3), np.uint8)


def palette(pixels: np.ndarray, k: int | None = None, tolerance: float = TOLERANCE, seed: int = 0) -> list[Color]:
    """The palette of pixels uint8 (N, 3), the largest share first: clusters in CIELAB, each shown by one of its pixels.

    k: number of colours, by default the fewest within `tolerance` (`clusters.choose_k`). Raises UserError without
    pixels.
    """
    if not len(pixels):
        raise UserError("A palette needs pixels, and there are none: give a drawing, or a character that is visible.")
    lab = lab_of_srgb(pixels)
    if k is None:
        k = choose_k(errors(lab, seed=seed, enough=tolerance), tolerance)
    centres, labels = kmeans(lab, k, seed)
    found = []
    for cluster in range(len(centres)):
        members = labels == cluster
        if members.any():
            # The median of flat colours is one of them; their mean would lie between them.
            middle = np.median(lab[members], axis=0)
            nearest = np.linalg.norm(lab[members] - middle, axis=-1).argmin()
            found.append(Color("#" + bytes(pixels[members][nearest]).hex(), float(members.mean())))
    return sorted(found, key=lambda color: (-color.share, color.hex))


def character_colors(
    studies: Sequence[Study], k: int | None = None, tolerance: float = CHARACTER_TOLERANCE, seed: int = 0
) -> list[CharacterColor]:
    """The palette of the character over all drawings, each with its share in every one of them."""
    pixels = sample([study.character for study in studies], seed=seed)
    colors = palette(pixels, k, tolerance, seed)
    shares = {study.name: shares_of(study.character, colors) for study in studies}
    return [
        CharacterColor(color.hex, color.share, {name: float(share[i]) for name, share in shares.items()})
        for i, color in enumerate(colors)
    ]


def shares_of(pixels: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Share of pixels uint8 (N, 3) whose nearest colour is each, and within PRESENT_WITHIN of it: (colours,)."""
    distances = _distances(sample([pixels]), colors)
    nearest = np.where(distances.min(1) <= PRESENT_WITHIN, distances.argmin(1), len(colors))
    return np.bincount(nearest, minlength=len(colors) + 1)[:-1] / max(1, len(nearest))


@dataclass(frozen=True)
class Contrast:
    """A character against its background: means in CIELAB, NaN without a background."""

    lightness: float  # [0, 100]
    background_lightness: float
    chroma: float  # 0 is grey
    background_chroma: float


def contrast(study: Study) -> Contrast:
    """How light and how colourful the character and its background are."""
    means = []
    for pixels in (study.character, study.background):
        lab = lab_of_srgb(pixels)
        chroma = np.hypot(lab[:, 1], lab[:, 2])
        means.append((float(lab[:, 0].mean()), float(chroma.mean())) if len(lab) else (float("nan"),) * 2)
    (lightness, chroma), (background_lightness, background_chroma) = means
    return Contrast(lightness, background_lightness, chroma, background_chroma)


def palette_distance(
    picture: PIL.Image.Image | np.ndarray, colors: Sequence[Color], mask: np.ndarray | None = None
) -> float:
    """The distance of a picture's colours from a palette: mean CIEDE2000, 0 if they are equal.

    It is the mean of two directions, like the chamfer distance (Barrow et al. 1977). The distance from the picture's
    pixels to the nearest colour of the palette finds foreign colours. The distance from the palette's colours, weighted
    by their shares, to the nearest half percent of the pixels finds missing colours. The amount of each colour does not
    count, because it changes with the pose.

    picture: RGB, or pixels uint8 (..., 3); mask: bool (height, width), True where the picture counts.
    """
    foreign, missing = palette_distances(picture, colors, mask)
    return (foreign + missing) / 2


def palette_distances(
    picture: PIL.Image.Image | np.ndarray, colors: Sequence[Color], mask: np.ndarray | None = None
) -> tuple[float, float]:
    """Both directions of `palette_distance`: how foreign the picture's colours are, and how much is missing."""
    if not colors:
        raise UserError("The palette has no colour to compare the picture with: give at least one.")
    pixels = np.asarray(picture.convert("RGB") if isinstance(picture, PIL.Image.Image) else picture)
    if mask is not None:
        pixels = pixels[mask]
    if not pixels.size:
        raise UserError("There is no pixel to compare with the palette: the picture or its mask is empty.")
    distances = _distances(sample([pixels], METRIC_SIDE**2), colors)
    shares = np.array([color.share for color in colors])
    missing = np.quantile(distances, PRESENT_SHARE, axis=0) @ (shares / shares.sum())
    return float(distances.min(1).mean()), float(missing)


def left_out_distances(studies: Sequence[Study], seed: int = 0) -> dict[str, float]:
    """`palette_distance` of each drawing's character to the palette of all others: the scores of true drawings."""
    if len(studies) < 2:
        raise UserError(f"To hold a drawing against the others takes 2, and there is {len(studies) or 'none'}.")
    found = {}
    for study in studies:
        others = palette(sample([s.character for s in studies if s is not study], seed=seed), None, CHARACTER_TOLERANCE)
        found[study.name] = palette_distance(study.character, others)
    return found


def report_path(source: str | Path, root: Path | None = None) -> Path:
    """The file for the palette of the drawings in `source`: runs/descriptive_stats/<source>/palette.json."""
    root = root or environment.root()
    text = str(source)
    if Path(source).is_absolute() and Path(source).is_relative_to(root):
        text = str(Path(source).relative_to(root))
    name = re.sub(r"[^\w.-]+", "_", text).strip("_.") or "drawings"
    return root / "runs" / "descriptive_stats" / name / "palette.json"


def save(
    source: str | Path,
    whole: Sequence[Color],
    character: Sequence[CharacterColor],
    by_drawing: Mapping[str, Sequence[Color]],
    left_out: Mapping[str, float],
    root: Path | None = None,
) -> Path:
    """Write the drawings' colours for later notebooks, atomically; returns the file.

    {"palette": [{hex, share}], "character": [{hex, share, is_identity, shares: {drawing: share}}],
    "drawings": {name: [{hex, share}]}, "left_out_distances": {name: CIEDE2000}}
    """

    def plain(colors: Sequence[Color]) -> list[dict[str, Any]]:
        return [{"hex": color.hex, "share": round(color.share, 4)} for color in colors]

    content = {
        "palette": plain(whole),
        "character": [
            record | {"is_identity": color.is_identity, "shares": {n: round(s, 4) for n, s in color.shares.items()}}
            for record, color in zip(plain(character), character, strict=True)
        ],
        "drawings": {name: plain(colors) for name, colors in by_drawing.items()},
        "left_out_distances": {name: round(distance, 2) for name, distance in left_out.items()},
    }
    path = report_path(source, root)
    write_atomic(path, (json.dumps(content, indent=2) + "\n").encode())
    return path


def load_identity(source: str | Path, root: Path | None = None) -> list[CharacterColor]:
    """The identity colours that `save` wrote. Raises UserError if they were not."""
    path = report_path(source, root)
    if not path.is_file():
        raise UserError(f"{path} is not there: run 2_descriptive_stats/Image_ColorBreakdown.ipynb on these drawings.")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["character"]
        colors = [CharacterColor(r["hex"], r["share"], r["shares"]) for r in records if r["is_identity"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: delete it and run Image_ColorBreakdown.ipynb again.") from error
    return colors


def _distances(pixels: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """CIEDE2000 from every pixel to every colour: (N, colours)."""
    lab = lab_of_srgb(np.stack([color.rgb for color in colors]))
    unique, index = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    return ciede2000(lab_of_srgb(unique)[:, None], lab[None])[index.ravel()]
