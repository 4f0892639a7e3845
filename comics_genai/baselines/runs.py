"""Read the settings and the weights of a baseline's run, and change the length of its settings."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from comics_genai.errors import UserError
from comics_genai.run import FULL_FILE, checkpoint_files, is_run
from comics_genai.training.stage import load_stage, recorded_settings

Settings = TypeVar("Settings")


def settings_of(folder: Path, kind: type[Settings]) -> Settings:
    """The settings of the run in `folder` as a dataclass of this kind. Raises UserError if there is no such run."""
    folder = Path(folder)
    if not is_run(folder):
        raise UserError(f"There is no run in {folder}: train one there first.")
    recorded = recorded_settings(folder)
    if missing := {field.name for field in fields(kind)} - recorded.keys():
        raise UserError(f"The run in {folder} records no {min(missing)}: it is of another model.")
    values = {}
    for field in fields(kind):
        value = recorded[field.name]
        if is_dataclass(field.type):
            value = field.type(**value)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def load_weights_of(folder: Path, model: nn.Module) -> None:
    """Copy the run's weights, averaged if it has an average, into `model`, and freeze it in evaluation mode.

    An unfinished run gives those of its newest checkpoint. Raises UserError if it has none yet.
    """
    folder = Path(folder)
    if not (folder / FULL_FILE).exists() and not checkpoint_files(folder):
        raise UserError(f"The run in {folder} has no weights yet: let it reach its first checkpoint.")
    load_stage(model, folder)


def lasting(settings: Settings, steps: int, validate_every: int, **changes: Any) -> Settings:
    """The settings of a baseline for a run of `steps`, validated every so many (0 = never), with `changes`."""
    loop = replace(settings.loop, steps=steps, validate_every=validate_every)
    return replace(settings, loop=loop, **changes)
