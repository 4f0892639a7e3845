"""The figures that are drawings of a method: latent diffusion, and the loop that learns from its own pictures."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comics_genai.documents.sources import Sources
from comics_genai.plotting import diagrams, figures


def latent_diffusion(sources: Sources) -> Figure:
    """From words and noise to a picture: text encoders, UNet in a loop, decoder."""
    with figures.style():
        figure, axes = _canvas(8.4, 2.7, (0, 10.4), (0, 3.3))
        diagrams.box(axes, 0.1, 2.3, 1.7, "“a drawing of …”", figures.PAPER)
        diagrams.box(axes, 2.3, 2.3, 1.7, "text encoders", diagrams.FROZEN)
        diagrams.box(axes, 0.1, 0.9, 1.7, "noise, 16 × 16", figures.PAPER)
        diagrams.box(axes, 2.9, 0.6, 2.4, "UNet predicts v", diagrams.TRAINED, height=1.1)
        diagrams.box(axes, 6.0, 0.9, 1.7, "latents, less noisy", figures.PAPER)
        diagrams.box(axes, 8.3, 0.9, 1.2, "decoder", diagrams.FROZEN)
        diagrams.label(axes, 10.0, 1.2, "picture")
        diagrams.label(axes, 5.4, 0.12, "again, for every step of the sampler")
        _arrows(axes, [((1.8, 2.6), (2.3, 2.6)), ((3.5, 2.3), (3.9, 1.7)), ((1.8, 1.2), (2.9, 1.2))])
        _arrows(axes, [((5.3, 1.2), (6.0, 1.2)), ((7.7, 1.2), (8.3, 1.2)), ((9.5, 1.2), (9.7, 1.2))])
        axes.plot([6.8, 6.8, 4.1], [0.9, 0.3, 0.3], color=figures.GRAPHITE, linewidth=0.9)
        _arrows(axes, [((4.1, 0.3), (4.1, 0.6))])
    plt.close(figure)
    return figure


def loop(sources: Sources) -> Figure:
    """The loop: draw, keep pictures of her in a new pose that are no copies, add them to the six, train again."""
    with figures.style():
        figure, axes = _canvas(7.4, 2.3, (0, 10), (0, 2.9))
        steps = ("six drawings", "fine-tune", "draw new poses", "keep: her, new pose, no copy")
        for i, (step, color) in enumerate(
            zip(steps, (figures.PAPER, diagrams.TRAINED, figures.PAPER, diagrams.FROZEN), strict=True)
        ):
            diagrams.box(axes, 0.2 + 2.5 * i, 1.5, 1.9, step, color, height=0.8)
        _arrows(axes, [((2.1 + 2.5 * i, 1.9), (2.7 + 2.5 * i, 1.9)) for i in range(3)])
        axes.plot([8.65, 8.65, 1.15], [1.5, 0.6, 0.6], color=figures.GRAPHITE, linewidth=0.9)
        _arrows(axes, [((1.15, 0.6), (1.15, 1.5))])
        diagrams.label(axes, 5.0, 0.3, "add them to the six, and go round again")
    plt.close(figure)
    return figure


def method(sources: Sources) -> Figure:
    """A training step of DreamBooth with LoRA weights."""
    return diagrams.method("dreambooth-lora")


def _canvas(width: float, height: float, xlim: tuple, ylim: tuple) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set(xlim=xlim, ylim=ylim)
    axes.axis("off")
    return figure, axes


def _arrows(axes: Axes, ends: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    for start, end in ends:
        diagrams.arrow(axes, start, end)


DIAGRAMS: Mapping[str, Callable[[Sources], Figure]] = {
    one.__name__: one for one in (latent_diffusion, loop, method)
}
