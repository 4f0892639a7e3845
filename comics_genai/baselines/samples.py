"""Validation of a model from scratch: pictures from fixed noise, their diversity and copy rate."""

from collections.abc import Callable
from pathlib import Path

import PIL.Image
from torch import Tensor, nn

from comics_genai.images import to_pictures
from comics_genai.plotting import figures
from comics_genai.run import step_picture

from .measure import copy_rate, pairwise_distance

Measure = Callable[[int, list[PIL.Image.Image]], dict[str, float]]
NOISE_SEED = 1000  # of the fixed noise, which is the same at every step and in every run
COLUMNS = 6


class Samples:
    """Called as `loop.train` calls its `validate`.

    draw(model) draws pictures from fixed noise. They are written to samples/step_000100.png, and the drawings to
    samples/drawings.png. The log gets `diversity`, the mean distance between the pictures; with `threshold` also
    `copied`, the share of pictures nearer than that to a drawing; and the figures of measure(step, pictures).
    """

    def __init__(
        self,
        draw: Callable[[nn.Module], list[PIL.Image.Image]],
        drawings: Tensor,
        folder: Path,
        threshold: float | None = None,
        measure: Measure | None = None,
    ):
        self.draw, self.references, self.folder = draw, to_pictures(drawings), folder / "samples"
        self.threshold, self.measure = threshold, measure

    def __call__(self, step: int, model: nn.Module) -> dict[str, float]:
        pictures = self.draw(model)
        figures.save_grid(self.references[: len(pictures)], self.folder / "drawings.png", COLUMNS)
        figures.save_grid(pictures, step_picture(self.folder, step), COLUMNS)
        found = {"diversity": pairwise_distance(pictures)}
        if self.threshold is not None:
            found["copied"] = copy_rate(pictures, self.references, self.threshold)
        return found | (self.measure(step, pictures) if self.measure else {})
