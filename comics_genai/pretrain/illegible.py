"""Pictures in which nobody can read a figure, for the reader to learn what it cannot read.

A network that has only seen figures finds one in anything: in noise, in a collage, in what a GAN makes of six drawings.
"""

from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from comics_genai.images import to_tensor

PATCHES = (8, 4, 16)  # cells each way that a shuffled picture is cut into


def shuffled(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (N, 3, H, W) cut into squares that change their places."""
    side = pictures.shape[-1]
    made = []
    for picture in pictures:
        cells = PATCHES[int(torch.randint(len(PATCHES), (), generator=generator))]
        size = side // cells
        squares = F.unfold(picture[None], size, stride=size)
        squares = squares[..., torch.randperm(squares.shape[-1], generator=generator)]
        made.append(F.fold(squares, side, size, stride=size)[0])
    return torch.stack(made)


def collage(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Each quarter, moved to any other place, of another picture."""
    n, half = len(pictures), pictures.shape[-1] // 2
    made = torch.empty_like(pictures)
    for place in range(4):
        others = pictures[torch.randperm(n, generator=generator)]
        y, x = (int(v) for v in torch.randint(half + 1, (2,), generator=generator))
        top, left = half * (place // 2), half * (place % 2)
        made[..., top : top + half, left : left + half] = others[..., y : y + half, x : x + half]
    return made


def blurred(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of 3 to 7 px, enlarged, some with noise on top."""
    side = pictures.shape[-1]
    made = []
    for picture in pictures:
        small = int(torch.randint(3, 8, (), generator=generator))
        tiny = F.interpolate(picture[None], small, mode="bilinear", antialias=True)
        large = F.interpolate(tiny, side, mode="bicubic")[0]
        sigma = 0.4 * torch.rand((), generator=generator) * (torch.rand((), generator=generator) < 0.4)
        made.append(large + sigma * torch.randn(large.shape, generator=generator))
    return torch.stack(made)


def noise(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Noise in the colours of a picture, white or in blots of any size."""
    side = pictures.shape[-1]
    made = []
    for picture in pictures:
        cells = side >> int(torch.randint(6, (), generator=generator))
        blots = torch.randn(1, 3, cells, cells, generator=generator)
        mode = "nearest" if torch.rand((), generator=generator) < 0.3 else "bicubic"
        mean, std = picture.mean((1, 2), keepdim=True), picture.std((1, 2), keepdim=True)
        made.append(mean + 1.5 * std * F.interpolate(blots, side, mode=mode)[0])
    return torch.stack(made)


def random_phases(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A picture's frequencies, each as strong as it was, at random places."""
    spectrum = torch.fft.rfft2(pictures)
    turned = torch.fft.rfft2(torch.randn(pictures.shape, generator=generator)).angle()
    return torch.fft.irfft2(torch.polar(spectrum.abs(), turned), s=pictures.shape[-2:])


def random_latents(vae: AutoencoderTiny) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Decodes latents that are mostly noise, white or in blots: what an unfinished generator shows."""

    def decoded(pictures: Tensor, generator: torch.Generator) -> Tensor:
        latents = vae.encode(pictures).latents.float()
        mean, std = latents.mean((0, 2, 3), keepdim=True), latents.std((0, 2, 3), keepdim=True)
        blots = torch.stack([_blots(z.shape, generator) for z in latents])
        signal = 0.35 * torch.rand(len(latents), 1, 1, 1, generator=generator)
        return vae.decode(signal * latents + (1 - signal) * (mean + std * blots)).sample.clamp(-1, 1)

    return decoded


def _blots(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Noise of unit variance (C, h, w), of one to four cells' size."""
    channels, height, width = shape
    size = 1 << int(torch.randint(3, (), generator=generator))
    small = torch.randn(1, channels, -(-height // size), -(-width // size), generator=generator)
    spread = F.interpolate(small, scale_factor=float(size), mode="bilinear")[0, :, :height, :width]
    return spread / spread.std()


@torch.no_grad()
def illegible_pictures(
    images: np.ndarray, count: int, vae: AutoencoderTiny | None, seed: int, batch_size: int = 24
) -> np.ndarray:
    """uint8 (count, H, W, 3): pictures of `images` (N, H, W, 3) spoilt beyond recognition, all kinds in turn."""
    kinds = [shuffled, collage, blurred, noise, random_phases] + ([random_latents(vae)] if vae is not None else [])
    generator, made = torch.Generator().manual_seed(seed), []
    for start in range(0, count, batch_size):
        chosen = torch.randint(len(images), (min(batch_size, count - start),), generator=generator)
        pictures = to_tensor(np.stack([images[i] for i in chosen.tolist()]))
        spoilt = kinds[start // batch_size % len(kinds)](pictures, generator)
        made.append(spoilt.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(made)
