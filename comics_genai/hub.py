"""Runs that lie on the Hugging Face Hub, private ones too, as folders here."""

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

from comics_genai import where
from comics_genai.errors import UserError

# Not the checkpoints, which hold optimizer states.
NEEDED = ["settings.json", "pytorch_lora_weights.safetensors", "weights.safetensors", "ema.safetensors"]
NEEDED += ["learned_embeds.safetensors", "best/*"]


def run_folder(run: str | Path) -> Path:
    """The folder of a run: itself, or a copy of the Hub's model repository OWNER/NAME, downloaded once.

    Raises UserError for what is neither, or may not be read.
    """
    if Path(run).is_dir():
        return Path(run)
    name = str(run)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(f"There is no run {name}: give the folder of a fine-tuning, or OWNER/NAME of one on the Hub.")
    try:
        return Path(snapshot_download(name, allow_patterns=NEEDED, token=where.secret("HF_TOKEN")))
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise UserError(
            f"{name} is neither a folder here nor a model on the Hub that you may read: check the name, and for a "
            "private or gated one set HF_TOKEN."
        ) from error
    except (HfHubHTTPError, httpx.HTTPError, ConnectionError, OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise UserError(
            f"{name} is no folder here, and the Hub cannot be reached: check the folder's name or your network."
        ) from error
