"""The miniature's autoencoder: an AutoencoderTiny, trained on crops in any colours."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from comics_genai import world
from comics_genai.files import write_atomic
from comics_genai.images import to_pictures, to_tensor
from comics_genai.plotting import figures
from comics_genai.training.loop import LoopSettings, TrainResult, train

from .dataset import HELD_OUT_SEED, draw_scenes
from .stage import load_stage, recorded_settings

SCALE_FILE = "scaling_factor.json"
COLORS = 3  # latent channels that are the small picture
SMALL_GAIN = 1.5  # within what the decoder's soft clamp leaves nearly straight


@dataclass(frozen=True)
class VaeSettings:
    """How the autoencoder is built and trained."""

    levels: int = 3  # latents are 2 ** (levels - 1) times smaller than pictures, each way
    latent_channels: int = 12
    channels: int = 64
    batch_size: int = 8  # small: at an equal time twice the steps do more than twice the pictures
    crop: int = 32  # pixels each way; the network is convolutional, so whole pictures need not be seen
    color_mixing: float = 0.3  # share of pictures in foreign colours
    latent_noise: float = 0.03  # standard deviation, where detail_std is that of most channels
    pooled_share: float = 0.15  # of steps, on half-size latents against half-size pictures
    anchor: float = 2.0  # weight of the error of the first three channels against the small picture they are to be
    detail_std: float = 0.5  # standard deviation of the other channels; the small picture's is about 1
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=18_000,
            learning_rate=1.5e-3,
            schedule="cosine",
            warmup_steps=100,
            decay_from=0.25,
            beta2=0.99,
            ema_decay=0.998,
            log_every=100,
            checkpoint_every=1000,
            validate_every=2000,
        )
    )


def build(levels: int, latent_channels: int, channels: int) -> AutoencoderTiny:
    """The untrained autoencoder. ReLU and no norms: they cost as convolutions do. No block at full size, where
    one costs as much as all the others and at an equal time reaches 3 dB less.

    Its decoder clamps latents softly, 3 tanh(z / 3). So their scale is learned (`latent_moments`); what diffusion needs
    on top of that is the scaling factor's work (`scaling_factor`), which decoding takes back before the clamp.
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


def mix_colors(pictures: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Mix the colours of a `share` of the pictures (N, 3, H, W) in [-1, 1] by random matrices: none stays foreign."""
    n = len(pictures)
    matrix = torch.eye(3) + 0.45 * torch.randn(n, 3, 3, generator=generator)
    shift = 0.2 * torch.randn(n, 3, 1, 1, generator=generator)
    mixed = torch.einsum("nij,njhw->nihw", matrix, pictures) + shift
    chosen = torch.rand(n, 1, 1, 1, generator=generator) < share
    return torch.where(chosen, mixed, pictures).clamp(-1, 1)


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """8 MSE + 2 MSE of image gradients + L1 / 4; both (N, 3, H, W). Squares, so that no thin line is given up."""
    error = output.float() - target
    gradients = error.diff(dim=-1).square().mean() + error.diff(dim=-2).square().mean()
    return 8 * error.square().mean() + 2 * gradients + 0.25 * error.abs().mean()


def small_picture(pictures: Tensor, factor: int) -> Tensor:
    """Pictures (N, 3, H, W) in [-1, 1] `factor` times smaller, times SMALL_GAIN: the first three latent channels.

    Left to itself an autoencoder of many channels whitens its latents: all frequencies equally strong, which a
    denoiser has to learn all at once. A picture's own spectrum falls steeply, so that places and colours come out
    of the noise first and details afterwards (Skorokhodov et al. 2025 say the same of diffusability).
    """
    return SMALL_GAIN * F.avg_pool2d(pictures, factor)


def latent_moments(latents: Tensor, std: float = 1.0) -> Tensor:
    """How far each channel of (N, C, h, w) is from zero mean and the standard deviation `std`: squared, meaned."""
    return latents.mean(dim=(0, 2, 3)).square().mean() + (latents.std(dim=(0, 2, 3)) - std).square().mean()


def scaling_factor(model: AutoencoderTiny, pictures: Tensor) -> float:
    """The factor that gives latents of `pictures` (N, 3, H, W) unit variance, apart from what they have in common.

    At the border of a picture latents are large and nearly the same in all. That part holds nothing to be learned, and
    counted in, it leaves so little to the rest that half of the noise schedule drowns it (Rombach et al. 2022, app. G,
    scale for the same reason).
    """
    with torch.no_grad():
        latents = torch.cat([model.encode(part).latents.float() for part in pictures.split(16)])
    return 1 / (latents - latents.mean(0)).square().mean().sqrt().item()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture (N,), values in [-1, 1]."""
    mse = (output.float().clamp(-1, 1) - target).square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(mse)


def train_vae(
    settings: VaeSettings, images: np.ndarray, folder: Path, device: torch.device | str = "cpu", compiled: bool = False
) -> TrainResult:
    """Train on uint8 pictures (N, H, W, 3) in `folder`.

    Validation: PSNR on 64 held-out scenes, and reconstructions_STEP.png: held-out scenes and the six drawings of
    UnicornGirl (which are only looked at), each row above its reconstruction.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)
        model = build(settings.levels, settings.latent_channels, settings.channels).to(
            device, memory_format=torch.channels_last
        )
    if compiled:
        model.encoder.compile()
        model.decoder.compile()
    size, crop = images.shape[1], settings.crop
    held_out = to_tensor(draw_scenes(range(HELD_OUT_SEED, HELD_OUT_SEED + 64), size)).to(device)
    drawings = [np.asarray(world.draw(scene, size)) for scene in world.reference_scenes(world.UNICORN_GIRL)]
    references = to_tensor(np.stack(drawings)).to(device)

    def batch(generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(images), (settings.batch_size,), generator=generator).tolist()
        offsets = (torch.randint((size - crop) // 8 + 1, (settings.batch_size, 2), generator=generator) * 8).tolist()
        crops = [images[i, y : y + crop, x : x + crop] for i, (y, x) in zip(chosen, offsets, strict=True)]
        return mix_colors(to_tensor(np.stack(crops)), settings.color_mixing, generator)

    def step_loss(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        target = batch(generator).to(device, memory_format=torch.channels_last)
        latents = model.encode(target).latents.float()
        colors = small_picture(target, 2 ** (settings.levels - 1))
        noisy = latents + settings.latent_noise * torch.randn(latents.shape, generator=generator).to(device)
        if torch.rand((), generator=generator) < settings.pooled_share:
            # Latents that scale as their picture does are easier to diffuse (EQ-VAE, Kouzelis et al. 2025).
            noisy, target = F.avg_pool2d(noisy, 2), F.avg_pool2d(target, 2)
        loss = reconstruction_loss(model.decode(noisy).sample, target)
        anchored = (latents[:, :COLORS] - colors).square().mean()
        spread = latent_moments(latents[:, COLORS:], settings.detail_std)
        return loss + settings.anchor * anchored + 0.5 * spread, {
            "reconstruction": loss.detach(),
            "anchored": anchored.detach(),
        }

    def validate(step: int, model: AutoencoderTiny) -> dict[str, float]:
        latents = [model.encode(x).latents for x in held_out.split(16)]
        rebuilt = torch.cat([model.decode(z).sample for z in latents])
        own = model.decode(model.encode(references).latents).sample
        rows = [*held_out[:6], *rebuilt[:6], *references, *own]
        figures.save_grid(to_pictures(torch.stack(rows)), folder / f"reconstructions_{step:06d}.png", columns=6)
        channels = torch.cat(latents).float().transpose(0, 1).flatten(1)
        return {
            "psnr": psnr(rebuilt, held_out).mean().item(),
            "unicorn_girl_psnr": psnr(own, references).mean().item(),
            "latent_largest_mean": channels.mean(1).abs().max().item(),
            "latent_smallest_std": channels.std(1).min().item(),
            "latent_largest_std": channels.std(1).max().item(),
        }

    result = train(
        model, step_loss, settings.loop, folder, validate=validate, describe="VAE", all_settings=asdict(settings)
    )
    if result.finished:
        load_stage(model, folder)
        save_scale(scaling_factor(model, held_out), folder)
    return result


def save_scale(scale: float, folder: Path) -> None:
    """Keep the scaling factor beside the weights of a stage folder."""
    write_atomic(folder / SCALE_FILE, json.dumps({"scaling_factor": scale}).encode())


def load(folder: Path) -> AutoencoderTiny:
    """The autoencoder of a stage folder (averaged weights, its scaling factor), frozen, in evaluation mode."""
    settings = recorded_settings(folder)
    model = build(settings["levels"], settings["latent_channels"], settings["channels"])
    load_stage(model, folder)
    scale = folder / SCALE_FILE
    if scale.exists():  # not before the end of training
        model.register_to_config(**json.loads(scale.read_text(encoding="utf-8")))
    return model
