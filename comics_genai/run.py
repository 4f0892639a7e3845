"""The folder of a run: the names of its files, and its settings.

folder/settings.json          the settings the run was started with
folder/log.jsonl              one row per logged step
folder/checkpoints/           the states to resume from; the last two are kept
folder/validation/            pictures from the same noise, by step
folder/best/                  the weights that validation chose, if it chose any
folder/weights.safetensors    the result; it exists only when the run is finished
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from comics_genai.errors import UserError
from comics_genai.files import one_writer, read_object, record_of, remove_leftovers, write_atomic
from comics_genai.paths import encodable

SETTINGS_FILE = "settings.json"
LORA_FILE = "pytorch_lora_weights.safetensors"
FULL_FILE = "weights.safetensors"
EMA_FILE = "ema.safetensors"  # the average of full weights, which validation used
BEST = "best"  # folder in a run's folder: the checkpoint that validation chose
CHOSEN_FILE = "chosen.json"  # in BEST: the chosen step and its score
LOG_FILE = "log.jsonl"
CHECKPOINTS = "checkpoints"  # folder in a run's folder: the states to resume from
CHECKPOINT_FILES = "step_*.safetensors"
CHECKPOINT_NAME = re.compile(r"step_\d{6,}\.safetensors")
VALIDATION = "validation"  # folder in a run's folder: validation pictures, by step
STEP_PICTURES = "step_*.png"
EMBEDS_FILE = "learned_embeds.safetensors"  # the name that diffusers looks for
PEFT_FILE, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"  # of an adapter that peft wrote

# Settings that may name a folder of the machine on which the run was started.
PLACES = frozenset({"drawings", "base", "gallery", "validation_clip", "validation_dino"})
PLACES |= {"judge_clip", "judge_dino"}  # the last two, in a run of an earlier version

# These settings do not change the weights, so a resumed run may have others.
MAY_CHANGE = frozenset({"max_minutes", "log_every", "checkpoint_every"})
# Digests of what a run is made of, and what another one means.
CONTENTS = {"drawings_digest": "other drawings or captions", "base_digest": "a base of other content"}
# A resumed run may be given more steps than it was started with.
MAY_GROW = frozenset({"loop.steps", "finetune.steps"})


def checkpoint_file(folder: Path, step: int) -> Path:
    """The checkpoint of `step` in a run's folder."""
    return folder / CHECKPOINTS / f"step_{step:06d}.safetensors"


def checkpoint_files(folder: Path) -> list[Path]:
    """The whole checkpoints in a run's folder, oldest first."""
    # Browsers and file managers make copies, such as "step_000050 (1).safetensors": those are left out.
    found = (folder / CHECKPOINTS).glob(CHECKPOINT_FILES)
    return sorted((path for path in found if CHECKPOINT_NAME.fullmatch(path.name)), key=step_in_name)


def step_picture(folder: Path, step: int) -> Path:
    """The picture of `step` in a folder of pictures by step."""
    return folder / f"step_{step:06d}.png"


def step_in_name(path: Path) -> int:
    """The step in the name of a checkpoint or of a picture."""
    return int(path.stem.removeprefix("step_"))


def held(folder: Path) -> AbstractContextManager[None]:
    """A context in which no other process writes in the run's folder. Raises UserError if one does already."""
    if not encodable(os.path.realpath(folder)):
        raise UserError(
            f"The folder {str(folder)!r} has half a character in its name, so no weights can lie in it: rename it."
        )
    told = f"Another process is training in {folder}: wait until it ends, or choose another folder."
    return one_writer(folder, told)


def claim(folder: Path, settings: Mapping[str, Any], extend: bool = False) -> None:
    """Make `folder` the folder of a run with these settings, or check that it is one already.

    extend: the number of steps may be larger than before. Raises UserError that names the first setting that differs.
    The settings in MAY_CHANGE may differ, at any depth.
    """
    path = folder / SETTINGS_FILE
    new = json.loads(json.dumps(settings, default=str))
    if path.exists():
        old = read_object(path)
        difference = first_difference(old, new, MAY_CHANGE, _grown(old, new) if extend else frozenset())
        if difference is not None:
            name, before, now = difference
            if name in CONTENTS:
                raise UserError(
                    f"The run in {folder} was started with {CONTENTS[name]}: put back what it had to go on with it, or "
                    "choose another folder for a new run."
                )
            more = ", `finetune --resume` to train on" if name in _grown(old, new) else ""
            raise UserError(
                f"The run in {folder} was started with {name} = {before}, and now {name} = {now}: use the earlier "
                f"value to go on with it{more}, or another folder for a new run."
            )
    elif (folder / FULL_FILE).exists():
        raise UserError(
            f"{folder} holds {FULL_FILE} without the settings.json that says what it is: choose another folder."
        )
    elif any((folder / CHECKPOINTS).glob(CHECKPOINT_FILES)):
        warnings.warn(
            f"{path} is gone: it is written anew from today's settings, and only those in its checkpoints are checked.",
            stacklevel=2,
        )
    for place in (folder, folder / CHECKPOINTS, folder / BEST, folder / VALIDATION):
        remove_leftovers(place, alone=True)
    write_atomic(path, (json.dumps(new, indent=2) + "\n").encode())


def steps_of(weights: Path) -> int | None:
    """The number of steps after which final weights were written; None if the file does not record it."""
    return record_of(weights).get("step")


def _grown(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """The numbers of steps that are larger now."""
    before, now = _flatten(old), _flatten(new)
    pairs = {name: (before.get(name), now.get(name)) for name in MAY_GROW}
    return frozenset(n for n, (a, b) in pairs.items() if isinstance(a, int) and isinstance(b, int) and a < b)


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def first_difference(
    old: Mapping[str, Any], new: Mapping[str, Any], free: frozenset[str], exactly: frozenset[str] = frozenset()
) -> tuple[str, str, str] | None:
    """The first setting that differs: its name, and its values before and now as JSON. None if no setting differs.

    free: names that may differ at any depth. exactly: full names, from the top, that may differ too.
    """
    before, now = _flatten(old), _flatten(new)
    for name in now | before:
        texts = [json.dumps(flat[name]) if name in flat else "(absent)" for flat in (before, now)]
        if texts[0] != texts[1] and name not in exactly and name.rpartition(".")[2] not in free:
            return name, *texts
    return None


def is_run(folder: str | Path) -> bool:
    """Whether a run was begun in the folder."""
    return (Path(folder) / SETTINGS_FILE).exists()


def recorded(folder: str | Path) -> dict[str, Any]:
    """All that the run's settings.json says. Raises UserError for a folder without one, or with a damaged one."""
    try:
        return read_object(Path(folder) / SETTINGS_FILE)
    except UserError as error:
        raise UserError(f"{folder} is not the folder of a run: give one whose {SETTINGS_FILE} can be read.") from error


def finetuning_settings(folder: str | Path, name: str | Path = "") -> dict[str, Any]:
    """The settings of a fine-tuning. Raises UserError, which calls the run `name`, for any other folder."""
    if not Path(folder).is_dir():
        raise UserError(f"There is no folder {name or folder}: give the folder that `finetune` named.")
    try:
        return dict(recorded(folder)["finetune"])
    except (UserError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{name or folder} is not the folder of a fine-tuning: give the folder that `finetune` named."
        ) from error


def weights_in(folder: Path, best: bool = True) -> Path | None:
    """The weights file of a finished fine-tuning; None if the run is not finished.

    With `best` it is the checkpoint that validation chose, if it chose one. Otherwise it is the last one, or the
    average if the run keeps an average.
    """
    for name in (LORA_FILE, FULL_FILE):
        if (folder / name).exists():
            if best and (folder / BEST / name).exists():
                return folder / BEST / name
            average = folder / EMA_FILE
            return average if name == FULL_FILE and average.exists() else folder / name
    return folder / PEFT_FILE if (folder / PEFT_FILE).exists() else None


def is_finished(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether the folder holds the result of the fine-tuning whose settings are `record`."""
    settings = record["finetune"]
    results = [FULL_FILE if settings["method"] == "dreambooth" else LORA_FILE]
    results += [EMBEDS_FILE] if settings["learn_token"] else []
    if not (is_run(folder) and all((folder / name).exists() for name in results)):
        return False
    # A run that was given more steps keeps its old result until it reaches the new end.
    if (folder / FULL_FILE).exists() and steps_of(folder / FULL_FILE) not in (None, settings.get("steps")):
        return False
    old = recorded(folder)
    return all(old.get(name) == json.loads(json.dumps(value)) for name, value in record.items())


def follow(folder: Path, record: Mapping[str, Any], name: str) -> None:
    """Record the new path of a run's drawings or base (`name`), if the digest shows that the content is the same."""
    digest = f"{name}_digest"
    try:
        old = recorded(folder)
        moved = old[digest] == record[digest] and old["finetune"][name] != record["finetune"][name]
    except (UserError, KeyError, TypeError):
        return
    if moved:
        old["finetune"][name] = record["finetune"][name]
        _write(folder, old)


def bring_up_to_date(
    folder: Path,
    renamed: Callable[[dict[str, Any]], dict[str, Any]],
    defaults: Mapping[str, Mapping[str, Any]],
) -> None:
    """Rewrite the settings of a run that an earlier version started: today's names, and defaults for new settings.

    renamed: a function from settings.json's content to the same under today's names; it leaves those as they are.
    defaults: for each section of settings.json ("finetune", "loop").
    """
    if not is_run(folder):
        return
    old = recorded(folder)
    new = renamed(old)
    for section, values in defaults.items():
        if isinstance(new.get(section), dict):
            new[section] = _completed(new[section], json.loads(json.dumps(values)))
    if new != old:
        _write(folder, new)


def _completed(values: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    both = {n: _completed(v, defaults[n]) if isinstance(v, dict) and n in defaults else v for n, v in values.items()}
    return both | {name: value for name, value in defaults.items() if name not in values}


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    write_atomic(folder / SETTINGS_FILE, (json.dumps(record, indent=2) + "\n").encode())
