"""The miniature's autoencoder: an AutoencoderTiny, eight times smaller latents, picture channels and semantic ones.

`vae_training` trains it, and `vae_loss` holds its loss.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from comics_genai.files import write_atomic
from comics_genai.training.loop import LoopSettings
from comics_genai.training.stage import load_stage, recorded_settings

from . import semantics

SCALE_FILE = "scaling_factor.json"
COLORS = 3  # latent channels that are the small picture
SEMANTIC_GAIN = (
    0.3  # factor of the standardised maps: the decoder's soft clamp hardly bends peaks of 6 standard deviations
)


@dataclass(frozen=True)
class VaeSettings:
    """How the autoencoder is built and trained."""

    levels: int = 4  # latents are 2 ** (levels - 1) times smaller than pictures, each way
    picture_channels: int = 9  # the latent's others are semantic
    channels: int = 64
    batch_size: int = 12  # small: in equal time, twice the steps help more than twice the pictures
    crop: int = 64  # pixels each way; the network is convolutional, so whole pictures need not be seen
    at_joints: float = 0.7  # share of crops that have a joint of the figure in their middle
    color_mixing: float = 0.3  # share of pictures in foreign colours
    latent_noise: float = 0.2  # standard deviation of the noise on picture channels, as a share of theirs
    strong_noise: float = 0.25  # share of steps in which it is drawn from 0 to 1: only the semantic channels help then
    semantic_noise: float = 0.15  # the same of semantic channels
    pooled_share: float = 0.1  # share of steps on half-size latents, compared with half-size pictures
    anchor: float = 2.0  # weight of the error of the first three channels against the small picture they are to be
    semantic: float = 1.0  # weight of the error of the semantic channels, in their standard deviations
    detail_std: float = 0.5  # standard deviation of the other channels; the small picture's is about 1
    redrawn_share: float = 0.5  # share of steps on latents as the UNet leaves them, if there are any
    decoder_only: bool = False  # the encoder stays as it is, and with it all latents
    adversarial: float = 0.0  # on redrawn latents, a discriminator's gradient as a share of the loss's; 0 = none
    redrawn_detail: float = 1.0  # on redrawn latents, the weight of every term but the 4x and 16x averages
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=12_000,
            learning_rate=1.5e-3,
            schedule="cosine",
            warmup_steps=100,
            decay_from=0.25,
            beta2=0.99,
            ema_decay=0.998,
            log_every=100,
            checkpoint_every=500,
            validate_every=1500,
        )
    )


def build(levels: int, latent_channels: int, channels: int) -> AutoencoderTiny:
    """The untrained autoencoder. ReLU and no norms: they cost as convolutions do. There is no block at full size: it
    would cost as much as all the others, and in equal time the network would reach 3 dB less.

    Its decoder clamps latents softly, 3 tanh(z / 3). So their scale is learned (`latent_moments`). Diffusion needs
    another scale, which `scaling_factor` gives; decoding undoes it before the clamp.
    """
    blocks = (0, 2, 3, 3)[:levels]
    widths = (channels,) * levels
    return AutoencoderTiny(
        latent_channels=latent_channels,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks[::-1],
    )


def scaling_factor(model: AutoencoderTiny, pictures: Tensor, channels: int) -> float:
    """The factor that gives the first `channels` latent channels of `pictures` (N, 3, H, W) unit variance, apart from
    what they have in common.

    At the border, latents are large and nearly the same in all pictures. That part holds nothing to be learned. If it
    were counted, the rest would become so small that half of the noise schedule drowned it (Rombach et al. 2022, app.
    G, scale for the same reason).
    """
    with torch.no_grad():
        latents = torch.cat([model.encode(part).latents.float()[:, :channels] for part in pictures.split(16)])
    return 1 / (latents - latents.mean(0)).square().mean().sqrt().item()


def save_scale(scale: float, folder: Path) -> None:
    """Keep the scaling factor beside the weights of a stage folder."""
    write_atomic(folder / SCALE_FILE, json.dumps({"scaling_factor": scale}).encode())


def load(folder: Path) -> AutoencoderTiny:
    """The autoencoder of a stage folder (averaged weights, its scaling factor), frozen, in evaluation mode."""
    settings = recorded_settings(folder)
    channels = settings["picture_channels"] + len(semantics.CHANNELS)
    model = build(settings["levels"], channels, settings["channels"])
    load_stage(model, folder)
    scale = folder / SCALE_FILE
    if scale.exists():  # it is measured at the end of training
        model.register_to_config(**json.loads(scale.read_text(encoding="utf-8")))
    return model
