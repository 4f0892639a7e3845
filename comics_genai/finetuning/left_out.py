"""Choose the number of steps by leave-one-out: train on all drawings but one and measure on that one, for each.

    choice = choose_steps(settings, Path("runs/her-left-out"), every=50)
    finetune(choice.settings, Path("runs/her"))        # on all drawings, to the chosen step

Every `every` steps, the caption of the left-out drawing is drawn from fixed noise. The score of a step is the mean
likeness of these pictures to the drawing, where a copy of a training drawing counts 0. This needs neither a known
character nor a network. With a real base, give a better `likeness`, such as DINO's cosine.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from comics_genai import drawings
from comics_genai.bases.base import Base
from comics_genai.drawings.captions import instance_prompt
from comics_genai.errors import UserError
from comics_genai.evaluation.distribution import palette_distance
from comics_genai.evaluation.metrics import reference_distances
from comics_genai.files import write_atomic
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.training.checkpoint import Log

Likeness = Callable[[Sequence[PIL.Image.Image], PIL.Image.Image], np.ndarray]
COPY = 0.5  # a picture is a copy if it is nearer than this share of the least distance between two drawings


@dataclass(frozen=True)
class Choice:
    """The chosen step, the settings that train up to it on all drawings, and the curves behind the choice."""

    step: int
    settings: FinetuneSettings
    steps: tuple[int, ...]
    curves: dict[int, tuple[float, ...]]  # for each left-out drawing, its score at each of `steps`


class LeftOutScore:
    """Score pictures of a left-out drawing's caption; called as `finetune` calls its `validate`."""

    def __init__(self, left_out: PIL.Image.Image, trained: Sequence[PIL.Image.Image], likeness: Likeness | None = None):
        self.left_out, self.trained = left_out, list(trained)
        self.likeness = likeness or self._likeness
        among = reference_distances([left_out, *trained], [left_out, *trained])
        self.copy = COPY * among[~np.eye(len(among), dtype=bool)].min()
        palettes = palette_distance(trained, [left_out] * len(trained))
        self.far = {"place": among[0, 1:].mean(), "palette": palettes.mean()}

    def __call__(self, step: int, pictures: Sequence[PIL.Image.Image]) -> dict[str, float]:
        copied = reference_distances(pictures, self.trained).min(1) < self.copy
        likeness = np.where(copied, 0.0, self.likeness(pictures, self.left_out))
        return {"score": float(likeness.mean()), "copied": float(copied.mean())}

    def _likeness(self, pictures: Sequence[PIL.Image.Image], drawing: PIL.Image.Image) -> np.ndarray:
        """The mean likeness of lines, place by place, and of colours.

        It is 1 for the drawing itself, and about 0 for another drawing of the character.
        """
        place = 1 - reference_distances(pictures, [drawing])[:, 0] / self.far["place"]
        palette = 1 - palette_distance(pictures, [drawing] * len(pictures)) / max(self.far["palette"], 1e-6)
        return (place + palette) / 2


def choose_steps(
    settings: FinetuneSettings,
    folder: Path,
    every: int,
    device: str | torch.device = "cpu",
    base: Base | None = None,
    left_out: Sequence[int] = (),
    pictures: int = 2,
    likeness: Likeness | None = None,
) -> Choice:
    """Train once for each of `left_out` (by default every drawing) and choose the step with the best mean score.

    The learning rate is constant, so that a run to the chosen step is the beginning of a longer one. The curves are
    kept in left_out.json; finished runs are not repeated. pictures: how many are drawn of the caption at each step.
    Raises UserError for fewer than three drawings, and KeyboardInterrupt if a signal stopped a training.
    """
    settings = replace(settings, schedule="constant")
    character = drawings.load(settings.drawings, paper=settings.paper, caption_column=settings.caption_column)
    if len(character) < 3:
        raise UserError(f"There are {len(character)} drawings: choosing by one left out needs at least 3.")
    images, curves, steps = [drawing.image for drawing in character], {}, ()
    for i in left_out or range(len(character)):
        prompt = instance_prompt(character[i].caption, settings.identifier, settings.class_name)
        told = {"left_out": (i,), "validate_every": every, "validation_prompts": (prompt,) * pictures}
        score = LeftOutScore(images[i], images[:i] + images[i + 1 :], likeness)
        result = finetune(replace(settings, **told), Path(folder) / f"without_{i}", device, score, base)
        if not result.finished:
            raise KeyboardInterrupt(result.message)
        rows = [row for row in Log(Path(folder) / f"without_{i}").rows() if "validation_score" in row]
        steps = tuple(row["step"] for row in rows)
        curves[i] = tuple(row["validation_score"] for row in rows)
    step = steps[int(np.mean(list(curves.values()), axis=0).argmax())]
    choice = Choice(step, replace(settings, steps=step), steps, curves)
    write_atomic(Path(folder) / "left_out.json", (json.dumps(asdict(choice), indent=2) + "\n").encode())
    return choice
