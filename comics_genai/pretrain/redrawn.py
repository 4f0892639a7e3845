"""Latents as the UNet leaves them: those of drawings, noised part of the way and denoised again by their captions.

A decoder that also learns from them draws clean lines and flat colours from what a small UNet leaves soft. Noised only
part of the way, a figure stays where it is, so that the drawing itself can serve as the target.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTokenizer

from comics_genai import hardware
from comics_genai.files import load_tensors, save_tensors
from comics_genai.training import attention
from comics_genai.training.objective import add_noise, alpha_bar

from .clip import Clip
from .dataset import captions
from .tokenizer import encode
from .unet import scheduler

FILE = "redrawn.safetensors"


@dataclass(frozen=True)
class RedrawnSettings:
    """How far latents are noised, and how they are denoised."""

    pictures: int = 4000  # how many, the dataset's first; 0 = the decoder learns from encoded pictures alone
    first: int = 250  # timesteps to which they are noised: from here, where details are lost,
    last: int = 700  # to here, where a noisy picture still shows the figure's place
    steps: int = 5  # of denoising, evenly spaced
    guidance_scale: float = 3.0  # as pictures are drawn
    batch_size: int = 64


@torch.no_grad()
def redraw(
    unet: UNet2DConditionModel,
    latents: Tensor,
    start: int,
    steps: int,
    guidance_scale: float,
    conditions: tuple[Tensor, Tensor],
    empty: tuple[Tensor, Tensor],
    time_ids: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Latents (B, C, h, w) noised to timestep `start`, then denoised by `steps` of DDIM (Song et al. 2021, eq. 12,
    sigma 0) with classifier-free guidance (Ho & Salimans 2022).

    conditions: of the captions, hidden (B, L, d) and pooled (B, d'); empty: of the empty prompt, (1, L, d) and (1, d').
    """
    alphas, count = alpha_bar(scheduler()), len(latents)
    z = add_noise(latents, torch.randn(latents.shape, generator=generator).to(latents), alphas[start].expand(count))
    hidden = torch.cat([empty[0].expand(count, -1, -1), conditions[0]])
    pooled = torch.cat([empty[1].expand(count, -1), conditions[1]])
    added = {"text_embeds": pooled, "time_ids": time_ids.expand(2 * count, -1)}
    times = torch.linspace(start, 0, steps + 1).round().long()
    for now, then in zip(times[:-1], times[1:], strict=True):
        v = unet(torch.cat([z, z]), now.to(z.device), hidden, added_cond_kwargs=added).sample.float()
        without, given = v.chunk(2)
        v = without + guidance_scale * (given - without)
        signal, noise = alphas[now].sqrt(), (1 - alphas[now]).sqrt()
        clean, eps = signal * z - noise * v, noise * z + signal * v
        z = alphas[then].sqrt() * clean + (1 - alphas[then]).sqrt() * eps if then > 0 else clean
    return z


def cached_redrawn(
    settings: RedrawnSettings,
    unet: UNet2DConditionModel,
    clip: Clip,
    tokenizer: CLIPTokenizer,
    latents: Tensor,
    size: int,
    folder: Path,
) -> Tensor:
    """`redraw` of latents (N, C, h, w), number i being scene i of `size` pixels, by each scene's first caption: fp16,
    computed once and kept in `folder`."""
    path = folder / FILE
    if path.exists():
        return load_tensors(path)[0]["latents"]
    print(f"Drawing {len(latents)} pictures again ...", flush=True)
    attention.write_out(unet)
    device = next(unet.parameters()).device
    generator = torch.Generator().manual_seed(0)
    ids = encode(tokenizer, [variants[0] for variants in captions(range(len(latents)))])
    time_ids = torch.tensor([[size, size, 0, 0, size, size]], device=device).float()
    parts = []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=hardware.precision(device) == "bf16"):
        empty = clip.conditions(encode(tokenizer, [""]).to(device))
        for z, tokens in zip(latents.split(settings.batch_size), ids.split(settings.batch_size), strict=True):
            start = int(torch.randint(settings.first, settings.last + 1, (), generator=generator))
            conditions = clip.conditions(tokens.to(device))
            drawn = redraw(
                unet,
                z.float().to(device),
                start,
                settings.steps,
                settings.guidance_scale,
                conditions,
                empty,
                time_ids,
                generator,
            )
            parts.append(drawn.half().cpu())
    save_tensors(path, {"latents": torch.cat(parts)})
    return torch.cat(parts)
