"""The folder of a run: the names of its files, and its settings.

folder/settings.json          the settings the run was started with
folder/weights.safetensors    there only when the run is finished
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comics_genai.errors import UserError
from comics_genai.files import PARTIAL, write_atomic

LORA_FILE = "pytorch_lora_weights.safetensors"
FULL_FILE = "weights.safetensors"
EMA_FILE = "ema.safetensors"  # of full weights, the average that their run was validated with
BEST = "best"  # folder, in a run's, of the checkpoint that its validation chose

EMBEDS_FILE = "learned_embeds.safetensors"  # the name that diffusers looks for

# How long a run may take and how often it reports or saves changes nothing in its weights.
MAY_CHANGE = frozenset({"max_minutes", "log_every", "checkpoint_every"})


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make `folder` the folder of a run with these settings, or check that it is one already.

    Raises UserError naming the first setting that differs; those in MAY_CHANGE may, at any depth.
    """
    path = folder / "settings.json"
    new = json.loads(json.dumps(settings, default=str))
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not JSON: delete the folder {folder} or choose another.") from error
        difference = _first_difference(_flatten(old), _flatten(new))
        if difference is not None:
            name, before, now = difference
            raise UserError(
                f"The run in {folder} was started with {name} = {before}, and now {name} = {now}: use the earlier "
                "value to go on with it, or another folder for a new run."
            )
    for left_over in [*folder.glob(f".*{PARTIAL}"), *folder.glob(f"checkpoints/.*{PARTIAL}")]:
        left_over.unlink(missing_ok=True)
    write_atomic(path, (json.dumps(new, indent=2) + "\n").encode())


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _first_difference(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str, str] | None:
    for name in new | old:
        before, now = (json.dumps(flat[name]) if name in flat else "(absent)" for flat in (old, new))
        if before != now and name.rpartition(".")[2] not in MAY_CHANGE:
            return name, before, now
    return None
