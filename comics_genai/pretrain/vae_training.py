"""Trains the miniature's autoencoder on crops of drawings, with their semantic maps."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from comics_genai import run, world
from comics_genai.files import load_tensors, load_weights, save_tensors
from comics_genai.images import to_pictures, to_tensor
from comics_genai.plotting import figures
from comics_genai.training.loop import TrainResult, train
from comics_genai.training.stage import load_stage

from . import adversarial
from .dataset import HELD_OUT_SEED, draw_scenes
from .vae import COLORS, SEMANTIC_GAIN, VaeSettings, build, save_scale, scaling_factor
from .vae_loss import (
    channel_noise,
    crop_origins,
    latent_moments,
    mix_colors,
    pixel_weights,
    psnr,
    reconstruction_loss,
    small_picture,
)

HELD_OUT = 64  # scenes


class VaeTraining:
    """An autoencoder with the pictures uint8 (N, H, W, 3) and the semantic maps (N, C, h, w) that it learns from.

    redrawn: latents (n, C, h, w) of the first n pictures as the UNet leaves them (`redrawn.redraw`), in the decoder's
    scale; a share of the steps, `settings.redrawn_share`, decodes these instead of encoded ones.

    `step_loss` and `validate` are what `training.loop.train` asks for.
    """

    def __init__(
        self,
        settings: VaeSettings,
        images: np.ndarray,
        maps: np.ndarray,
        folder: Path,
        device: torch.device | str,
        start: Path | None = None,
        redrawn: Tensor | None = None,
    ):
        self.redrawn = redrawn
        self.settings, self.images, self.maps, self.folder, self.device = settings, images, maps, folder, device
        self.size, self.factor = images.shape[1], 2 ** (settings.levels - 1)
        with torch.random.fork_rng():
            torch.manual_seed(settings.loop.seed)
            model = build(settings.levels, settings.picture_channels + maps.shape[1], settings.channels)
        self.model = model.to(device, memory_format=torch.channels_last)
        if start:
            load_weights(model, start)
        if settings.decoder_only:
            model.encoder.requires_grad_(False)
        if settings.adversarial:
            model.discriminator = adversarial.Discriminator().to(device, memory_format=torch.channels_last)
        self.held_out = to_tensor(draw_scenes(range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT), self.size)).to(device)
        drawings = [np.asarray(world.draw(scene, self.size)) for scene in world.reference_scenes(world.UNICORN_GIRL)]
        self.references = to_tensor(np.stack(drawings)).to(device)
        joints = [world.joints(world.sample_scene(seed)) for seed in range(len(images))]
        self.joints = torch.from_numpy(np.stack(joints))

    def crops(self, count: int, generator: torch.Generator) -> Iterator[tuple[int, int, int]]:
        """Which picture, and the upper left corner (y, x) in latent cells, of a batch of crops of the first `count`."""
        chosen = torch.randint(count, (self.settings.batch_size,), generator=generator)
        origins = crop_origins(len(chosen), self.joints[chosen], self.settings, self.size, generator).tolist()
        for i, (y, x) in zip(chosen.tolist(), origins, strict=True):
            yield i, y, x

    def batch(self, crops: Sequence[tuple[int, int, int]]) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, crop, crop) in [-1, 1] and semantic maps (B, C, h, w) of `crops`."""
        factor, cells = self.factor, self.settings.crop // self.factor
        pictures = [self.images[i, y * factor :, x * factor :][: cells * factor, : cells * factor] for i, y, x in crops]
        maps = [self.maps[i, :, y : y + cells, x : x + cells] for i, y, x in crops]
        return to_tensor(np.stack(pictures)), torch.from_numpy(np.stack(maps)).float()

    def redrawn_loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The decoder's loss on one batch of latents as the UNet leaves them."""
        cells, crops = self.settings.crop // self.factor, list(self.crops(len(self.redrawn), generator))
        target, shown = self.batch(crops)
        latents = torch.stack([self.redrawn[i, :, y : y + cells, x : x + cells] for i, y, x in crops]).float()
        output, target = self.model.decode(latents.to(self.device)).sample, target.to(self.device)
        weight = pixel_weights(shown, self.factor).to(self.device)
        loss = reconstruction_loss(output, target, weight, self.settings.redrawn_detail)
        total, logs = self.with_discriminator(loss, output, target)
        return total, {"redrawn": loss.detach()} | logs

    def with_discriminator(self, loss: Tensor, output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of decoded pictures with the discriminator's, where there is one, and its terms to log."""
        if not self.settings.adversarial:
            return loss, {}
        discriminator, output = self.model.discriminator, output.clamp(-1, 1)
        fooled = adversarial.decoder_loss(discriminator, output)
        weight = self.settings.adversarial * adversarial.balance(loss, fooled, self.model.decoder.layers[-1].weight)
        told = adversarial.discriminator_loss(discriminator, target, output)
        return loss + weight * fooled + told, {"fooled": fooled.detach(), "told": told.detach()}

    def step_loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its terms to log."""
        settings, own = self.settings, self.settings.picture_channels
        if self.redrawn is not None and torch.rand((), generator=generator) < settings.redrawn_share:
            return self.redrawn_loss(generator)
        target, shown = self.batch(list(self.crops(len(self.images), generator)))
        target = mix_colors(target, settings.color_mixing, generator)
        weight = pixel_weights(shown, self.factor).to(self.device)
        target = target.to(self.device, memory_format=torch.channels_last)
        latents = self.model.encode(target).latents.float()
        anchored = (latents[:, :COLORS] - small_picture(target, self.factor)).square().mean()
        read = (latents[:, own:] / SEMANTIC_GAIN - shown.to(self.device)).square().mean()
        noisy = latents + channel_noise(latents, settings, generator)
        if torch.rand((), generator=generator) < settings.pooled_share:
            # Latents that scale as their picture does are easier to diffuse (EQ-VAE, Kouzelis et al. 2025).
            noisy, target, weight = (F.avg_pool2d(x, 2) for x in (noisy, target, weight))
        loss = reconstruction_loss(self.model.decode(noisy).sample, target, weight)
        spread = latent_moments(latents[:, COLORS:own], settings.detail_std)
        total = loss + settings.anchor * anchored + settings.semantic * read + 0.5 * spread
        logs = {"reconstruction": loss, "anchored": anchored, "semantic": read}
        return loss if settings.decoder_only else total, {name: term.detach() for name, term in logs.items()}

    def validate(self, step: int, model: AutoencoderTiny) -> dict[str, float]:
        """PSNR on held-out scenes and on the six drawings of UnicornGirl, which are only looked at; the latents' scale.

        Writes reconstructions_STEP.png: held-out scenes and the six drawings, each row above its reconstruction.
        """
        latents = [model.encode(part).latents for part in self.held_out.split(16)]
        rebuilt = torch.cat([model.decode(z).sample for z in latents])
        own = model.decode(model.encode(self.references).latents).sample
        rows = [*self.held_out[:6], *rebuilt[:6], *self.references, *own]
        figures.save_grid(to_pictures(torch.stack(rows)), self.folder / f"reconstructions_{step:06d}.png", columns=6)
        channels = torch.cat(latents).float().transpose(0, 1).flatten(1)
        return {
            "psnr": psnr(rebuilt, self.held_out).mean().item(),
            "unicorn_girl_psnr": psnr(own, self.references).mean().item(),
            "latent_largest_mean": channels.mean(1).abs().max().item(),
            "latent_smallest_std": channels.std(1).min().item(),
            "latent_largest_std": channels.std(1).max().item(),
        }


def train_vae(
    settings: VaeSettings,
    images: np.ndarray,
    maps: np.ndarray,
    folder: Path,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    start: Path | None = None,
    redrawn: Tensor | None = None,
) -> TrainResult:
    """Train on uint8 pictures (N, H, W, 3) and their semantic maps (N, C, h, w) in `folder`, from the weights in the
    file `start`, or else from random ones. redrawn: see `VaeTraining`.

    At the end the scaling factor is measured and kept beside the weights. If only the decoder is trained, the folder
    holds no other weights.
    """
    training = VaeTraining(settings, images, maps, folder, device, start, redrawn)
    model = training.model
    if compiled:
        model.encoder.compile()
        model.decoder.compile()
    result = train(
        model,
        training.step_loss,
        settings.loop,
        folder,
        validate=training.validate,
        describe="VAE",
        all_settings=asdict(settings),
    )
    if result.finished and settings.adversarial:
        _forget_discriminator(folder)
    if result.finished and not settings.decoder_only:
        load_stage(model, folder)
        save_scale(scaling_factor(model, training.held_out, settings.picture_channels), folder)
    return result


def _forget_discriminator(folder: Path) -> None:
    """Remove the discriminator from the files of a finished stage: it is not needed to draw."""
    for path in filter(Path.exists, (folder / run.EMA_FILE, folder / run.FULL_FILE)):
        tensors, metadata = load_tensors(path)
        kept = {name: t for name, t in tensors.items() if not name.startswith("discriminator.")}
        if len(kept) < len(tensors):
            save_tensors(path, kept, metadata)
