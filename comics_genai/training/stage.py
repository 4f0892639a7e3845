"""Read the folder of a training stage: whether it is finished, its settings, and its weights."""

from pathlib import Path
from typing import Any

from torch import nn

from comics_genai import run
from comics_genai.errors import UserError
from comics_genai.files import copy_into, load_weights
from comics_genai.training.checkpoint import Checkpoints


def is_finished(folder: Path) -> bool:
    """Whether all steps of the stage are done."""
    return (folder / run.FULL_FILE).exists()


def recorded_settings(folder: Path) -> dict[str, Any]:
    """The settings with which a stage was started. Raises UserError if it never was."""
    try:
        return run.recorded(folder)
    except UserError as error:
        raise UserError(
            f"The stage {folder.name} was not trained in {folder.parent}: run `python -m comics_genai pretrain "
            f"{folder.name}` first."
        ) from error


def stage_weights(folder: Path) -> Path:
    """The file of a finished stage's weights, averaged if it has an average."""
    averaged = folder / run.EMA_FILE
    return averaged if averaged.exists() else folder / run.FULL_FILE


def load_stage(model: nn.Module, folder: Path) -> None:
    """Copy a stage's weights, averaged if it has an average, into `model`, and freeze it in evaluation mode.

    An unfinished stage gives those of its newest checkpoint. Raises UserError if it has none.
    """
    model.eval().requires_grad_(False)
    if is_finished(folder):
        load_weights(model, stage_weights(folder))
        return
    newest = Checkpoints(folder).latest()
    if newest is None:
        raise UserError(
            f"The stage {folder.name} has no weights in {folder} yet: run `python -m comics_genai pretrain "
            f"{folder.name}` first."
        )
    path, tensors, _ = newest
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    for part in ("weights.", "ema."):
        copy_into(state, {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)}, path)
