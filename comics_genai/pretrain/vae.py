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
from comics_genai.files import load_weights, write_atomic
from comics_genai.images import to_pictures, to_tensor
from comics_genai.plotting import figures
from comics_genai.training.loop import LoopSettings, TrainResult, train

from . import semantics
from .dataset import HELD_OUT_SEED, draw_scenes
from .stage import load_stage, recorded_settings

SCALE_FILE = "scaling_factor.json"
COLORS = 3  # latent channels that are the small picture
SMALL_GAIN = 1.5  # within what the decoder's soft clamp leaves nearly straight
SEMANTIC_GAIN = 0.3  # of standardised maps: their peaks, of 6 standard deviations, stay within that too
FIGURE_WEIGHT, FACE_WEIGHT = 2.0, 4.0  # added to the weight of a pixel's error on the figure and on its face


@dataclass(frozen=True)
class VaeSettings:
    """How the autoencoder is built and trained."""

    levels: int = 4  # latents are 2 ** (levels - 1) times smaller than pictures, each way
    picture_channels: int = 9  # the latent's others are semantic
    channels: int = 64
    batch_size: int = 12  # small: at an equal time twice the steps do more than twice the pictures
    crop: int = 64  # pixels each way; the network is convolutional, so whole pictures need not be seen
    at_joints: float = 0.7  # share of crops that have a joint of the figure in their middle
    color_mixing: float = 0.3  # share of pictures in foreign colours
    latent_noise: float = 0.2  # standard deviation of the noise on picture channels, as a share of theirs
    strong_noise: float = 0.25  # share of steps in which it is drawn from 0 to 1: only the semantic channels help then
    semantic_noise: float = 0.15  # the same of semantic channels
    pooled_share: float = 0.1  # of steps, on half-size latents against half-size pictures
    anchor: float = 2.0  # weight of the error of the first three channels against the small picture they are to be
    semantic: float = 1.0  # weight of the error of the semantic channels, in their standard deviations
    detail_std: float = 0.5  # standard deviation of the other channels; the small picture's is about 1
    decoder_only: bool = False  # the encoder stays as it is, and with it all latents
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


def reconstruction_loss(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1 + L1 of image gradients + L1 of 4x and 16x averages + 2 MSE; pictures (N, 3, H, W), weight (N, 1, H, W).

    L1 draws clean edges, averages hold the colour of a whole area, the square gives up no thin line.
    """
    error = output.float() - target
    across, down = error.diff(dim=-1).abs() * weight[..., 1:], error.diff(dim=-2).abs() * weight[..., 1:, :]
    averages = sum((F.avg_pool2d(error, n).abs() * F.avg_pool2d(weight, n)).mean() for n in (4, 16))
    return (weight * error.abs()).mean() + across.mean() + down.mean() + averages + 2 * (weight * error.square()).mean()


def pixel_weights(maps: Tensor, factor: int) -> Tensor:
    """Weights (N, 1, H, W) of pixels from semantic maps (N, C, h, w): more on the figure and its face."""
    spread, center = (torch.from_numpy(x)[:, None, None] for x in (semantics.SPREAD, semantics.CENTER))
    raw = maps * spread + center
    figure = raw[:, : len(world.PARTS)].sum(1, keepdim=True).clamp(0, 1)
    face = (raw[:, -len(semantics.FACE) : -1].amax(1, keepdim=True) / 0.75).clamp(0, 1)
    weight = 1 + FIGURE_WEIGHT * figure + FACE_WEIGHT * face
    return F.interpolate(weight, scale_factor=factor, mode="bilinear", align_corners=False)


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


def scaling_factor(model: AutoencoderTiny, pictures: Tensor, channels: int) -> float:
    """The factor that gives the first `channels` latent channels of `pictures` (N, 3, H, W) unit variance, apart from
    what they have in common.

    At the border of a picture latents are large and nearly the same in all. That part holds nothing to be learned, and
    counted in, it leaves so little to the rest that half of the noise schedule drowns it (Rombach et al. 2022, app. G,
    scale for the same reason).
    """
    with torch.no_grad():
        latents = torch.cat([model.encode(part).latents.float()[:, :channels] for part in pictures.split(16)])
    return 1 / (latents - latents.mean(0)).square().mean().sqrt().item()


def channel_noise(latents: Tensor, settings: VaeSettings, generator: torch.Generator) -> Tensor:
    """Noise for latents (N, C, h, w): in shares of a channel's standard deviation, picture and semantic channels apart.

    A decoder that learns from noisy latents cleans a UNet's small errors away instead of showing them. Sometimes the
    picture channels drown, so that the decoder learns to draw by the semantic ones.
    """
    n, pictures = len(latents), settings.picture_channels
    std = latents.detach().std(dim=(0, 2, 3), keepdim=True)
    sigma = torch.full((n, 1, 1, 1), settings.latent_noise)
    strong = torch.rand(n, 1, 1, 1, generator=generator)
    drowned = torch.rand(n, 1, 1, 1, generator=generator) < settings.strong_noise
    sigma = torch.where(drowned, strong, sigma)
    semantic = torch.full((n, 1, 1, 1), settings.semantic_noise)
    shares = torch.cat([sigma.expand(n, pictures, 1, 1), semantic.expand(n, latents.shape[1] - pictures, 1, 1)], 1)
    return (shares * torch.randn(latents.shape, generator=generator)).to(latents.device) * std


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture (N,), values in [-1, 1]."""
    mse = (output.float().clamp(-1, 1) - target).square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(mse)


def crop_origins(count: int, joints: Tensor, settings: VaeSettings, size: int, generator: torch.Generator) -> Tensor:
    """Upper left corners (count, 2), y and x, of crops in latent cells; `joints` (count, 13, 2) in fractions."""
    factor = 2 ** (settings.levels - 1)
    last = (size - settings.crop) // factor
    anywhere = torch.randint(last + 1, (count, 2), generator=generator)
    chosen = torch.randint(joints.shape[1], (count,), generator=generator)
    middle = joints[torch.arange(count), chosen].flip(-1) * size - settings.crop / 2
    jitter = torch.rand(count, 2, generator=generator) * 16 - 8
    centered = ((middle + jitter) / factor).round().long().clamp(0, last)
    at_joint = torch.rand(count, 1, generator=generator) < settings.at_joints
    return torch.where(at_joint, centered, anywhere)


def train_vae(
    settings: VaeSettings,
    images: np.ndarray,
    maps: np.ndarray,
    folder: Path,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    start: Path | None = None,
) -> TrainResult:
    """Train on uint8 pictures (N, H, W, 3) and their semantic maps (N, C, h, w) in `folder`; from the weights in the
    file `start`, or else from random ones.

    Validation: PSNR on 64 held-out scenes, and reconstructions_STEP.png: held-out scenes and the six drawings of
    UnicornGirl (which are only looked at), each row above its reconstruction.
    """
    pictures = settings.picture_channels
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)
        model = build(settings.levels, pictures + maps.shape[1], settings.channels).to(
            device, memory_format=torch.channels_last
        )
    if start:
        load_weights(model, start)
    if settings.decoder_only:
        model.encoder.requires_grad_(False)
    if compiled:
        model.encoder.compile()
        model.decoder.compile()
    size, crop, factor = images.shape[1], settings.crop, 2 ** (settings.levels - 1)
    held_out = to_tensor(draw_scenes(range(HELD_OUT_SEED, HELD_OUT_SEED + 64), size)).to(device)
    drawings = [np.asarray(world.draw(scene, size)) for scene in world.reference_scenes(world.UNICORN_GIRL)]
    references = to_tensor(np.stack(drawings)).to(device)
    joints = torch.from_numpy(np.stack([world.joints(world.sample_scene(seed)) for seed in range(len(images))]))

    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(images), (settings.batch_size,), generator=generator)
        origins = crop_origins(len(chosen), joints[chosen], settings, size, generator).tolist()
        cells = crop // factor
        crops, parts = [], []
        for i, (y, x) in zip(chosen.tolist(), origins, strict=True):
            crops.append(images[i, y * factor : y * factor + crop, x * factor : x * factor + crop])
            parts.append(maps[i, :, y : y + cells, x : x + cells])
        target = mix_colors(to_tensor(np.stack(crops)), settings.color_mixing, generator)
        return target, torch.from_numpy(np.stack(parts)).float()

    def step_loss(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        target, shown = batch(generator)
        weight = pixel_weights(shown, factor).to(device)
        target = target.to(device, memory_format=torch.channels_last)
        latents = model.encode(target).latents.float()
        anchored = (latents[:, :COLORS] - small_picture(target, factor)).square().mean()
        read = (latents[:, pictures:] / SEMANTIC_GAIN - shown.to(device)).square().mean()
        noisy = latents + channel_noise(latents, settings, generator)
        if torch.rand((), generator=generator) < settings.pooled_share:
            # Latents that scale as their picture does are easier to diffuse (EQ-VAE, Kouzelis et al. 2025).
            noisy, target, weight = (F.avg_pool2d(x, 2) for x in (noisy, target, weight))
        loss = reconstruction_loss(model.decode(noisy).sample, target, weight)
        spread = latent_moments(latents[:, COLORS:pictures], settings.detail_std)
        total = loss + settings.anchor * anchored + settings.semantic * read + 0.5 * spread
        return loss if settings.decoder_only else total, {
            "reconstruction": loss.detach(),
            "anchored": anchored.detach(),
            "semantic": read.detach(),
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
        save_scale(scaling_factor(model, held_out, pictures), folder)
    return result


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
    if scale.exists():  # not before the end of training
        model.register_to_config(**json.loads(scale.read_text(encoding="utf-8")))
    return model
