"""Validation of a model from scratch: pictures from fixed noise kept as training goes, diversity and copy rate."""

from collections.abc import Callable
from pathlib import Path

import PIL.Image
from torch import Tensor, nn

from comics_genai.images import to_pictures
from comics_genai.plotting import figures
from comics_genai.run import step_picture

from .measure import copy_rate, pairwise_distance

Measure = Callable[[int, list[PIL.Image.Image]], dict[str, float]]
NOISE_SEED = 1000  # of the fixed noise: the same at every step and in every run
COLUMNS = 6


class Samples:
    """Callable as `loop.train` wants its validation.

    draw(model) gives the pictures from fixed noise. They are written to samples/step_000100.png, beside the drawings in
    samples/drawings.png. Logged: `diversity`, the mean distance between them; with `threshold` `copied`, the share of
    them closer than that to a drawing; and what measure(step, pictures) returns.
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
