"""Figures of palettes: the choice of k, swatches, proportional bars, histograms, identity colours."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from comics_genai.describe.clusters import choose_k
from comics_genai.describe.palette import PRESENT_SHARE, CharacterColor, Color, Contrast
from comics_genai.describe.studies import Study
from comics_genai.plotting import figures
from comics_genai.world.color_difference import lab_of_srgb

SWATCHES = 8  # in a row


def elbow(curves: Mapping[str, tuple[np.ndarray, float]]) -> Figure:
    """Error over k, for each name a curve of `clusters.errors` and the tolerance that chooses its k."""
    with figures.style():
        figure, axis = plt.subplots(figsize=(6, 2.9))
        for (name, (curve, tolerance)), color, marker in zip(curves.items(), figures.COLORS, "os^D", strict=False):
            k = choose_k(curve, tolerance)
            axis.plot(range(1, len(curve) + 1), curve, f"{marker}-", color=color, markersize=3.5, linewidth=1.2)
            axis.axhline(tolerance, color=color, linewidth=0.8, linestyle=":")
            axis.plot(k, curve[k - 1], marker, color=color, markersize=10, fillstyle="none", markeredgewidth=1.6)
            axis.plot([], [], f"{marker}-", color=color, label=f"{name}: k = {k}, at most {tolerance:g}")
        axis.set(xlabel="colours k", ylabel="mean CIEDE2000", ylim=(0, None), title="Distance from pixels to palette")
        axis.xaxis.get_major_locator().set_params(integer=True)
        figures.legend_below(axis, 2)
    plt.close(figure)
    return figure


def swatches(colors: Sequence[Color], title: str = "") -> Figure:
    """Swatches with hex codes and shares, above a bar in proportion to the shares."""
    columns = min(SWATCHES, len(colors))
    rows = -(-len(colors) // columns)
    with figures.style():
        figure, (axis, bar) = plt.subplots(
            2, 1, figsize=(1.05 * columns + 0.3, 0.95 * rows + 0.85), height_ratios=[0.95 * rows, 0.4]
        )
        for i, color in enumerate(colors):
            x, y = i % columns, i // columns
            axis.add_patch(plt.Rectangle((x + 0.04, y + 0.05), 0.92, 0.9, facecolor=color.hex, edgecolor="#00000022"))
            label = f"{color.hex}\n{color.share:.1%}"
            axis.text(x + 0.5, y + 0.5, label, ha="center", va="center", fontsize=7.5, color=_ink(color))
        axis.set(xlim=(0, columns), ylim=(rows, 0), title=title)
        _bar(bar, colors)
        for part in (axis, bar):
            part.axis("off")
    plt.close(figure)
    return figure


def palette_rows(studies: Sequence[Study], palettes: Mapping[str, Sequence[Color]]) -> Figure:
    """A row for each drawing: a small picture and its palette as a proportional bar, with hex codes if they fit."""
    with figures.style():
        figure, axes = plt.subplots(
            len(studies), 2, figsize=(9, 0.8 * len(studies) + 0.1), width_ratios=[1, 9], squeeze=False
        )
        for (picture, bar), study in zip(axes, studies, strict=True):
            picture.imshow(study.image)
            picture.axis("off")
            _bar(bar, palettes[study.name], text=True)
            bar.set_title(study.label, fontsize=8, pad=2)
            bar.axis("off")
    plt.close(figure)
    return figure


def character_and_background(parts: Mapping[str, Sequence[Color]]) -> Figure:
    """A bar in proportion for each named palette, with hex codes where they fit; an empty one is left out."""
    shown = {name: colors for name, colors in parts.items() if colors}
    with figures.style():
        figure, axes = plt.subplots(len(shown), 1, figsize=(9, 0.85 * len(shown)), squeeze=False)
        for axis, (name, colors) in zip(axes[:, 0], shown.items(), strict=True):
            _bar(axis, colors, text=True)
            axis.set_title(name, fontsize=8, pad=2)
            axis.axis("off")
    plt.close(figure)
    return figure


def contrast(contrasts: Mapping[str, Contrast]) -> Figure:
    """Lightness and chroma of each drawing's character (filled) and its background (hollow)."""
    rows = range(len(contrasts))
    with figures.style():
        figure, axes = plt.subplots(1, 2, figsize=(8, 1.0 + 0.2 * len(contrasts)), sharey=True)
        for axis, what in zip(axes, ("lightness", "chroma"), strict=True):
            character = [getattr(found, what) for found in contrasts.values()]
            background = [getattr(found, f"background_{what}") for found in contrasts.values()]
            axis.hlines(rows, character, background, color=figures.GRAPHITE, linewidth=1)
            axis.plot(character, rows, "o", color=figures.COLORS[0], markersize=6, label="character")
            axis.plot(background, rows, "o", color=figures.COLORS[0], markersize=6, markerfacecolor=figures.PAPER,
                      label="background")  # fmt: skip
            axis.set(xlabel=f"mean {what}, CIELAB", xlim=(0, 100 if what == "lightness" else None))
        axes[0].set_yticks(rows, list(contrasts))
        axes[0].invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    plt.close(figure)
    return figure


def rgb_histograms(studies: Sequence[Study]) -> Figure:
    """Red, green and blue of all drawings together: the character's pixels above, the background's below."""
    parts = {
        "character": np.concatenate([study.character for study in studies]),
        "background": np.concatenate([study.background for study in studies]),
    }
    shown = {name: pixels for name, pixels in parts.items() if len(pixels)}
    # The three primaries in shades that colour-blind people can distinguish, and in three dash styles.
    lines = (("red", "#d55e00", "-"), ("green", "#009e73", "--"), ("blue", "#0072b2", "-."))
    with figures.style():
        figure, axes = plt.subplots(1, len(shown), figsize=(4.2 * len(shown), 2.6), sharey=True, squeeze=False)
        for axis, (name, pixels) in zip(axes[0], shown.items(), strict=True):
            for channel, (label, color, dash) in enumerate(lines):
                counts, edges = np.histogram(pixels[:, channel], 32, (0, 256))
                share = 100 * counts / len(pixels)
                axis.stairs(share, edges, color=color, linestyle=dash, label=label, linewidth=1.4)
                axis.stairs(share, edges, color=color, fill=True, alpha=0.08)
            axis.set(xlabel="value, 0-255", title=f"The {name}s", xlim=(-4, 260))
        axes[0][0].set_ylabel("% of pixels")
        figures.legend_below(axes[0][0], 3)
    plt.close(figure)
    return figure


def identity(colors: Sequence[CharacterColor], labels: Sequence[str]) -> Figure:
    """The share of each of the character's colours in every drawing; colours that some drawings lack are marked.

    labels: those of the drawings, in the order of the colours' shares.
    """
    names = list(colors[0].shares)
    shares = np.array([[color.shares[name] for name in names] for color in colors])
    with figures.style():
        figure, axis = plt.subplots(figsize=(2.6 + 0.55 * min(len(names), 16), 0.7 + 0.27 * len(colors)))
        largest = max(shares.max(), 1e-6)
        for row, color in enumerate(colors):
            axis.add_patch(plt.Rectangle((-4, row - 0.42), 0.9, 0.84, facecolor=color.hex, edgecolor="#00000022"))
            axis.text(-2.95, row, color.hex, va="center", fontsize=7.5)
            if not color.is_identity:
                axis.text(-1.55, row, "varies", va="center", fontsize=7.5, style="italic", color=figures.GRAPHITE)
            for column, share in enumerate(shares[row]):
                _dot(axis, column, row, share / largest, color.hex, share >= PRESENT_SHARE)
        axis.set(xlim=(-4.1, len(names) - 0.4), ylim=(len(colors) - 0.4, -0.6))
        axis.set_xticks(range(len(names)), list(labels), rotation=45 if len(labels[0]) > 8 else 0)
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        axis.set_title("Share of the character, by drawing (× = absent)")
    plt.close(figure)
    return figure


def distances(groups: Mapping[str, Sequence[float]]) -> Figure:
    """Palette distances of groups of pictures: a dot for each picture, and a line at each group's mean."""
    with figures.style():
        figure, axis = plt.subplots(figsize=(6, 0.7 + 0.42 * len(groups)))
        for row, (values, color) in enumerate(zip(groups.values(), figures.COLORS * 4, strict=False)):
            axis.plot(values, [row] * len(values), "o", color=color, alpha=0.75, markersize=5)
            axis.plot([np.mean(values)] * 2, [row - 0.3, row + 0.3], color=color, linewidth=2)
        axis.set_yticks(range(len(groups)), list(groups))
        axis.set(xlabel="palette distance, CIEDE2000", xlim=(0, None), ylim=(len(groups) - 0.5, -0.5))
    plt.close(figure)
    return figure


def _dot(axis, x: float, y: float, size: float, color: str, present: bool) -> None:
    if present:
        axis.scatter(x, y, s=14 + 190 * size, color=color, edgecolors=figures.INK, linewidths=0.7)
    else:
        axis.scatter(x, y, s=16, color=figures.GRAPHITE, marker="x", linewidths=0.9)


def _bar(axis, colors: Sequence[Color], text: bool = False) -> None:
    left, total = 0.0, sum(color.share for color in colors)
    for color in colors:
        width = color.share / total
        axis.add_patch(plt.Rectangle((left, 0), width, 1, facecolor=color.hex, edgecolor="none"))
        if text and width > 0.075:
            axis.text(left + width / 2, 0.5, color.hex, ha="center", va="center", fontsize=6.5, color=_ink(color))
        left += width
    axis.add_patch(plt.Rectangle((0, 0), 1, 1, fill=False, edgecolor="#00000033", linewidth=0.8))
    axis.set(xlim=(-0.002, 1.002), ylim=(-0.03, 1.03))


def _ink(color: Color) -> str:
    """Ink or paper, whichever is legible on the colour."""
    return figures.INK if lab_of_srgb(color.rgb)[0] > 55 else figures.PAPER
