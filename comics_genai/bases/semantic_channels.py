"""The latent channels in which a base's autoencoder encodes named semantic maps beside the picture."""

import json
from pathlib import Path

from diffusers import DiffusionPipeline

from comics_genai.errors import UserError

FILE = "semantic_channels.json"  # beside the autoencoder's weights


def semantic_channels(pipeline: DiffusionPipeline) -> slice | None:
    """The latent channels from `first` in the autoencoder's semantic_channels.json; None for a base without that file.

    Raises UserError if the file does not name a channel of the latents.
    """
    path = Path(pipeline.vae.config.get("_name_or_path") or "") / FILE
    if not path.is_file():
        return None
    channels = pipeline.unet.config.in_channels
    try:
        first = json.loads(path.read_text(encoding="utf-8"))["first"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}): restore the base's folder.") from error
    if not isinstance(first, int) or not 0 < first < channels:
        raise UserError(f"{path} says first = {first!r}, but it must be a channel from 1 to {channels - 1}.")
    return slice(first, channels)
