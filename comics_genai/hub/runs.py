"""Download runs from the Hugging Face Hub, also private ones. `publishing.push` uploads them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from comics_genai import paths
from comics_genai.errors import UserError
from comics_genai.files import cannot_write, read_object, write_atomic
from comics_genai.hub import access
from comics_genai.run import (
    BEST,
    CHECKPOINTS,
    EMA_FILE,
    EMBEDS_FILE,
    FULL_FILE,
    LOG_FILE,
    LORA_FILE,
    PEFT_CONFIG,
    PEFT_FILE,
    PLACES,
    SETTINGS_FILE,
    checkpoint_files,
)

# Checkpoints are left out: they hold optimizer states, which drawing does not need.
NEEDED = [SETTINGS_FILE, LORA_FILE, FULL_FILE, EMA_FILE, EMBEDS_FILE, f"{BEST}/*", PEFT_FILE, PEFT_CONFIG]
UNFINISHED = [f"{CHECKPOINTS}/*", f"{BEST}/*", LOG_FILE, SETTINGS_FILE]  # in the order in which they are put in place


def run_folder(run: str | Path) -> Path:
    """The folder of a run; a run in the Hub's model repository OWNER/NAME is downloaded once.

    Raises UserError if it is neither a folder nor a repository that may be read.
    """
    return Path(run) if Path(run).is_dir() else _download(str(run), NEEDED)


def unfinished_run(name: str) -> Path:
    """Download the state of an unfinished run from the Hub's repository OWNER/NAME; `put_in_place` makes it a run here.

    Raises UserError if the repository holds no unfinished run or may not be read.
    """
    folder = _download(name, UNFINISHED)
    if not (checkpoint_files(folder) and (folder / SETTINGS_FILE).exists()):
        raise UserError(
            f"{name} holds no checkpoint to go on from: push one with `push RUN --repo {name} --checkpoint`."
        )
    return folder


def put_in_place(unfinished: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Copy the state of an unfinished run into `folder`, where it will go on. A run that is already there is kept.

    settings: those of the fine-tuning, with the paths of this machine.
    """
    if (folder / SETTINGS_FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in UNFINISHED:
        for file in sorted(unfinished.glob(pattern)):
            target = folder / file.relative_to(unfinished)
            try:
                target.parent.mkdir(exist_ok=True)
                if file.name == SETTINGS_FILE:
                    record = read_object(file)
                    record["finetune"] |= {name: settings[name] for name in PLACES if name in settings}
                    write_atomic(target, (json.dumps(record, indent=2) + "\n").encode())
                else:
                    shutil.copy(file, target)
            except OSError as error:
                raise cannot_write(target, error) from error


def _download(name: str, patterns: list[str]) -> Path:
    if not paths.is_repository(name):
        raise UserError(f"There is no run {name}: give the folder of a fine-tuning, or OWNER/NAME of one on the Hub.")
    token, revision = access.token(), None
    with access.answers(name):
        # This first request has a time limit; a download alone would wait forever for a Hub that does not answer.
        try:
            revision = HfApi(token=token).model_info(name, timeout=access.SECONDS).sha
        except (*access.NETWORK, OfflineModeIsEnabled) as error:
            try:
                return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
            except LocalEntryNotFoundError:
                raise error from None
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, token=token))
