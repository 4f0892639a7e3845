"""Hue, saturation and value of drawings: distributions, warm and cool, and drawings whose colours disagree."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.colors
import numpy as np

from comics_genai.describe.palette import sample
from comics_genai.describe.studies import Study

COLORED = (0.12, 0.15)  # least saturation and value: below them a hue is noise
WARM = (315.0, 75.0)  # degrees, red-violet to yellow: half of the painter's circle, where yellow faces violet
BINS = 36  # of hue, 10 degrees each
ROBUST_Z = 3.5  # z-score of an outlier by Iglewicz and Hoaglin (1993)
QUANTILES = np.linspace(0.005, 0.995, 100)
# Differences that no eye notices, for each of NAMES: a set that varies less has no outlier.
FLOORS = {"hue": 6.0, "saturation": 0.04, "value": 0.04}
NAMES = tuple(FLOORS)


def hsv(pixels: np.ndarray) -> np.ndarray:
    """Hue in degrees [0, 360), saturation and value in [0, 1] of pixels uint8 (..., 3). Smith 1978."""
    return matplotlib.colors.rgb_to_hsv(pixels / 255) * (360, 1, 1)


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Pixels uint8 (..., 3) with every hue turned by `degrees`, saturation and value as they were."""
    values = matplotlib.colors.rgb_to_hsv(pixels / 255)
    values[..., 0] = (values[..., 0] + degrees / 360) % 1
    return (255 * matplotlib.colors.hsv_to_rgb(values)).round().astype(np.uint8)


def colored(values: np.ndarray) -> np.ndarray:
    """The HSV values (N, 3) that have a hue, as (M, 3): without greys, black and white."""
    return values[(values[:, 1] >= COLORED[0]) & (values[:, 2] >= COLORED[1])]


def hue_histogram(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Share of all HSV values (N, 3) in each bin of hue, the first from 0 degrees; their sum is the coloured share."""
    counts, _ = np.histogram(colored(values)[:, 0], bins, (0, 360))
    return counts / max(1, len(values))


@dataclass(frozen=True)
class Summary:
    """One drawing's colours in numbers; shares are of all its pixels."""

    warm: float  # share whose hue is in WARM
    cool: float  # share of the other hues
    grey: float  # share without a hue
    hue: float  # circular mean in degrees, NaN without hues
    saturation: float  # median
    value: float  # median


def summary(pixels: np.ndarray) -> Summary:
    """Summary of pixels uint8 (N, 3)."""
    values = hsv(pixels.reshape(-1, 3))
    hues = colored(values)[:, 0]
    count = max(1, len(values))
    warm = int(((hues >= WARM[0]) | (hues < WARM[1])).sum())
    return Summary(
        warm / count,
        (len(hues) - warm) / count,
        (len(values) - len(hues)) / count,
        float(np.degrees(np.angle(np.exp(1j * np.radians(hues)).mean())) % 360) if len(hues) else float("nan"),
        *(float(median) for median in np.median(values[:, 1:], axis=0)),
    )


def hue_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The mean degrees by which hues must turn to change one histogram (bins,) into the other.

    This is the earth mover's distance on a circle (Rabin, Delon and Gousseau 2011); NaN if one has no hues.
    """
    if first.sum() == 0 or second.sum() == 0:
        return float("nan")
    steps = np.cumsum(first / first.sum() - second / second.sum())
    return float(np.abs(steps - np.median(steps)).sum() * 360 / len(steps))


def line_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Earth mover's distance between values on a line, (N,) and (M,): the mean difference of their quantiles."""
    return float(np.abs(np.quantile(first, QUANTILES) - np.quantile(second, QUANTILES)).mean())


@dataclass(frozen=True)
class Disagreement:
    """How a drawing's character differs from the other drawings' in one of NAMES."""

    drawing: str
    what: str  # hue | saturation | value
    distance: float  # median distance to the others; degrees of hue, else in [0, 1]
    usual: float  # the same, median over all drawings
    z: float  # robust z-score

    def __str__(self) -> str:
        unit, digits = ("°", 0) if self.what == "hue" else ("", 2)
        return (
            f"{self.drawing} disagrees in {self.what}: {self.distance:.{digits}f}{unit} from the others, where "
            f"{self.usual:.{digits}f}{unit} is usual"
        )


def distances(studies: Sequence[Study]) -> dict[str, np.ndarray]:
    """Median distance of each drawing's character to all others', by NAMES: (n,); NaN where there are no others."""
    values = [hsv(sample([study.character])) for study in studies]
    hues = [hue_histogram(value, 72) for value in values]
    measured = {
        "hue": lambda i, j: hue_distance(hues[i], hues[j]),
        "saturation": lambda i, j: line_distance(values[i][:, 1], values[j][:, 1]),
        "value": lambda i, j: line_distance(values[i][:, 2], values[j][:, 2]),
    }
    found = {}
    for name, measure in measured.items():
        rows = [[measure(i, j) for j in range(len(studies)) if j != i] for i in range(len(studies))]
        known = [[distance for distance in row if np.isfinite(distance)] for row in rows]
        found[name] = np.array([np.median(row) if row else np.nan for row in known])
    return found


def center_and_spread(values: np.ndarray, name: str) -> tuple[float, float]:
    """Median of one of `distances`, and its spread as a standard deviation; NaN where no value is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    center = float(np.median(known))
    # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    return center, max(1.4826 * float(np.median(np.abs(known - center))), FLOORS[name])


def outliers(studies: Sequence[Study]) -> list[Disagreement]:
    """The drawings whose character's colours disagree with the rest; [] for fewer than three drawings.

    A drawing is an outlier if its distance to the others has a robust z-score (by the median absolute deviation) of
    3.5. The spread is taken to be at least as large as a difference that no eye notices.
    """
    if len(studies) < 3:
        return []
    named = []
    for name, values in distances(studies).items():
        usual, spread = center_and_spread(values, name)
        for study, value in zip(studies, values, strict=True):
            z = (value - usual) / spread
            if z > ROBUST_Z:
                named.append(Disagreement(study.name, name, float(value), usual, float(z)))
    return sorted(named, key=lambda one: -one.z)
