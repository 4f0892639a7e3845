"""Find a finished run to draw with, here or on the Hub, or train it now as its notebook does.

    run = finished_run("dreambooth_lora", "dreambooth-lora", device)

So the notebooks that draw with saved weights also work before any training.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from comics_genai import drawings, environment
from comics_genai.bases.adapters import weights_of
from comics_genai.errors import UserError
from comics_genai.finetuning.checkpoint_scores import validation_metric
from comics_genai.finetuning.train import finetune
from comics_genai.planning.automatic import settings_for


def finished_run(run: str, method: str, device: str | torch.device = "cpu", **changes: Any) -> str | Path:
    """OWNER/NAME itself, or the folder runs/NAME, which is trained first if it holds no finished run.

    method: that of the training, which has the settings of its preset except for `changes` (names of FinetuneSettings),
    as in the method's notebook. Prints one line. Raises UserError as `finetune` does.
    """
    if "/" in run:
        return run
    folder = environment.root() / "runs" / run
    try:
        weights_of(folder)
    except UserError:
        settings = settings_for(device, method=method, **changes)
        character = drawings.load(settings.drawings, paper=settings.paper, caption_column=settings.caption_column)
        metric = validation_metric(character, settings.identifier, settings.class_name)
        result = finetune(replace(settings, validation_prompts=metric.prompts), folder, device, metric)
        print(f"runs/{run} was not there, so it was trained by {method} ({result.minutes:.1f} minutes).")
        return folder
    print(f"runs/{run} holds a finished run: nothing to train.")
    return folder
