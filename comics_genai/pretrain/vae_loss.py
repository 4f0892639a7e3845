"""The loss of the miniature's autoencoder, and the crops, colours and noise that it learns from."""

import torch
from torch import Tensor
from torch.nn import functional as F

from comics_genai import world

from . import semantics
from .vae import VaeSettings

SMALL_GAIN = 1.5  # factor of the small picture, whose values the decoder's soft clamp then hardly bends
FIGURE_WEIGHT, FACE_WEIGHT = 2.0, 4.0  # added to the weight of a pixel's error on the figure and on its face


def mix_colors(pictures: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Mix the colours of a `share` of the pictures (N, 3, H, W) in [-1, 1] by random matrices: every colour is seen."""
    n = len(pictures)
    matrix = torch.eye(3) + 0.45 * torch.randn(n, 3, 3, generator=generator)
    shift = 0.2 * torch.randn(n, 3, 1, 1, generator=generator)
    mixed = torch.einsum("nij,njhw->nihw", matrix, pictures) + shift
    chosen = torch.rand(n, 1, 1, 1, generator=generator) < share
    return torch.where(chosen, mixed, pictures).clamp(-1, 1)


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


def channel_noise(latents: Tensor, settings: VaeSettings, generator: torch.Generator) -> Tensor:
    """Noise for latents (N, C, h, w): in shares of a channel's standard deviation, picture and semantic channels apart.

    A decoder that learns from noisy latents cleans a UNet's small errors away instead of showing them. Sometimes the
    noise drowns the picture channels, so that the decoder learns to draw by the semantic ones.
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


def reconstruction_loss(output: Tensor, target: Tensor, weight: Tensor, detail: float = 1.0) -> Tensor:
    """detail (L1 + L1 of image gradients + 2 MSE) + L1 of 4x and 16x averages; pictures (N, 3, H, W), weight
    (N, 1, H, W).

    L1 draws clean edges, the averages hold the colour of a whole area, and the square keeps thin lines. Where the
    target shows other details than the latents can know, a small `detail` leaves them to the discriminator.
    """
    error = output.float() - target
    across, down = error.diff(dim=-1).abs() * weight[..., 1:], error.diff(dim=-2).abs() * weight[..., 1:, :]
    averages = sum((F.avg_pool2d(error, n).abs() * F.avg_pool2d(weight, n)).mean() for n in (4, 16))
    details = (weight * error.abs()).mean() + across.mean() + down.mean() + 2 * (weight * error.square()).mean()
    return detail * details + averages


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

    Left to itself, an autoencoder with many channels whitens its latents: all frequencies are equally strong, and a
    denoiser has to learn them all at once. A picture's own spectrum falls steeply, so that places and colours come out
    of the noise first and details afterwards (Skorokhodov et al. 2025 say the same of diffusability).
    """
    return SMALL_GAIN * F.avg_pool2d(pictures, factor)


def latent_moments(latents: Tensor, std: float = 1.0) -> Tensor:
    """The mean square of how far the channels of (N, C, h, w) are from zero mean and from the standard deviation
    `std`."""
    return latents.mean(dim=(0, 2, 3)).square().mean() + (latents.std(dim=(0, 2, 3)) - std).square().mean()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture (N,), values in [-1, 1]."""
    mse = (output.float().clamp(-1, 1) - target).square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(mse)
