"""Train the attribute reader on drawn pictures and their reconstructions by the VAE, shifted, blurred and noisy.

    python -m comics_genai pretrain reader --minutes 15

Half of the reconstructions are of latents with noise added, which is what a sampler that was not quite done leaves.
A share of all pictures shows nothing that can be read (`illegible`), and the network learns to say so.
Finished, the stage folder holds export/ (the reader as it is shipped) and accuracy.json.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional as F

from comics_genai import hardware, world
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import (
    FACTORS,
    LAB_CENTER,
    LAB_SCALE,
    READABLE,
    AttributeReader,
    AttributeReaderConfig,
    Readings,
    compare,
)
from comics_genai.files import load_weights, write_atomic
from comics_genai.images import to_tensor
from comics_genai.progress import Progress
from comics_genai.training.loop import LoopSettings, TrainResult, train
from comics_genai.training.seeding import step_seed

from .dataset import HELD_OUT_SEED, draw_scenes
from .illegible import illegible_pictures

RECONSTRUCTED_AT_ONCE = 500  # whole parts of so many pictures survive an interruption


@dataclass(frozen=True)
class ReaderSettings:
    """How the attribute reader is trained; shares are of the pictures of a batch."""

    network: AttributeReaderConfig = AttributeReaderConfig()
    batch_size: int = 24
    reconstructions: bool = True  # False trains on drawn pictures alone, before there is a VAE
    reconstructed_pictures: int = 2000  # so many different ones, the first of the dataset
    reconstructed: float = 0.65  # share; of them half with noise on the latents
    latent_noise: float = 0.4  # largest standard deviation of it, where the latents' own is 1
    blurred: float = 0.2  # share, by a resize to 50-90 % and back
    noisy: float = 0.2  # share, with Gaussian noise of at most 0.06
    illegible: float = 0.15  # share of pictures in which nothing can be read
    illegible_pictures: int = 3000  # so many different ones
    shift: int = 4  # largest, pixels
    misplaced: float = 0.012  # standard deviation of the joints where readers look, twice, in fractions of the picture
    held_out: int = 1000  # pictures for accuracy.json
    start: str = ""  # a file of weights to begin with
    compile: bool = False  # on two CPU cores it costs two minutes and gains nothing; on a GPU it pays
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=12_000,
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=100,
            decay_from=0.2,
            weight_decay=0.01,
            beta2=0.99,
            ema_decay=0.998,
            log_every=50,
            checkpoint_every=300,
            validate_every=600,
        )
    )


def targets_of(truth: Readings) -> dict[str, Tensor]:
    """True factors as AttributeReader.forward gives them: colours and scalars scaled, classes as indices."""
    targets = {}
    for a in world.ATTRIBUTES:
        value = torch.from_numpy(truth.attributes[a.name])
        targets[a.name] = (value - torch.tensor(LAB_CENTER)) / LAB_SCALE if a.kind == "color" else value
    targets |= {name: torch.from_numpy(value) for name, value in truth.pose.items()}
    return targets | {"joints": torch.from_numpy(truth.joints)}


def reader_loss(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum over the factors, and its parts: cross-entropy of classes, Huber in CIELAB of colours, Huber of scalars, L1
    of joints, binary cross-entropy of legibility. The Huber turns linear at 5 CIELAB units: some colours are hidden in
    a pose and cannot be known. Of pictures with the target "legible" 0 nothing else counts."""
    parts: dict[str, list[Tensor]] = {"classes": [], "colors": [], "scalars": [], "pose": []}
    legible = targets.get("legible", torch.ones(len(targets["joints"]), device=targets["joints"].device))
    said = F.binary_cross_entropy_with_logits(outputs["legible"][:, 0], legible)
    shown = legible > 0
    outputs, targets = ({name: x[shown] for name, x in side.items()} for side in (outputs, targets))
    for a in world.ATTRIBUTES:
        output, target = outputs[a.name], targets[a.name]
        if a.kind == "class":
            parts["classes"].append(F.cross_entropy(output, target))
        elif a.kind == "color":
            parts["colors"].append(F.smooth_l1_loss(output, target, beta=5 / LAB_SCALE, reduction="none").sum(1).mean())
        else:
            parts["scalars"].append(4 * F.smooth_l1_loss(output[:, 0], target, beta=0.15))
    parts["pose"] = [F.cross_entropy(outputs[name], targets[name]) for name in world.POSE_FACTORS]
    sums = {name: torch.stack(losses).sum() for name, losses in parts.items()}
    sums["joints"] = 40 * (outputs["joints"] - targets["joints"]).abs().mean()
    sums["legible"] = 4 * said
    return torch.stack(list(sums.values())).sum() / len(FACTORS), {k: v.detach() for k, v in sums.items()}


@torch.no_grad()
def reconstruct(
    vae: AutoencoderTiny, images: np.ndarray, noise: float, generator: torch.Generator, batch_size: int = 16
) -> np.ndarray:
    """uint8 (N, H, W, 3) through the VAE and back; every second one (at random) with latent noise of up to `noise`.

    The noise is in units of a batch's latent standard deviation. It is white over a picture, or over 2 x 2 latents.
    """
    device, rebuilt = next(vae.parameters()).device, []
    half = torch.autocast(device.type, torch.bfloat16, enabled=hardware.precision(device) == "bf16")
    for start in range(0, len(images), batch_size):
        with half:
            latents = vae.encode(to_tensor(images[start : start + batch_size]).to(device)).latents.float()
            n, channels, height, width = latents.shape
            sigma = noise * latents.std().cpu() * torch.rand(n, 1, 1, 1, generator=generator)
            sigma = sigma * (torch.rand(n, 1, 1, 1, generator=generator) < 0.5)
            fine = torch.randn(latents.shape, generator=generator)
            coarse = F.interpolate(
                torch.randn(n, channels, -(-height // 2), -(-width // 2), generator=generator), scale_factor=2.0
            )[..., :height, :width]
            white = torch.where(torch.rand(n, 1, 1, 1, generator=generator) < 0.5, fine, coarse)
            pictures = vae.decode(latents + (sigma * white).to(device)).sample
        pictures = pictures.float().clamp(-1, 1).add(1).mul(127.5).round().byte()
        rebuilt.append(pictures.permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(rebuilt)


def cached_reconstructions(vae: AutoencoderTiny, images: np.ndarray, noise: float, folder: Path) -> np.ndarray:
    """`reconstruct` of all pictures as a memory-mapped file in `folder`, computed once for each VAE, in parts."""
    digest = hashlib.sha256(f"{len(images)} {noise}".encode())
    for tensor in vae.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    target = folder / f"reconstructions_{digest.hexdigest()[:8]}.npy"
    if target.exists():
        return np.load(target, mmap_mode="r")
    parts = target.with_suffix("")
    parts.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(images), RECONSTRUCTED_AT_ONCE)
    with Progress(len(starts), describe="reconstructing") as progress:
        for i, start in enumerate(starts):
            path = parts / f"{start:08d}.npy"
            if not path.exists():
                generator = torch.Generator().manual_seed(step_seed(0, start))
                chunk = np.array(images[start : start + RECONSTRUCTED_AT_ONCE])
                save_array(path, reconstruct(vae, chunk, noise, generator))
            progress.update(i + 1)
    partial = target.with_name(f".{target.name}.partial")
    whole = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=images.shape)
    for start in starts:
        whole[start : start + RECONSTRUCTED_AT_ONCE] = np.load(parts / f"{start:08d}.npy")
    whole.flush()
    os.replace(partial, target)
    for path in parts.glob("*.npy"):
        path.unlink()
    parts.rmdir()
    return np.load(target, mmap_mode="r")


def save_array(path: Path, array: np.ndarray) -> None:
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.save(file, array)
    os.replace(partial, path)


def batches(
    settings: ReaderSettings,
    images: np.ndarray,
    reconstructions: np.ndarray | None,
    targets: dict[str, Tensor],
    illegible: np.ndarray | None = None,
) -> Callable[[torch.Generator], tuple[Tensor, dict[str, Tensor]]]:
    """A function that draws a batch: pictures (B, 3, H, W) in [0, 1], spoilt as the settings say, and their targets.

    With pictures `illegible` (M, H, W, 3) a share of the batch is of those.
    """
    size, n, most = images.shape[1], settings.batch_size, settings.shift

    def chance(share: float, generator: torch.Generator) -> Tensor:
        return torch.rand(n, generator=generator) < share

    def batch(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        chosen = torch.randint(len(images), (n,), generator=generator)
        rebuilt = chance(settings.reconstructed if reconstructions is not None else 0.0, generator)
        if reconstructions is not None:
            chosen = torch.where(rebuilt, chosen % len(reconstructions), chosen)
        pictures = np.stack(
            [(reconstructions if r else images)[i] for i, r in zip(chosen.tolist(), rebuilt.tolist(), strict=True)]
        )
        legible = ~chance(settings.illegible if illegible is not None else 0.0, generator)
        if illegible is not None:
            spoilt = torch.randint(len(illegible), (n,), generator=generator)[~legible]
            pictures[~legible.numpy()] = illegible[spoilt.numpy()]
        shifts = torch.randint(-most, most + 1, (n, 2), generator=generator)
        padded = np.pad(pictures, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
        pictures = np.stack(
            [
                p[most - dy : most - dy + size, most - dx : most - dx + size]
                for p, (dx, dy) in zip(padded, shifts.tolist(), strict=True)
            ]
        )
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)
        blurred = chance(settings.blurred, generator)
        smaller = int(size * (0.5 + 0.4 * torch.rand((), generator=generator)))
        if blurred.any():
            small = F.interpolate(x[blurred], smaller, mode="bilinear", antialias=True)
            x[blurred] = F.interpolate(small, size, mode="bicubic")
        noisy = chance(settings.noisy, generator)
        sigma = 0.06 * torch.rand(n, 1, 1, 1, generator=generator)[noisy]
        x[noisy] += sigma * torch.randn(x[noisy].shape, generator=generator)
        chosen_targets = {name: values[chosen] for name, values in targets.items()}
        chosen_targets["joints"] = chosen_targets["joints"] + shifts[:, None] / size
        # Readers learn to bear with a locator that errs: the whole figure, and each joint for itself.
        both = torch.randn(n, 1, 2, generator=generator) + torch.randn(n, len(world.JOINTS), 2, generator=generator)
        chosen_targets["looked"] = chosen_targets["joints"] + settings.misplaced * both
        return x.clamp(0, 1), chosen_targets | {"legible": legible.float()}

    return batch


def accuracy(reader: AttributeReader, images: np.ndarray, truth: Readings) -> dict[str, float]:
    """Share of pictures in which each attribute and pose factor is read right, and "joint_error", the mean distance."""
    readings = reader.read(images)
    shares = {name: float(right.mean()) for name, right in compare(readings, truth).items()}
    shares["joint_error"] = float(np.linalg.norm(readings.joints - truth.joints, axis=-1).mean())
    return shares


@dataclass(frozen=True)
class HeldOut:
    """Scenes that no training has seen: as drawn, as reconstructed, and pictures that nobody can read.

    pictures: uint8 (N, H, W, 3) of "renders" and, with a VAE, "reconstructions"; truth: their factors.
    """

    pictures: dict[str, np.ndarray]
    truth: Readings
    illegible: np.ndarray

    @classmethod
    def draw(cls, count: int, size: int, vae: AutoencoderTiny | None) -> "HeldOut":
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + count)
        pictures = {"renders": draw_scenes(seeds, size)}
        if vae is not None:
            pictures["reconstructions"] = reconstruct(vae, pictures["renders"], 0.0, torch.Generator())
        truth = Readings.of([world.sample_scene(seed) for seed in seeds])
        return cls(pictures, truth, illegible_pictures(pictures["renders"], count, vae, seed=1))

    def figures(self, reader: AttributeReader) -> dict[str, float]:
        """What is logged in training: `accuracy` of the last kind of pictures, its mean, and the illegible found."""
        shares = accuracy(reader, list(self.pictures.values())[-1], self.truth)
        error = shares.pop("joint_error")
        mean = float(np.mean(list(shares.values())))
        return {**shares, "mean": mean, "joint_error": error, "illegible": self.found(reader)}

    def found(self, reader: AttributeReader) -> float:
        """Share of the illegible pictures that are called so."""
        return float(1 - reader.read(self.illegible).legible.mean())

    def ship(self, reader: AttributeReader, folder: Path) -> None:
        """Measure a trained reader, note what it reads well enough, and write export/ and accuracy.json."""
        shares = {kind: accuracy(reader, pictures, self.truth) for kind, pictures in self.pictures.items()}
        kept = list(shares.values())[-1]
        reader.readable = tuple(a.name for a in world.ATTRIBUTES if kept[a.name] >= READABLE)
        reader.save(folder / "export")
        worst = min((name for name in FACTORS), key=lambda name: min(s[name] for s in shares.values()))
        count = len(self.truth)
        record = {"held_out_pictures": count, "worst": worst, "illegible_found": self.found(reader), **shares}
        write_atomic(folder / "accuracy.json", (json.dumps(record, indent=2) + "\n").encode())


def train_reader(
    settings: ReaderSettings,
    images: np.ndarray,
    folder: Path,
    vae: AutoencoderTiny | None = None,
    device: torch.device | str = "cpu",
) -> TrainResult:
    """Trains in `folder`, and at the end writes export/ and accuracy.json there.

    images: uint8 (N, size, size, 3) of the scenes numbered 0 to N - 1. accuracy.json: {"renders" and, with a VAE,
    "reconstructions": {factor: share right on held-out scenes}, "worst": ...}. UserError if a VAE is asked for and
    missing.
    """
    if settings.reconstructions and vae is None:
        raise UserError(
            "The attribute reader learns from the VAE's reconstructions and there is no trained VAE: train that first, "
            "or give --reader.no-reconstructions."
        )
    torch.manual_seed(settings.loop.seed)
    reader = AttributeReader(settings.network).to(device, memory_format=torch.channels_last)
    if settings.start:
        load_weights(reader, Path(settings.start))
    network: nn.Module | Callable = torch.compile(reader) if settings.compile else reader
    reconstructions = None
    if settings.reconstructions:
        first = images[: settings.reconstructed_pictures]
        reconstructions = cached_reconstructions(vae.to(device), first, settings.latent_noise, folder)
    print(f"Reading the factors of {len(images)} scenes ...", flush=True)
    drawn = Readings.of([world.sample_scene(i) for i in range(len(images))])
    own_vae = vae if settings.reconstructions else None
    spoilt = illegible_pictures(images, settings.illegible_pictures, own_vae, seed=0) if settings.illegible else None
    batch = batches(settings, images, reconstructions, targets_of(drawn), spoilt)
    held_out = HeldOut.draw(settings.held_out, images.shape[1], own_vae)

    def step_loss(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pictures, targets = batch(generator)
        pictures = pictures.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        targets = {name: value.to(device) for name, value in targets.items()}
        return reader_loss(network(pictures, targets["looked"]), targets)

    reader.train()
    result = train(
        reader,
        step_loss,
        settings.loop,
        folder,
        validate=lambda step, reader: held_out.figures(reader),
        describe="attribute reader",
        all_settings=asdict(settings),
    )
    if result.finished:
        weights = "ema" if settings.loop.ema_decay else "weights"
        load_weights(reader, folder / f"{weights}.safetensors")
        held_out.ship(reader, folder)
    return result
