"""Figures of hue, saturation and value: polar histograms, distributions, the cylinder, warm against cool."""

from collections.abc import Mapping, Sequence

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from comics_genai.describe.hsv import BINS, NAMES, ROBUST_Z, Summary, center_and_spread, distances, hsv, hue_histogram
from comics_genai.describe.palette import sample
from comics_genai.describe.studies import Study
from comics_genai.plotting import figures

PIXELS = 2500  # in the cylinder: a dot for each colour, as large as it is frequent
WARM_COLOR, COOL_COLOR, GREY_COLOR = "#eda75f", "#9dc3e6", "#bdb9c6"
DIRECTIONS = ("red", "yellow", "green", "cyan", "blue", "magenta")


def hue_roses(pixels: Mapping[str, np.ndarray], columns: int = 6) -> Figure:
    """A polar histogram of hue for each name, of pixels uint8 (N, 3). The area of a wedge is its share."""
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    with figures.style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(1.85 * columns, 2.1 * rows), squeeze=False, subplot_kw={"projection": "polar"}
        )
        angles = np.radians((np.arange(BINS) + 0.5) * 360 / BINS)
        shades = matplotlib.colors.hsv_to_rgb([(angle / (2 * np.pi), 0.75, 0.88) for angle in angles])
        radii = {name: np.sqrt(hue_histogram(hsv(part))) for name, part in pixels.items()}
        longest = max(1e-6, max(radius.max() for radius in radii.values()))
        for axis in axes.flat[len(pixels) :]:
            axis.axis("off")
        for axis, (name, radius) in zip(axes.flat, radii.items(), strict=False):
            axis.bar(angles, radius, width=2 * np.pi / BINS, color=shades, edgecolor=figures.INK, linewidth=0.3)
            axis.set_ylim(0, longest * 1.05)
            axis.set_yticks([])
            axis.set_xticks(np.radians(np.arange(0, 360, 60)), DIRECTIONS, fontsize=6)
            axis.tick_params(pad=-3)
            axis.spines["polar"].set_color("#d6d3dc")
            axis.grid(color="#e6e4ea", linewidth=0.5)
            axis.set_title(f"{name}\n{(radius**2).sum():.0%} coloured", loc="center", fontsize=8)
    plt.close(figure)
    return figure


def saturation_and_value(pixels: Mapping[str, np.ndarray]) -> Figure:
    """The distributions of saturation and value for each name, as violins with medians."""
    values = {name: hsv(sample([part])) for name, part in pixels.items()}
    with figures.style():
        figure, axes = plt.subplots(1, 2, figsize=(9, 2.7), sharey=True)
        for axis, channel, title in zip(axes, (1, 2), ("Saturation", "Value"), strict=True):
            drawn = axis.violinplot(
                [value[:, channel] for value in values.values()], widths=0.85, showextrema=False, showmedians=True,
                points=60, bw_method=_bandwidth,
            )  # fmt: skip
            for body in drawn["bodies"]:
                body.set(facecolor=figures.COLORS[0], alpha=0.45, edgecolor=figures.COLORS[0])
            drawn["cmedians"].set(color=figures.INK, linewidth=1.5)
            axis.set_xticks(range(1, len(values) + 1), list(values), rotation=0 if len(values) < 9 else 60)
            axis.set(title=title, ylim=(-0.02, 1.02))
        axes[0].set_ylabel("0-1, bar = median")
    plt.close(figure)
    return figure


def cylinder(pixels: Mapping[str, np.ndarray]) -> Figure:
    """Draw colours in the HSV cylinder (hue around, saturation outwards, value up) as dots; frequent ones are large."""
    with figures.style():
        figure, axes = plt.subplots(
            1, len(pixels), figsize=(4.3 * len(pixels), 4), squeeze=False, subplot_kw={"projection": "3d"}
        )
        turn = np.linspace(0, 2 * np.pi, 120)
        clear = {"facecolor": figures.PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        for axis, (name, part) in zip(axes[0], pixels.items(), strict=True):
            chosen, counts = np.unique(sample([part], PIXELS), axis=0, return_counts=True)
            hue, saturation, value = np.moveaxis(hsv(chosen), -1, 0)
            x, y = saturation * np.cos(np.radians(hue)), saturation * np.sin(np.radians(hue))
            for height in (0, 1):
                axis.plot(np.cos(turn), np.sin(turn), height, color=figures.GRAPHITE, linewidth=0.7)
            size = 9 + 500 * counts / counts.sum()
            axis.scatter(x, y, value, c=chosen / 255, s=size, depthshade=False, edgecolors="#00000050", linewidths=0.4)
            for angle, word in zip(np.radians(np.arange(0, 360, 60)), DIRECTIONS, strict=True):
                place = (1.25 * np.cos(angle), 1.25 * np.sin(angle), 0)
                axis.text(*place, word, fontsize=7, ha="center", va="center", color=figures.GRAPHITE, bbox=clear)
            axis.plot([0, 0], [0, 0], [0, 1], color=figures.GRAPHITE, linewidth=0.7)
            for height, word in ((1.13, "white"), (-0.12, "black")):
                axis.text(0, 0, height, word, fontsize=7, ha="center", color=figures.GRAPHITE)
            axis.set_title(name, loc="center")
            axis.set_axis_off()
            axis.set_box_aspect((1, 1, 0.8), zoom=1.25)
            axis.view_init(elev=24, azim=-70)
    plt.close(figure)
    return figure


def warm_and_cool(summaries: Mapping[str, Summary]) -> Figure:
    """A bar with the warm, cool and grey shares for each name."""
    with figures.style():
        figure, axis = plt.subplots(figsize=(6.5, 0.75 + 0.27 * len(summaries)))
        parts = (("warm", WARM_COLOR, ""), ("cool", COOL_COLOR, "///"), ("grey", GREY_COLOR, "..."))
        left = np.zeros(len(summaries))
        for name, color, hatch in parts:
            width = 100 * np.array([getattr(found, name) for found in summaries.values()])
            axis.barh(
                list(summaries), width, left=left, color=color, hatch=hatch, edgecolor=figures.PAPER, height=0.75,
                label=name,
            )  # fmt: skip
            for row, (start, share) in enumerate(zip(left, width, strict=True)):
                if share >= 6:
                    box = {"facecolor": color, "edgecolor": "none", "pad": 1.2}
                    axis.text(start + share / 2, row, f"{share:.0f}", ha="center", va="center", fontsize=7, bbox=box)
            left = left + width
        axis.invert_yaxis()
        axis.set(xlabel="% of pixels", xlim=(0, 100))
        figure.legend(loc="outside upper right", ncols=3)
    plt.close(figure)
    return figure


def disagreement(studies: Sequence[Study]) -> Figure:
    """How much each drawing's character differs from the others in hue, saturation and value; and outlier limits."""
    names = [study.label for study in studies]
    with figures.style():
        figure, axes = plt.subplots(1, 3, figsize=(9, 0.9 + 0.2 * len(names)), sharey=True)
        for axis, what, values in zip(axes, NAMES, distances(studies).values(), strict=True):
            usual, spread = center_and_spread(values, what)
            limit = usual + ROBUST_Z * spread
            beyond = values > limit
            colors = np.where(beyond, figures.COLORS[1], figures.COLORS[2])
            axis.hlines(range(len(names)), 0, values, color=colors, linewidth=1.4)
            axis.scatter(values, range(len(names)), c=colors, s=28)
            if len(names) > 2 and np.isfinite(limit):
                axis.axvline(limit, color=figures.INK, linewidth=0.9, linestyle="--")
            unit = "degrees" if what == "hue" else "0-1"
            axis.set(title=what.capitalize(), xlabel=f"distance to the others, {unit}", xlim=(0, None))
            axis.margins(x=0.08)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
    plt.close(figure)
    return figure


def _bandwidth(kernel) -> float:
    """A narrow kernel, because flat colours are spikes that a wide one would merge."""
    return 0.12
