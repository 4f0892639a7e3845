"""Diagrams for the notebooks: what each fine-tuning method trains, and what stays frozen."""

import textwrap
from typing import Literal

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from comics_genai.plotting.figures import COLORS, GRAPHITE, INK, PAPER, style

TRAINED, FROZEN = COLORS[1], "#e9e6ee"
HEIGHT = 0.62  # of a box
SIZE = 9.5  # points of a label
LETTERS = 11  # that fit in a unit of width


def method(name: Literal["dreambooth", "lora", "dreambooth-lora"]) -> Figure:
    """A training step from left to right, with the prior term below. Trained parts are coloured, frozen ones grey."""
    with style():
        figure, axes = plt.subplots(figsize=(8.2, 1.9 if name == "lora" else 4.2))
        axes.set(xlim=(0, 10.2), ylim=(1.4 if name == "lora" else -1.6, 3.6))
        axes.axis("off")
        adapted = name != "dreambooth"
        _row(axes, 2.0, "a drawing's latent, noised", "“UnicornGirl, a girl, …”", adapted, "its own noise or velocity")
        if name != "lora":
            _row(axes, 0.2, "the same latent", "“a girl, …”", adapted, "the frozen network's prediction")
            label(axes, 9.55, 1.4, "+ λ ·")
            label(axes, 5.35, 1.42, "the same network")
            _frozen(axes, adapted)
        legend = [(TRAINED, "trained"), (FROZEN, "frozen")]
        for i, (color, meaning) in enumerate(legend):
            box(axes, 0.2 + 1.5 * i, 3.3, 0.3, "", color, height=0.22)
            axes.text(0.6 + 1.5 * i, 3.41, meaning, va="center", color=INK, fontsize=SIZE)
    plt.close(figure)
    return figure


def _row(axes: Axes, bottom: float, latent: str, prompt: str, adapted: bool, target: str) -> None:
    """One term of the loss: a latent and a prompt through the UNet, against a target."""
    box(axes, 0.2, bottom + 0.38, 2.2, latent, PAPER)
    box(axes, 0.2, bottom - 0.42, 1.9, prompt, PAPER)
    box(axes, 2.5, bottom - 0.42, 1.35, "text encoders", FROZEN)
    box(axes, 4.3, bottom - 0.3, 2.1, "", FROZEN if adapted else TRAINED, height=1.2)
    if adapted:
        label(axes, 5.35, bottom + 0.68, "UNet, W")
        box(axes, 4.5, bottom - 0.15, 1.7, "+ (α/r) B A", TRAINED, height=0.5)
    else:
        label(axes, 5.35, bottom + 0.3, "UNet, every W")
    box(axes, 7.0, bottom - 0.02, 2.0, target, PAPER)
    label(axes, 9.55, bottom + 0.28, "‖ · ‖²")
    for start, end in (((2.4, bottom + 0.69), (4.3, bottom + 0.6)), ((2.1, bottom - 0.11), (2.5, bottom - 0.11))):
        arrow(axes, start, end)
    arrow(axes, (3.85, bottom - 0.11), (4.3, bottom))
    arrow(axes, (6.4, bottom + 0.29), (7.0, bottom + 0.29))
    arrow(axes, (9.0, bottom + 0.29), (9.25, bottom + 0.29))


def _frozen(axes: Axes, adapted: bool) -> None:
    """The frozen network below the prior's row: it gets the same inputs, and its prediction is the target."""
    text = "frozen network: " + ("the UNet with its adapter switched off" if adapted else "a copy of the UNet")
    box(axes, 4.3, -1.4, 2.1, text, FROZEN, height=0.75)
    box(axes, 0.2, -1.4, 2.2, "the same latent", PAPER)
    arrow(axes, (2.4, -1.1), (4.3, -1.1))
    arrow(axes, (3.2, -0.22), (4.3, -0.85))
    arrow(axes, (6.4, -1.02), (8.0, 0.18))


def box(axes: Axes, left: float, bottom: float, width: float, text: str, color: str, height: float = HEIGHT) -> None:
    """A rounded box with wrapped text in it."""
    shape = FancyBboxPatch(
        (left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.08", fc=color, ec=GRAPHITE, lw=0.8
    )
    axes.add_patch(shape)
    label(axes, left + width / 2, bottom + height / 2, textwrap.fill(text, int(LETTERS * width)))


def label(axes: Axes, x: float, y: float, text: str) -> None:
    """Text centred at a point."""
    axes.text(x, y, text, ha="center", va="center", color=INK, fontsize=SIZE)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A thin arrow."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GRAPHITE, "lw": 0.9})
