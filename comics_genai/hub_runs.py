"""Runs that lie on the Hugging Face Hub, private ones too, as folders here. For the way up see `publishing.push`."""

import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import httpx

from comics_genai import environment
from comics_genai.errors import UserError

# Not the checkpoints, which hold optimizer states.
NEEDED = ["settings.json", "pytorch_lora_weights.safetensors", "weights.safetensors", "ema.safetensors"]
NEEDED += ["learned_embeds.safetensors", "best/*"]
UNFINISHED = ["checkpoints/*", "best/*", "log.jsonl", "settings.json"]  # in the order in which they are put in place


def run_folder(run: str | Path) -> Path:
    """The folder of a run: itself, or a copy of the Hub's model repository OWNER/NAME, downloaded once.

    Raises UserError for what is neither, or may not be read.
    """
    return Path(run) if Path(run).is_dir() else _download(str(run), NEEDED)


def unfinished_run(name: str) -> Path:
    """A copy of the state of an unfinished run in the Hub's repository OWNER/NAME; `put_in_place` makes it a run here.

    Raises UserError for a repository without one, or that may not be read.
    """
    folder = _download(name, UNFINISHED)
    if not (list(folder.glob("checkpoints/*.safetensors")) and (folder / "settings.json").exists()):
        raise UserError(
            f"{name} holds no checkpoint to go on from: push one with `push RUN --repo {name} --checkpoint`."
        )
    return folder


def put_in_place(unfinished: Path, folder: Path) -> None:
    """Copy the state of an unfinished run to where it goes on; a run that is there already stays as it is."""
    if (folder / "settings.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in UNFINISHED:
        for file in sorted(unfinished.glob(pattern)):
            target = folder / file.relative_to(unfinished)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)


def _download(name: str, patterns: list[str]) -> Path:
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(f"There is no run {name}: give the folder of a fine-tuning, or OWNER/NAME of one on the Hub.")
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, token=environment.secret("HF_TOKEN")))
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise UserError(
            f"{name} is neither a folder here nor a model on the Hub that you may read: check the name, and for a "
            "private or gated one set HF_TOKEN."
        ) from error
    except (HfHubHTTPError, httpx.HTTPError, ConnectionError, OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise UserError(
            f"{name} is no folder here, and the Hub cannot be reached: check the folder's name or your network."
        ) from error
