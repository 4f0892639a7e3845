"""The prior term with and without: two short trainings that differ in lambda, and "a girl" drawn by both.

    runs = with_and_without(settings, Path("runs/dreambooth"), device)
    rows = class_pictures(base, runs, "girl", Path("6_generated/dreambooth/class"))
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import PIL.Image
import torch

from comics_genai import world
from comics_genai.bases.adapters import load_adapters
from comics_genai.bases.base import Base
from comics_genai.evaluation.comparison import posed_scenes
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling, generate

BEFORE = "base, before training"
SEED = 0
SHORTER = 6


def with_and_without(
    settings: FinetuneSettings, folder: Path, device: str | torch.device = "cpu", base: Base | None = None
) -> dict[str, Path | None]:
    """The base, and two short trainings that differ only in lambda, 1 and 0. They are trained here if they are missing.

    Each takes 1 / SHORTER of the steps of `settings`, which is enough to see how the class changes. Their folders lie
    beside `folder`. base: as in `finetune`.
    """
    method = "dreambooth-lora" if settings.method == "lora" else settings.method
    short = replace(settings, method=method, steps=max(2, settings.steps // SHORTER), validate_every=0)
    runs: dict[str, Path | None] = {BEFORE: None}
    for weight in (1.0, 0.0):
        beside = folder.with_name(f"{folder.name}_short_lambda_{weight:g}")
        finetune(replace(short, prior_weight=weight, validation_prompts=()), beside, device, base=base)
        runs[f"trained, lambda = {weight:g}"] = beside
    return runs


def class_pictures(
    base: Base,
    runs: Mapping[str, Path | None],
    class_name: str,
    folder: Path,
    scenes: int = 6,
    sampling: Sampling | None = None,
) -> dict[str, list[PIL.Image.Image]]:
    """For each run, pictures of the class without the identifier, in the same poses from the same noise.

    They are drawn with the weights of the last step. Afterwards the base has no adapter.
    """
    prompts = [world.scene_prompt(scene, f"a {class_name}") for scene in posed_scenes(world.UNICORN_GIRL, scenes)]
    rows = {}
    for label, run in runs.items():
        adapters = load_adapters(base, [] if run is None else [run], best=False)
        made = generate(base, prompts, [SEED], folder, sampling or Sampling(), adapters)
        rows[label] = [picture.image for picture in made]
    load_adapters(base, [])
    return rows


def drift_in_words(drift: Mapping[str, float], class_name: str) -> str:
    """The result of `lesson.class_drift` for `class_pictures` as a sentence."""
    kept, free = (drift[f"trained, lambda = {weight}"] for weight in (1, 0))
    said = (
        f"Pictures of any {class_name} moved {kept:.3f} away from the base's with the prior term and {free:.3f} "
        "without it (root mean square difference of pixels, between 0 and 1)"
    )
    if free > 1.05 * kept:
        return f"{said}: the term kept the class nearer to where it was."
    if kept > 1.05 * free:
        return f"{said}: here the term did not keep the class in place."
    return f"{said}: here the term made no difference."
