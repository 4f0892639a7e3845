"""Validation during a fine-tuning: pictures from fixed noise, and a copy of the best checkpoint.

validation = Validation(base, settings, folder, validate)
train(..., validate=validation)
chosen(folder)   # {"step": 150, "score": 0.42}
"""

import json
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import torch
from torch import nn

from comics_genai.bases import lora_files
from comics_genai.bases.base import Base, Embeddings
from comics_genai.drawings.captions import instance_prompt
from comics_genai.errors import UserError
from comics_genai.files import read_object, save_tensors, write_atomic
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.hub.runs import run_folder
from comics_genai.run import BEST, CHOSEN_FILE, EMBEDS_FILE, FULL_FILE, VALIDATION, finetuning_settings, step_picture
from comics_genai.sampling.generate import batched, sample

Validate = Callable[[int, list[PIL.Image.Image]], dict[str, float]]


class Validation:
    """Draw the validation prompts from fixed noise; called as `loop.train` calls its `validate`."""

    def __init__(self, base: Base, settings: FinetuneSettings, folder: Path, validate: Validate | None):
        self.base, self.folder, self.validate, self.sampling = base, folder, validate, settings.sampling
        self.full = settings.method == "dreambooth"
        named = (settings.identifier, settings.class_name)
        prompts = settings.validation_prompts or (instance_prompt(None, *named),)
        self.seeds = [settings.validation_seed + i for i in range(len(prompts))]
        self.texts, self.changing = prompts, settings.changes_prompts
        self.prompts, self.negative = self._encoded()

    def _encoded(self) -> tuple[Embeddings, Embeddings]:
        negative = self.sampling.negative
        unwanted = self.base.encode_prompts([negative]) if negative else self.base.unconditional()
        return self.base.encode_prompts(self.texts), unwanted

    def __call__(self, step: int, trained: nn.Module) -> dict[str, float]:
        from comics_genai.plotting import figures  # training without pictures spares matplotlib's 30 MB

        if self.changing:
            self.prompts, self.negative = self._encoded()
        pictures = []
        for batch in batched(list(range(len(self.seeds))), self.base, self.sampling):
            seeds = [self.seeds[i] for i in batch]
            # Compiling for this batch size would take longer than drawing.
            with torch.compiler.set_stance("force_eager"):
                pixels = sample(self.base, self.prompts[batch], self.negative, seeds, self.sampling)
            pictures += [PIL.Image.fromarray(picture) for picture in pixels]
        figures.save_grid(pictures, step_picture(self.folder / VALIDATION, step), columns=len(pictures))
        measured = self.validate(step, pictures) if self.validate else {}
        if "score" in measured:
            self._keep_if_best(step, measured["score"], trained)
        return measured

    def _keep_if_best(self, step: int, score: float, trained: nn.Module) -> None:
        best = chosen(self.folder)
        if best is not None and best["score"] >= score:
            return
        folder = self.folder / BEST
        folder.mkdir(parents=True, exist_ok=True)
        if self.base.learned_token is not None:
            self.base.learned_token.save(folder / EMBEDS_FILE)
        if self.full:
            save_tensors(folder / FULL_FILE, {name: p for name, p in trained.named_parameters() if p.requires_grad})
        else:
            lora_files.write(self.base, folder)
        write_atomic(folder / CHOSEN_FILE, json.dumps({"step": step, "score": score}).encode())


def chosen(folder: Path) -> dict[str, float] | None:
    """The step and the score of the checkpoint that a run's validation chose; None if it chose none."""
    path = folder / BEST / CHOSEN_FILE
    if not path.exists():
        return None
    found = read_object(path)
    if not all(isinstance(found.get(name), int | float) for name in ("step", "score")):
        raise UserError(f"{path} does not say step and score: delete the folder {path.parent}, to choose anew.")
    return found


def last_and_chosen_step(run: str | Path) -> tuple[int, int]:
    """The last step of a finished fine-tuning, and the step that its validation chose (the last if it chose none).

    run: a folder, or OWNER/NAME on the Hub.
    """
    folder = run_folder(run)
    last, best = int(finetuning_settings(folder, run)["steps"]), chosen(folder)
    return last, int(best["step"]) if best else last
