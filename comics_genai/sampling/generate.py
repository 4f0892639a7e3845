"""Prompts × seeds become pictures: PNG files with their full record, and metadata.jsonl beside them.

    pictures = generate(base, ["a drawing of a girl, jumping"], seeds=range(4), folder=Path("pictures"))

A picture depends on its record alone, on a CPU to the byte. So a second call keeps the pictures that are there with an
equal record, and draws only the missing ones.
"""

import hashlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from comics_genai.bases.adapters import Adapter, set_scale
from comics_genai.bases.base import Base, Embeddings
from comics_genai.bases.finite import check_latents
from comics_genai.drawings import Drawing, to_square
from comics_genai.drawings.captions import MAXIMUM_CAPTION
from comics_genai.errors import UserError
from comics_genai.files import remove_leftovers
from comics_genai.progress import Progress
from comics_genai.ranges import LARGEST_SEED, LARGEST_SIDE, MOST_PICTURES, check, number, one_of, shown, text, whole
from comics_genai.sampling.records import (
    check_own,
    read_image,
    read_record,
    renamed_back,
    with_file_name,
    write_metadata,
    write_picture,
)
from comics_genai.sampling.schedulers import SCHEDULERS, scheduler_of

GPU_BATCH = 8
STRENGTH = 0.8  # of image to image if none is given, the usual value


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn. Raises UserError for a value out of its range."""

    steps: int = 25  # of the sampler, >= 1
    guidance: float = 4.0  # classifier-free guidance scale (Ho & Salimans 2022), >= 1; 1 = off
    guidance_rescale: float = 0.0  # phi of Lin et al. 2024, eq. 16, in [0, 1]
    scheduler: str = "default"  # the base's own, or one of SCHEDULERS
    negative: str = ""  # prompt to move away from
    size: int = 0  # pixels each way; 0 = the base's own
    adapter_scale: float = 1.0  # of the fine-tuning: 0 = the base alone, 1 = as trained, more = an extrapolation
    # Of image to image: the share of the noise that hides the start image, in (0, 1] (t0 of SDEdit, Meng et al. 2022).
    strength: float | None = None  # None = STRENGTH
    batch_size: int = 0  # pictures at once, not part of the record; 0 = one on a CPU, 8 on a GPU

    def __post_init__(self) -> None:
        ranges = {
            "steps": whole(self.steps, 1, 1000),
            "guidance": number(self.guidance, 1, 100, "1 = off"),
            "guidance_rescale": number(self.guidance_rescale, 0, 1),
            "scheduler": one_of(self.scheduler, ("default", *SCHEDULERS)),
            "adapter_scale": number(self.adapter_scale, -10, 10),
            "strength": number(STRENGTH if self.strength is None else self.strength, 0, 1, above=True),
            "size": whole(self.size, 0, LARGEST_SIDE, "pixels; 0 = the base's own"),
            "negative": text(self.negative, MAXIMUM_CAPTION),
            "batch_size": whole(self.batch_size, 0, 1024, "0 = what suits the device"),
        }
        check(self, ranges)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Sampling":
        """The sampling settings of a run. Raises UserError or TypeError if they are damaged."""
        return cls(**renamed_sampling(record))


def renamed_sampling(record: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling settings of a run, under today's names.

    `strength` in an earlier version is `adapter_scale` today, and its `t0` is `strength` today. The earlier version
    also recorded a t0 without a start image; validation and class pictures never have one.
    """
    if "adapter_scale" in record:
        return dict(record)
    kept = {name: value for name, value in record.items() if name not in ("strength", "t0")}
    return kept | {"adapter_scale": record.get("strength", Sampling.adapter_scale), "strength": None}


@dataclass(frozen=True)
class Picture:
    """A generated picture: the image (RGB), its PNG file, and its record as in metadata.jsonl."""

    image: PIL.Image.Image
    path: Path
    record: dict[str, Any]


def guided(conditional: Tensor, unconditional: Tensor, guidance: float, rescale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6), rescaled to the conditional's deviation (Lin et al. 2024,
    eq. 14-16), which keeps a strong guidance from over-saturating."""
    prediction = unconditional + guidance * (conditional - unconditional)
    if rescale == 0:
        return prediction
    dims = tuple(range(1, prediction.ndim))
    rescaled = prediction * (conditional.std(dims, keepdim=True) / prediction.std(dims, keepdim=True))
    return rescale * rescaled + (1 - rescale) * prediction


@torch.no_grad()
def sample(
    base: Base,
    prompts: Embeddings,
    negative: Embeddings,
    seeds: Sequence[int],
    sampling: Sampling,
    progress: Progress | None = None,
    start: Tensor | None = None,
) -> np.ndarray:
    """Draw B embedded prompts with one seed each: pictures, uint8 (B, H, W, 3). negative: embeddings with B = 1.

    start: latents (1, channels, h, w) of a picture that all start from, under the noise of `strength` (SDEdit, Meng et
    al. 2022, alg. 1). Without it they start from pure noise. Each picture's noise comes from its own generator on the
    CPU, so it depends on neither the batch nor the device.
    """
    size = sampling.size or base.size
    if size % base.downscale:
        raise UserError(f"size is {size}, but must be a multiple of {base.downscale} for this base.")
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    side = size // base.downscale
    noise = [torch.randn(base.latent_channels, side, side, generator=generator) for generator in generators]
    scheduler = scheduler_of(base, sampling.scheduler)
    scheduler.set_timesteps(sampling.steps, device=base.device)
    timesteps, latents = scheduler.timesteps, torch.stack(noise).to(base.device)
    first = 0 if start is None else (sampling.steps - evaluations(sampling)) * scheduler.order
    timesteps = timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        # A sampler that finds its position by the timestep fails if two are equal, as Karras' first ones are.
        scheduler.set_begin_index(first)
    if start is None:
        latents = latents * scheduler.init_noise_sigma
    else:
        latents = scheduler.add_noise(start.expand_as(latents), latents, timesteps[:1])
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    extra = {"generator": generators} if takes_generator else {}
    count, guides = len(seeds), sampling.guidance > 1
    embeddings = Embeddings.cat([prompts, negative[[0] * count]]) if guides else prompts
    time_ids = base.time_ids(size, size, count=len(embeddings))
    finite = []
    for i, t in enumerate(timesteps):
        inputs = scheduler.scale_model_input(latents, t)
        with base.autocast():
            prediction = base.predict(torch.cat([inputs] * (1 + guides)), t, embeddings, time_ids)
        prediction = prediction.float()  # the sampler's arithmetic is always fp32
        if guides:
            prediction = guided(*prediction.chunk(2), sampling.guidance, sampling.guidance_rescale)
        latents = scheduler.step(prediction, t, latents, **extra).prev_sample
        finite.append(latents.isfinite().all())
        if progress is not None:
            # A second-order sampler evaluates the network more often than it has steps.
            progress.update(progress.done + (i < sampling.steps))
    check_latents(finite, base.modules(), base.name, base.precision)
    return base.decode(latents)


def evaluations(sampling: Sampling) -> int:
    """The number of steps, at least 1, for a picture that starts from a drawing: those from `strength` on."""
    return max(1, int(sampling.steps * (STRENGTH if sampling.strength is None else sampling.strength)))


def generate(
    base: Base,
    prompts: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    sampling: Sampling | None = None,
    adapter: Adapter | Sequence[Adapter] | None = None,
    start_image: Drawing | None = None,
) -> list[Picture]:
    """Draw every prompt with every seed into `folder`, prompt by prompt; pictures that are there are only read.

    adapter: one or several of the loaded adapters to draw with; the other loaded ones have no effect.
    start_image: a drawing to start from (image to image); `sampling.strength` says how much noise hides it.
    metadata.jsonl gets one record for each picture: file_name, prompt, negative, seed, steps, guidance,
    guidance_rescale, scheduler, base, base_digest, precision, adapter, adapter_digest, adapter_scale (lists for several
    adapters), size, and with a start image start_image, start_image_digest, strength. The PNG's text chunk holds the
    same record. Records that are in the folder stay. Raises UserError without prompts or seeds, or for settings that do
    not fit.
    """
    sampling, folder = sampling or Sampling(), Path(folder)
    check_own(folder)
    remove_leftovers(folder)
    if not prompts or not seeds:
        raise UserError("There is nothing to draw: give at least one prompt and one seed.")
    _check_asked(prompts, seeds)
    adapters = [adapter] if isinstance(adapter, Adapter) else list(adapter or [])
    set_scale(base, adapters, sampling.adapter_scale)
    begun = _begun(base, start_image, sampling)
    common = {
        "negative": sampling.negative,
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "guidance_rescale": sampling.guidance_rescale,
        "scheduler": type(base.pipeline.scheduler).__name__ if sampling.scheduler == "default" else sampling.scheduler,
        "base": Path(base.name).name if Path(base.name).exists() else base.name,
        "base_digest": base.digest(),
        "precision": base.precision,
        "adapter": _one_or_all([adapter.name for adapter in adapters]),
        "adapter_digest": _one_or_all([adapter.digest for adapter in adapters]),
        "adapter_scale": _one_or_all([sampling.adapter_scale * adapter.weight for adapter in adapters]),
        "size": sampling.size or base.size,
    }
    if begun is not None:
        picture_digest = hashlib.sha256(begun.tobytes()).hexdigest()[:8]
        common |= {"start_image": start_image.name, "start_image_digest": picture_digest}
        common["strength"] = STRENGTH if sampling.strength is None else sampling.strength
    records = [with_file_name({"prompt": prompt, "seed": seed, **common}) for prompt in prompts for seed in seeds]
    records = [_earlier(record, folder) or record for record in records]
    unique = {record["file_name"]: record for record in records}
    present = {name: record for name, record in unique.items() if read_record(folder / name) == record}
    write_metadata(folder, list(present.values()))
    if missing := [record for name, record in unique.items() if name not in present]:
        try:
            _draw(base, missing, sampling, folder, begun)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"Interrupted; the same command draws what is not yet in {folder}.") from None
    paths = [folder / record["file_name"] for record in records]
    return [Picture(read_image(path), path, record) for path, record in zip(paths, records, strict=True)]


def _earlier(record: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """The record of the same picture under the fields' earlier names, if an earlier version drew it."""
    older = with_file_name(renamed_back(record))
    return older if read_record(folder / older["file_name"]) == older else None


def _check_asked(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    for seed in (min(seeds), max(seeds)):
        if not 0 <= seed <= LARGEST_SEED:
            raise UserError(f"A seed is {seed}, but seeds are 0 to 2^63 - 1.")
    if len(prompts) * len(seeds) > MOST_PICTURES:
        raise UserError(
            f"{len(prompts):,} prompts with {len(seeds):,} seeds are more than {MOST_PICTURES:,} pictures: draw them "
            "in several commands."
        )
    for prompt in prompts:
        holds, range_ = text(prompt, MAXIMUM_CAPTION)
        if not holds:
            raise UserError(f"A prompt is {shown(prompt)} ({len(prompt):,} characters), but must be {range_}.")


def _begun(base: Base, start_image: Drawing | None, sampling: Sampling) -> np.ndarray | None:
    """The start image at the size that the base draws, uint8 (1, size, size, 3)."""
    if start_image is not None:
        if sampling.strength == 1:
            warnings.warn(
                f"At 1 the noise hides all of {start_image.name}, which then has no effect on the picture: take 0.3 to "
                "0.8.",
                stacklevel=3,
            )
        return np.array(to_square(start_image.image, sampling.size or base.size))[None]
    if sampling.strength is not None:
        raise UserError(
            f"strength is {sampling.strength}, but there is no start image for its noise to hide: give --start-image; "
            "the scale of a fine-tuning is --adapter-scale."
        )
    return None


def batched(items: list[Any], base: Base, sampling: Sampling) -> list[list[Any]]:
    """Split the items into groups that are drawn at once.

    In a batch of another size, kernels sum in another order, and sampling makes the difference visible. So the same
    record gives the same bytes only if pictures are drawn one at a time. On a CPU that costs a tenth of the time; on a
    GPU it would cost too much.
    """
    at_once = sampling.batch_size or (1 if base.device.type == "cpu" else GPU_BATCH)
    return [items[i : i + at_once] for i in range(0, len(items), at_once)]


def _one_or_all(values: list[Any]) -> Any:
    return values if len(values) > 1 else next(iter(values), None)


def _draw(
    base: Base, records: list[dict[str, Any]], sampling: Sampling, folder: Path, begun: np.ndarray | None
) -> None:
    start = None if begun is None else base.encode_images(begun)
    steps = sampling.steps if begun is None else evaluations(sampling)
    # Prompts are encoded one at a time, so that an embedding does not depend on the other prompts.
    embedded = {prompt: base.encode_prompts([prompt]) for prompt in {record["prompt"]: None for record in records}}
    negative = base.encode_prompts([sampling.negative]) if sampling.negative else base.unconditional()
    batches = batched(records, base, sampling)
    with Progress(len(batches) * steps, describe=f"drawing {len(records)} pictures") as progress:
        for batch in batches:
            prompts = Embeddings.cat([embedded[record["prompt"]] for record in batch])
            seeds = [record["seed"] for record in batch]
            pixels = sample(base, prompts, negative, seeds, sampling, progress, start)
            for record, picture in zip(batch, pixels, strict=True):
                write_picture(folder / record["file_name"], PIL.Image.fromarray(picture), record)
            write_metadata(folder, batch)
