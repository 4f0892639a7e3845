"""The miniature's autoencoder: AutoencoderTiny, 8x smaller, 12 latent channels, trained on crops in any colours."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch.nn import functional as F

from comics_genai import world
from comics_genai.loop import LoopSettings, TrainResult, train

from .dataset import HELD_OUT_SEED, draw_scenes


@dataclass(frozen=True)
class VaeSettings:
    """crop: pixels of a training crop; latent_noise: standard deviation added to unit-variance latents."""

    latent_channels: int = 12
    channels: int = 64
    batch_size: int = 16
    crop: int = 64
    color_mixing: float = 0.7
    latent_noise: float = 0.07
    pooled_share: float = 0.15
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=6000, learning_rate=1.5e-3, schedule="cosine", warmup_steps=100, decay_from=0.3, ema_decay=0.998,
            precision="bf16", log_every=50, checkpoint_every=500, validate_every=500, beta2=0.99,
        )  # fmt: skip
    )


def build(settings: VaeSettings) -> AutoencoderTiny:
    """The untrained autoencoder: about 1.7 M parameters at 64 channels."""
    torch.manual_seed(settings.loop.seed)
    widths = (settings.channels,) * 4
    return AutoencoderTiny(
        latent_channels=settings.latent_channels,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 2, 2, 2),
        num_decoder_blocks=(2, 2, 2, 1),
    )


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def mix_colors(pictures: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Mixes the channels of a `share` of the pictures by a random matrix, so that no colour is foreign to the VAE."""
    n = len(pictures)
    matrix = torch.eye(3) + 0.45 * torch.randn(n, 3, 3, generator=generator)
    shift = 0.2 * torch.randn(n, 3, 1, 1, generator=generator)
    mixed = torch.einsum("nij,njhw->nihw", matrix, pictures) + shift
    chosen = torch.rand(n, 1, 1, 1, generator=generator) < share
    return torch.where(chosen, mixed, pictures).clamp(-1, 1)


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 + MSE + L1 of image gradients + L1 of 4x and 16x averages."""
    error = output.float() - target
    loss = error.abs().mean() + 2 * error.square().mean()
    loss = loss + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    for factor in (4, 16):
        if error.shape[-1] % factor == 0:
            loss = loss + F.avg_pool2d(error, factor).abs().mean()
    return loss


def psnr(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of each picture, values in [-1, 1]."""
    mse = (output.float().clamp(-1, 1) - target).square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(mse)


def train_vae(settings: VaeSettings, images: np.ndarray, folder: Path) -> TrainResult:
    """Trains in `folder`; every validation measures PSNR on 64 held-out scenes and draws `reconstructions_*.png`."""
    model = build(settings).to(memory_format=torch.channels_last)
    size, crop = images.shape[1], settings.crop
    held_out = to_tensor(draw_scenes(range(HELD_OUT_SEED, HELD_OUT_SEED + 64), size))
    references = to_tensor(
        np.stack([np.asarray(world.draw(scene, size)) for scene in world.reference_scenes(world.UNICORN_GIRL)])
    )

    def batch(generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(len(images), (settings.batch_size,), generator=generator).tolist()
        offsets = (torch.randint((size - crop) // 8 + 1, (settings.batch_size, 2), generator=generator) * 8).tolist()
        crops = [images[i, y : y + crop, x : x + crop] for i, (y, x) in zip(chosen, offsets, strict=True)]
        return mix_colors(to_tensor(np.stack(crops)), settings.color_mixing, generator)

    def step_loss(step: int, generator: torch.Generator):
        target = batch(generator).contiguous(memory_format=torch.channels_last)
        latents = model.encode(target).latents.float()
        moments = latents.mean(dim=(0, 2, 3)).square().mean() + (latents.std(dim=(0, 2, 3)) - 1).square().mean()
        noisy = latents + settings.latent_noise * torch.randn(latents.shape, generator=generator)
        if torch.rand((), generator=generator) < settings.pooled_share:
            # Equivariance of the latents to scale (EQ-VAE, Kouzelis et al. 2025) makes them easier to diffuse.
            noisy, target = F.avg_pool2d(noisy, 2), F.avg_pool2d(target, 2)
        loss = reconstruction_loss(model.decode(noisy).sample, target)
        return loss + 0.05 * moments, {"reconstruction": loss.detach()}

    def validate(step: int, model: AutoencoderTiny) -> dict[str, float]:
        rebuilt = torch.cat([model.decode(model.encode(x).latents).sample for x in held_out.split(16)]).float()
        own = model.decode(model.encode(references).latents).sample.float()
        latents = model.encode(held_out[:16]).latents.float()
        rows = [held_out[:6], rebuilt[:6], references, own]
        grid = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
        pixels = grid.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"reconstructions_{step:06d}.png")
        return {"psnr": psnr(rebuilt, held_out).mean().item(), "unicorn_girl_psnr": psnr(own, references).mean().item(),
                "latent_mean": latents.mean().item(), "latent_std": latents.std().item()}  # fmt: skip

    return train(model, step_loss, settings.loop, folder, validate=validate, describe="VAE", all_settings=asdict(settings))


def load(folder: Path, settings: VaeSettings | None = None) -> AutoencoderTiny:
    """The trained autoencoder (EMA weights) of a stage folder, frozen, in evaluation mode."""
    from comics_genai.loop import load_weights

    model = build(settings or VaeSettings())
    load_weights(model, folder / "ema.safetensors")
    return model.eval().requires_grad_(False)
