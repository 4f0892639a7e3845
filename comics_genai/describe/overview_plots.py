"""Figures of the overview: framing, likeness, the mean drawing, what captions cover."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comics_genai.describe import overview
from comics_genai.describe.coverage import Coverage
from comics_genai.describe.studies import Study
from comics_genai.plotting import figures

COLUMNS = 6  # pictures in a row
NUMBERED = 12  # drawings up to which a matrix shows its numbers


def framing(studies: Sequence[Study]) -> Figure:
    """Each drawing with its background paled, the character's box, and the square that a central crop would keep."""
    with figures.style():
        figure, axes = _panels(len(studies))
        for axis, study in zip(axes, studies, strict=True):
            found = overview.framing(study)
            pale = 255 - (255 - np.asarray(study.image).astype(float)) * np.where(study.mask, 1, 0.25)[..., None]
            axis.imshow(pale.round().astype(np.uint8))
            left, top, right, bottom = found.box
            _rectangle(axis, left, top, right, bottom, color=figures.COLORS[0], linewidth=1.6)
            height, width = study.mask.shape
            side = min(width, height)
            if width != height:
                x, y = (width - side) / 2, (height - side) / 2
                _rectangle(axis, x, y, x + side, y + side, color=figures.COLORS[1], linewidth=1.6, linestyle="--")
            axis.set_title(f"{study.label}: {found.character:.0%}", fontsize=8)
    plt.close(figure)
    return figure


def likeness(studies: Sequence[Study]) -> Figure:
    """Two matrices over the drawings: layout (SSIM) and shared colours of the characters."""
    names = [study.label for study in studies]
    side = min(5.0, 1.9 + 0.28 * len(names))
    with figures.style():
        figure, axes = plt.subplots(1, 2, figsize=(2.25 * side, side))
        shown = (
            ("Layout of the whole picture", overview.layout_similarity(studies), "SSIM"),
            ("Colours of the character", overview.color_similarity(studies), "share in common"),
        )
        for axis, (title, matrix, label) in zip(axes, shown, strict=True):
            image = axis.imshow(matrix, vmin=0, vmax=1, cmap="cividis")
            axis.set_title(title)
            axis.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0)
            axis.set_yticks(range(len(names)), names)
            axis.spines[:].set_visible(False)
            axis.tick_params(length=0)
            if len(names) <= NUMBERED:
                for (row, column), value in np.ndenumerate(matrix):
                    ink = figures.PAPER if value < 0.55 else figures.INK
                    axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
            figure.colorbar(image, ax=axis, label=label, shrink=0.85)
    plt.close(figure)
    return figure


def mean_and_variation(studies: Sequence[Study]) -> Figure:
    """The mean drawing beside the map of how far its pixels vary."""
    with figures.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.1))
        left.imshow(overview.mean_drawing(studies))
        left.set_title(f"Mean of the {len(studies)} drawings")
        image = right.imshow(overview.variation(studies), cmap="cividis", vmin=0)
        right.set_title("Variation")
        figure.colorbar(image, ax=right, label="standard deviation, CIELAB", shrink=0.9)
        for axis in (left, right):
            axis.axis("off")
    plt.close(figure)
    return figure


def coverage(found: Coverage) -> Figure:
    """A box for every value of every factor, with the number of drawings that show it; hatched if none does."""
    longest = max(len(values) for values in found.counts.values())
    most = max(1, max(count for values in found.counts.values() for count in values.values()))
    with figures.style():
        figure, axis = plt.subplots(figsize=(min(11, 1.0 + 1.25 * longest), 0.35 + 0.52 * len(found.counts)))
        for row, (factor, values) in enumerate(found.counts.items()):
            for column, (value, count) in enumerate(values.items()):
                style = (
                    {"facecolor": plt.get_cmap("Purples")(0.12 + 0.5 * count / most), "edgecolor": figures.PAPER}
                    if count
                    else {"facecolor": figures.PAPER, "edgecolor": "#bdb9c6", "hatch": "////"}
                )
                axis.add_patch(plt.Rectangle((column + 0.03, row + 0.06), 0.94, 0.88, linewidth=0.8, **style))
                words = textwrap.fill(value.removeprefix(factor + " "), 17)
                label = f"{words}\n{count}" if count else f"{words}\nnever"
                axis.text(
                    column + 0.5, row + 0.5, label, ha="center", va="center", fontsize=7, linespacing=1.1,
                    bbox=None if count else {"facecolor": figures.PAPER, "edgecolor": "none", "pad": 1},
                )  # fmt: skip
        axis.set(xlim=(0, longest), ylim=(len(found.counts), 0))
        axis.set_yticks([row + 0.5 for row in range(len(found.counts))], list(found.counts))
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    plt.close(figure)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.7 * columns, 1.95 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    return figure, list(axes.flat)[:count]


def _rectangle(axis: Axes, left: float, top: float, right: float, bottom: float, **line) -> None:
    axis.add_patch(plt.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, **line))
