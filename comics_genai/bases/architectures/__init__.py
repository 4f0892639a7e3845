"""Bases without weights: modules on the meta device, built from the published configurations.

sdxl: stabilityai/stable-diffusion-xl-base-1.0; sd15: stable-diffusion-v1-5. The JSON files hold only what defines the
architecture, so that a plan needs neither the network nor a download.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from comics_genai import environment
from comics_genai.errors import UserError

# Fine-tuned versions of SDXL, such as Illustrious and NoobAI, have the same architecture.
FOLDERS = {"sdxl": "sdxl", "noobai": "sdxl", "sd15": "sd15"}
PUBLISHED = {name: Path(__file__).parent / folder for name, folder in FOLDERS.items()}
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Architecture:
    """A base's parts as float32 modules whose weights have no values and take no memory."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    text_encoders: tuple[nn.Module, ...]

    @property
    def downscale(self) -> int:
        """Pixels for each latent, in each direction."""
        config = self.vae.config
        return 2 ** (len(config.get("block_out_channels") or config.encoder_block_out_channels) - 1)

    @property
    def size(self) -> int:
        """Pixels of the side with which it was pretrained."""
        return self.unet.config.sample_size * self.downscale


def load(name: str) -> Architecture:
    """The architecture of sdxl, noobai, sd15, mini, or a diffusers folder. Raises UserError for any other name."""
    folder = environment.data() / "mini_sdxl" if name == "mini" else Path(name)
    if name in PUBLISHED:
        files = {part: PUBLISHED[name] / f"{part}.json" for part in PARTS}
    else:
        files = {part: folder / part / "config.json" for part in PARTS}
    modules = {part: _build(json.loads(path.read_text("utf-8"))) for part, path in files.items() if path.is_file()}
    if not {"unet", "vae", "text_encoder"} <= modules.keys():
        raise UserError(
            f"The architecture of {name!r} is not known: give {', '.join(PUBLISHED)}, mini, or a diffusers folder."
        )
    encoders = tuple(modules[part] for part in PARTS[2:] if part in modules)
    return Architecture(modules["unet"], modules["vae"], encoders)


def _build(config: dict) -> nn.Module:
    kinds = (UNet2DConditionModel, AutoencoderKL, AutoencoderTiny, CLIPTextModel, CLIPTextModelWithProjection)
    by_name = {kind.__name__: kind for kind in kinds}
    name = config.get("_class_name") or config["architectures"][0]
    if name not in by_name:
        raise UserError(f"A base with a {name} is not known here: only Stable Diffusion 1.x, 2.x and XL are.")
    kind = by_name[name]
    with torch.device("meta"):
        return kind(CLIPTextConfig(**config)) if name.startswith("CLIP") else kind.from_config(config)
