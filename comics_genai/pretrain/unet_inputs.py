"""The UNet's training data, computed once and kept on disk: latents of pictures and conditions of captions."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from comics_genai import hardware
from comics_genai.files import load_tensors, save_tensors
from comics_genai.images import to_tensor

from .clip import Clip


@torch.no_grad()
def encode_latents(vae: AutoencoderTiny, images: np.ndarray, batch_size: int = 64) -> Tensor:
    """Latents fp16 (N, C, H/8, W/8) of uint8 pictures (N, H, W, 3), as the UNet is to see them; on the CPU."""
    parts = []
    with torch.autocast(vae.device.type, torch.bfloat16, enabled=hardware.precision(vae.device) == "bf16"):
        for start in range(0, len(images), batch_size):
            pictures = to_tensor(images[start : start + batch_size])
            latents = vae.encode(pictures.to(vae.device, memory_format=torch.channels_last)).latents
            parts.append((latents.float() * vae.config.scaling_factor).half().cpu())
    return torch.cat(parts).contiguous()


def cached_latents(vae: AutoencoderTiny, images: np.ndarray, folder: Path) -> Tensor:
    """`encode_latents` of all pictures, computed once for each VAE and kept in `folder`."""
    digest = hashlib.sha256(f"{images.shape} {vae.config.scaling_factor}".encode())
    for tensor in vae.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    path = folder / f"{digest.hexdigest()[:8]}.safetensors"
    if path.exists():
        return load_tensors(path)[0]["latents"]
    print(f"Encoding {len(images)} pictures ...", flush=True)
    latents = encode_latents(vae, images)
    save_tensors(path, {"latents": latents})
    return latents


class Captions:
    """Conditions of captions, by number; `empty` is the number of the empty prompt.

    With a `folder` they are computed once for each text encoder, kept there, and read into memory.
    """

    def __init__(self, clip: Clip, ids: Tensor, folder: Path | None):
        self.clip, self.ids, self.empty = clip, ids, len(ids) - 1
        self.device = next(clip.parameters()).device
        self.encoded: tuple[Tensor, Tensor] | None = None
        if folder is None:
            return
        digest = hashlib.sha256(ids.numpy().tobytes())
        for encoder in (clip.text_encoder, clip.text_encoder_2):
            for tensor in encoder.state_dict().values():
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        path = folder / f"{digest.hexdigest()[:8]}.safetensors"
        if not path.exists():
            print(f"Encoding {len(ids)} captions ...", flush=True)
            parts = [tuple(x.half() for x in clip.conditions(part.long().to(self.device))) for part in ids.split(256)]
            hidden, pooled = zip(*parts, strict=True)
            save_tensors(path, {"hidden": torch.cat(hidden), "pooled": torch.cat(pooled)})
        kept = load_tensors(path)[0]
        self.encoded = kept["hidden"].to(self.device), kept["pooled"].to(self.device)

    def __getitem__(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """`Clip.conditions` of the captions numbered `chosen` (B,)."""
        if self.encoded is None:
            return self.clip.conditions(self.ids[chosen].long().to(self.device))
        hidden, pooled = (part[chosen.to(self.device)].float() for part in self.encoded)
        return hidden, pooled
