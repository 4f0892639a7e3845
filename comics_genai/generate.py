"""Prompts × seeds become pictures: PNG files with their full record, and metadata.jsonl beside them.

    pictures = generate(base, ["a drawing of a girl, jumping"], seeds=range(4), folder=Path("pictures"))

A picture is a function of its record alone: started again, those already there with an equal record are kept, and
only the missing ones are drawn.
"""

import hashlib
import inspect
import io
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import PIL.Image
import safetensors
import torch
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from comics_genai.base import Base, Embeddings, quiet_loading
from comics_genai.checkpoint import load_weights, write_atomic
from comics_genai.errors import UserError
from comics_genai.hub import run_folder
from comics_genai.learned_token import EMBEDS_FILE, LearnedToken
from comics_genai.progress import Progress

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
LORA_FILE = "pytorch_lora_weights.safetensors"
FULL_FILE = "weights.safetensors"
EMA_FILE = "ema.safetensors"  # of full weights, the average that their run was validated with
BEST = "best"  # folder, in a run's, of the checkpoint that its validation chose
TEXT_CHUNK = "comics_genai"  # keyword of the PNG text chunk with the record as JSON


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn. Raises UserError for a value out of its range."""

    steps: int = 25  # of the sampler, >= 1
    guidance: float = 4.0  # classifier-free guidance scale (Ho & Salimans 2022), >= 1; 1 = off
    guidance_rescale: float = 0.0  # phi of Lin et al. 2024, eq. 16, in [0, 1]
    scheduler: str = "default"  # the base's own, or one of SCHEDULERS
    negative: str = ""  # prompt to move away from
    size: int = 0  # pixels each way; 0 = the base's own
    strength: float = 1.0  # of the adapter: 0 = the base alone, 1 = as trained
    batch_size: int = 8  # pictures at once; no part of the record

    def __post_init__(self) -> None:
        ranges = {
            "steps": (self.steps >= 1, "at least 1"),
            "guidance": (self.guidance >= 1, "at least 1 (off)"),
            "guidance_rescale": (0 <= self.guidance_rescale <= 1, "in [0, 1]"),
            "scheduler": (self.scheduler in ("default", *SCHEDULERS), "one of default, " + ", ".join(SCHEDULERS)),
            "size": (self.size >= 0, "a number of pixels, or 0 for the base's own"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
        }
        for name, (holds, range_) in ranges.items():
            if not holds:
                raise UserError(f"{name} is {getattr(self, name)!r}, but must be {range_}.")


@dataclass(frozen=True)
class Picture:
    """A generated picture: the image (RGB), its PNG file, and its record as in metadata.jsonl."""

    image: PIL.Image.Image
    path: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Adapter:
    """What fine-tuning left in a run folder, loaded into a base: the run's name and a digest of the weights."""

    name: str
    digest: str
    scalable: bool  # LoRA weights can be weakened or strengthened; full weights cannot


def load_adapter(base: Base, run: str | Path, best: bool = True) -> Adapter:
    """Load the result of a fine-tuning into `base`, in place of any loaded before; which weights, see `weights_of`.

    run: its folder, or OWNER/NAME of a repository on the Hub.

    Raises UserError when the run is not finished, was trained on another kind of base, or lacks the token it learnt.
    """
    path = weights_of(run, best)
    scalable = path.name == LORA_FILE
    _load_token(base, run, path.with_name(EMBEDS_FILE))
    if scalable:
        try:
            base.pipeline.unload_lora_weights()
            with quiet_loading():  # it remarks on text encoders without adapters
                base.pipeline.load_lora_weights(path.parent, weight_name=LORA_FILE, adapter_name="adapter")
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(
                f"The adapter {path} does not fit the base {base.name}: use the base it was made on."
            ) from error
        for module in (base.unet, *base.text_encoders().values()):
            module.to(base.device).requires_grad_(False)
    else:
        _load_full(base, path)
    return Adapter(Path(run).resolve().name, digest_of(path), scalable)


def digest_of(weights: Path) -> str:
    """Eight hex digits of a run's weights and the token beside them, as records name them."""
    files = [path for path in (weights, weights.with_name(EMBEDS_FILE)) if path.exists()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _load_token(base: Base, run: str | Path, path: Path) -> None:
    """The token that the run learnt, if it did, and no other."""
    if path.exists():
        LearnedToken.load(base, path)
        return
    if (run_folder(run) / "settings.json").exists() and run_settings(run).get("learn_token"):
        raise UserError(f"The run {run} learnt a token, and {path} is not there: without it nobody knows who is meant.")
    if base.learned_token is not None:
        base.learned_token.remove()


def _load_full(base: Base, path: Path) -> None:
    """Full weights: of the UNet, or of all that was trained, each part's names behind its own."""
    parts: dict[str, nn.Module] = {"unet": base.unet, **base.text_encoders()}
    if base.learned_token is not None:
        parts["token"] = base.learned_token
    named = False
    with suppress(OSError, safetensors.SafetensorError), safetensors.safe_open(path, framework="pt") as file:
        named = all(name.partition(".")[0] in parts for name in file.keys())
    load_weights(nn.ModuleDict(parts) if named else base.unet, path)


def weights_of(run: str | Path, best: bool = True) -> Path:
    """The file with the weights of a finished fine-tuning: the checkpoint its validation chose, if it chose one and
    `best`, else the last. Raises UserError where there is none."""
    folder = run_folder(run)
    for name in (LORA_FILE, FULL_FILE):
        if (folder / name).exists():
            if best and (folder / BEST / name).exists():
                return folder / BEST / name
            average = folder / EMA_FILE
            return average if name == FULL_FILE and average.exists() else folder / name
    raise UserError(f"{run} holds neither {LORA_FILE} nor {FULL_FILE}: give the folder of a finished fine-tuning.")


def run_settings(run: str | Path) -> dict[str, Any]:
    """The settings of a fine-tuning, of its folder or its repository on the Hub. Raises UserError if it is neither."""
    try:
        return json.loads((run_folder(run) / "settings.json").read_text(encoding="utf-8"))["finetune"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run} is not the folder of a fine-tuning: give the folder that `finetune` named.") from error


def scheduler_of(base: Base, name: str) -> Any:
    """A fresh diffusers scheduler with the base's noise schedule and prediction type."""
    config = base.pipeline.scheduler.config
    if name == "default":
        return type(base.pipeline.scheduler).from_config(config)
    class_name, options = SCHEDULERS[name]
    return getattr(diffusers, class_name).from_config(config, **options)


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
) -> np.ndarray:
    """Pictures uint8 (B, H, W, 3) of B embedded prompts, one seed each; negative has B = 1.

    Each picture's noise comes from its own generator on the CPU, so it depends on neither the batch nor the device.
    """
    size = sampling.size or base.size
    if size % base.downscale:
        raise UserError(f"size is {size}, but must be a multiple of {base.downscale} for this base.")
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    side = size // base.downscale
    noise = [torch.randn(base.latent_channels, side, side, generator=generator) for generator in generators]
    scheduler = scheduler_of(base, sampling.scheduler)
    scheduler.set_timesteps(sampling.steps, device=base.device)
    latents = torch.stack(noise).to(base.device) * scheduler.init_noise_sigma
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    extra = {"generator": generators} if takes_generator else {}
    count, guides = len(seeds), sampling.guidance > 1
    embeddings = Embeddings.cat([prompts, negative[[0] * count]]) if guides else prompts
    time_ids = base.time_ids(size, size, count=len(embeddings))
    for i, t in enumerate(scheduler.timesteps):
        inputs = scheduler.scale_model_input(latents, t)
        with base.autocast():
            prediction = base.predict(torch.cat([inputs] * (1 + guides)), t, embeddings, time_ids)
        prediction = prediction.float()  # the sampler's arithmetic is always fp32
        if guides:
            prediction = guided(*prediction.chunk(2), sampling.guidance, sampling.guidance_rescale)
        latents = scheduler.step(prediction, t, latents, **extra).prev_sample
        if progress is not None:
            # A second-order sampler takes more evaluations than steps.
            progress.update(progress.done + (i < sampling.steps))
    return base.decode(latents)


def generate(
    base: Base,
    prompts: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    sampling: Sampling | None = None,
    adapter: Adapter | None = None,
) -> list[Picture]:
    """Draw every prompt with every seed into `folder`, prompt by prompt; those already there are read, not redrawn.

    metadata.jsonl gets one record a picture: file_name, prompt, negative, seed, steps, guidance, guidance_rescale,
    scheduler, base, base_digest, precision, adapter, adapter_digest, strength, size; the PNG's text chunk holds the
    same. Earlier records of the folder stay. Raises UserError for no prompts or seeds, or settings that do not fit.
    """
    sampling, folder = sampling or Sampling(), Path(folder)
    if not prompts or not seeds:
        raise UserError("There is nothing to draw: give at least one prompt and one seed.")
    if min(seeds) < 0:
        raise UserError(f"A seed is {min(seeds)}, but seeds are 0 or more.")
    _set_strength(base, adapter, sampling.strength)
    common = {
        "negative": sampling.negative,
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "guidance_rescale": sampling.guidance_rescale,
        "scheduler": type(base.pipeline.scheduler).__name__ if sampling.scheduler == "default" else sampling.scheduler,
        "base": Path(base.name).name if Path(base.name).exists() else base.name,
        "base_digest": base.digest(),
        "precision": base.precision,
        "adapter": adapter.name if adapter else None,
        "adapter_digest": adapter.digest if adapter else None,
        "strength": sampling.strength if adapter else None,
        "size": sampling.size or base.size,
    }
    records = [_with_file_name({"prompt": prompt, "seed": seed, **common}) for prompt in prompts for seed in seeds]
    unique = {record["file_name"]: record for record in records}
    present = {name: record for name, record in unique.items() if read_record(folder / name) == record}
    _write_metadata(folder, list(present.values()))
    if missing := [record for name, record in unique.items() if name not in present]:
        _draw(base, missing, sampling, folder)
    paths = [folder / record["file_name"] for record in records]
    return [Picture(_read_image(path), path, record) for path, record in zip(paths, records, strict=True)]


def _set_strength(base: Base, adapter: Adapter | None, strength: float) -> None:
    if adapter is not None and adapter.scalable:
        base.pipeline.set_adapters(["adapter"], [strength])
    elif adapter is not None and strength != 1:
        raise UserError(f"strength is {strength}, but {adapter.name} holds full weights, not an adapter: use 1.")


def _with_file_name(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a file name that says prompt and seed, and is another for any other record."""
    words = re.sub(r"[^a-z0-9]+", "-", record["prompt"].lower().removeprefix("a drawing of ")).strip("-")
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
    return {"file_name": f"{words[:48].rstrip('-') or 'picture'}-{record['seed']}-{digest}.png", **record}


def _draw(base: Base, records: list[dict[str, Any]], sampling: Sampling, folder: Path) -> None:
    # One at a time: a prompt's embedding must not depend on what else is asked for.
    embedded = {prompt: base.encode_prompts([prompt]) for prompt in {record["prompt"]: None for record in records}}
    negative = base.encode_prompts([sampling.negative]) if sampling.negative else base.unconditional()
    batches = [records[i : i + sampling.batch_size] for i in range(0, len(records), sampling.batch_size)]
    with Progress(len(batches) * sampling.steps, describe=f"drawing {len(records)} pictures") as progress:
        for batch in batches:
            prompts = Embeddings.cat([embedded[record["prompt"]] for record in batch])
            pixels = sample(base, prompts, negative, [record["seed"] for record in batch], sampling, progress)
            for record, picture in zip(batch, pixels, strict=True):
                write_picture(folder / record["file_name"], PIL.Image.fromarray(picture), record)
            _write_metadata(folder, batch)


def write_picture(path: Path, image: PIL.Image.Image, record: dict[str, Any]) -> None:
    """Write a PNG with its record in a text chunk, atomically."""
    info = PngInfo()
    info.add_itxt(TEXT_CHUNK, json.dumps(record, ensure_ascii=False))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    write_atomic(path, buffer.getvalue())


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a PNG's text chunk; None where there is no such file, no record in it, or it is damaged."""
    try:
        with PIL.Image.open(path) as image:
            image.load()  # text after the pixels, and a torn file, show only now
            return json.loads(image.text[TEXT_CHUNK])
    except (OSError, AttributeError, KeyError, ValueError, SyntaxError):
        return None


def read_metadata(folder: Path) -> list[dict[str, Any]]:
    """All records of a folder of pictures; [] where there are none."""
    path = Path(folder) / "metadata.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _write_metadata(folder: Path, records: list[dict[str, Any]]) -> None:
    rows = {row["file_name"]: row for row in read_metadata(folder)}
    rows |= {record["file_name"]: record for record in records}
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()]
    write_atomic(folder / "metadata.jsonl", "".join(lines).encode())


def _read_image(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as image:
        return image.convert("RGB")
