"""A finished run to draw with: one that lies here or on the Hub, or else trained now, as its notebook trains it.

    run = ready("dreambooth_lora", "dreambooth-lora", device)

So the notebooks that draw with saved weights also run where nobody has trained yet.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from comics_genai import drawings, environment
from comics_genai.bases.adapters import weights_of
from comics_genai.errors import UserError
from comics_genai.finetuning.checkpoint_scores import judge_of
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.notebooks import execute

NOTEBOOKS = {
    "dreambooth": "4_finetuning/dreambooth/DreamBooth.ipynb",
    "lora": "4_finetuning/lora/LoRA.ipynb",
    "dreambooth-lora": "4_finetuning/dreambooth_lora/DreamBooth-LoRA.ipynb",
}
OF_THE_NOTEBOOK = {"run", "drawings_source", "test_scenes", "seeds_a_prompt"}  # parameters that are no settings


def ready(run: str, method: str, device: str | torch.device = "cpu", **changes: Any) -> str | Path:
    """OWNER/NAME as it is, else the folder runs/NAME, trained first where it holds no finished run.

    method: one of NOTEBOOKS, whose parameters are the settings, but for `changes` (names of FinetuneSettings). Prints
    one line. Raises UserError as `finetune` does.
    """
    if "/" in run:
        return run
    folder = environment.root() / "runs" / run
    try:
        weights_of(folder)
    except UserError:
        settings = notebook_settings(method, device, **changes)
        judge = judge_of(drawings.load(settings.drawings), settings.identifier, settings.class_name)
        result = finetune(replace(settings, validation_prompts=judge.prompts), folder, device, judge)
        print(f"runs/{run} was not there, so it was trained as in {NOTEBOOKS[method]} ({result.minutes:.1f} minutes).")
        return folder
    print(f"runs/{run} holds a finished run: nothing to train.")
    return folder


def notebook_settings(method: str, device: str | torch.device = "cpu", **changes: Any) -> FinetuneSettings:
    """The settings that the notebook of a method trains with, its parameters as they stand, but for `changes`."""
    parameters = execute.parameters_of(environment.find(NOTEBOOKS[method]) or Path(NOTEBOOKS[method]))
    numbers = {name: value for name, value in parameters.items() if name not in OF_THE_NOTEBOOK}
    device = torch.device(device)
    fixed = {
        "method": method,
        "drawings": parameters["drawings_source"],
        "checkpoint_every": 100,
    }
    fixed["precision"] = environment.precision(device) if device.type == "cuda" else "fp32"
    return FinetuneSettings(**(fixed | numbers | changes))
