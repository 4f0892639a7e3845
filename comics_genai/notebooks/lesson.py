"""The parts of a fine-tuning that its notebooks explain: a batch of the loss, adapter, prior term, noise, log.

    batch = first_batch(base, character, settings)
    with in_training(base, settings) as networks, torch.no_grad():
        prediction = networks.trained(batch.z, batch.t, batch.prompts, batch.time_ids)
        loss = package_loss(base, settings, batch, networks)

The ten lines that teach are in the notebooks' cells. This module holds what three notebooks would otherwise repeat.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from comics_genai.bases.adapters import load_adapters
from comics_genai.bases.base import Base, Embeddings
from comics_genai.drawings import Drawing
from comics_genai.finetuning.encoded_data import TrainingData, prepare
from comics_genai.finetuning.loss import FinetuneLoss
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.trainable import make_trainable
from comics_genai.run import LOG_FILE
from comics_genai.training import objective
from comics_genai.training.seeding import seed_step

Predict = Callable[[Tensor, Tensor, Embeddings, Tensor | None], Tensor]
NUDGE = 0.02  # by how much `in_training` moves the weights, relative to their size


@dataclass(frozen=True)
class Batch:
    """The batch of a fine-tuning's first step: B drawings, without shifts and with all captions."""

    z: Tensor  # latents (B, channels, h, w)
    eps: Tensor  # noise of that shape
    t: Tensor  # (B,) timesteps
    alpha_bar: Tensor  # (B,) alpha_bar_t
    texts: list[str]
    class_texts: list[str]
    prompts: Embeddings  # of `texts`
    class_prompts: Embeddings  # of `class_texts`: the same without the identifier
    time_ids: Tensor | None  # SDXL's micro-conditioning, (B, 6)
    data: TrainingData
    settings: FinetuneSettings  # the training's settings, but with one variant of each drawing and all captions


def first_batch(base: Base, character: Sequence[Drawing], settings: FinetuneSettings) -> Batch:
    """The first batch of a training with these settings."""
    settings = replace(settings, variants=1, caption_dropout=0.0, prior="prediction", batch_size=len(character))
    data = prepare(base, character, settings, Path())
    generator = seed_step(settings.seed, 0)
    chosen = data.turns[torch.arange(settings.batch_size) % len(data.turns)]
    # The random numbers are drawn in the package's order: variant, noise, timesteps.
    torch.randint(1, (settings.batch_size,), generator=generator)
    z = data.latents[chosen, 0]
    eps = torch.randn(z.shape, generator=generator)
    alpha_bar = objective.alpha_bar(base.pipeline.scheduler)
    t = objective.spread_timesteps(settings.batch_size, len(alpha_bar), generator)
    rows = chosen.tolist()
    return Batch(
        z,
        eps.to(z.device),
        t.to(z.device),
        alpha_bar[t].to(z.device),
        [data.texts[i] for i in rows],
        [data.class_texts[i] for i in rows],
        data.prompts[chosen],
        data.class_prompts[chosen],
        None if data.time_ids is None else data.time_ids[chosen],
        data,
        settings,
    )


@dataclass(frozen=True)
class Networks:
    """The network after a few steps of training, and the frozen network of the prior term."""

    trained: Predict
    frozen: Predict
    copy: nn.Module | None  # a copy of the UNet, if there is no adapter to switch off


@contextmanager
def in_training(base: Base, settings: FinetuneSettings, nudge: float = NUDGE) -> Iterator[Networks]:
    """A context in which the base is set up as during training; afterwards it is restored.

    nudge: by how much the trained weights are moved at random, like a few steps of training. With 0 it is the moment
    before the first step, and both networks predict the same. Method dreambooth needs a copy of the UNet.
    """
    load_adapters(base, [])
    full = settings.method == "dreambooth"
    original = copy.deepcopy(base.unet) if full else None
    unet = make_trainable(base.unet, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    try:
        with torch.no_grad():
            for name, weight in unet.named_parameters():
                if weight.requires_grad and (full or "lora_B" in name):
                    size = weight.std(correction=0) if full else 1.0
                    weight += nudge * size * torch.randn(weight.shape, generator=generator).to(weight)

        def frozen(*inputs: Any) -> Tensor:
            if original is None:
                unet.disable_adapters()
                try:
                    return base.predict(*inputs)
                finally:
                    unet.enable_adapters()
            return base.predict(*inputs, original)

        with base.autocast():
            yield Networks(base.predict, frozen, original)
    finally:
        if original is not None:
            unet.load_state_dict(original.state_dict())
        load_adapters(base, [])
        unet.requires_grad_(False).eval()


def package_loss(base: Base, batch: Batch, networks: Networks) -> float:
    """The loss that the package's training computes for the same batch and networks."""
    loss = FinetuneLoss(base, batch.data, batch.settings, networks.copy)
    with torch.no_grad():
        return loss(0, seed_step(batch.settings.seed, 0))[0].item()


def weights_by_part(base: Base, settings: FinetuneSettings) -> list[dict[str, Any]]:
    """A row for each part of the base: the number of its weights, and how many of them this method trains.

    The weights of an adapter are counted with the part that contains them.
    """
    counts: dict[str, list[int]] = {}

    def count(part: str, weight: Tensor) -> None:
        all_, trained = counts.setdefault(part, [0, 0])
        counts[part] = [all_ + weight.numel(), trained + weight.numel() * weight.requires_grad]

    with in_training(base, settings, nudge=0.0):
        for name, weight in base.unet.named_parameters():
            count(_part(name), weight)
        for name, encoder in base.text_encoders().items():
            for weight in encoder.parameters():
                count(name.replace("text_encoder", "text encoder").replace("_", " "), weight)
        for weight in base.vae.parameters():
            count("autoencoder", weight)
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    return [
        {"part": part, "weights": f"{all_:,}", "trained": f"{trained:,}", "trained %": round(100 * trained / all_, 2)}
        for part, (all_, trained) in [*counts.items(), ("together", total)]
    ]


def _part(name: str) -> str:
    if ".attn" in name:
        return "UNet: attention"
    if ".ff." in name:
        return "UNet: feed-forward"
    return "UNet: convolutions, norms and the rest"


def adapted_layer(base: Base) -> tuple[str, nn.Module]:
    """The name of the first linear layer of the UNet with an adapter, and peft's layer itself."""
    for name, module in base.unet.named_modules():
        if hasattr(module, "lora_A") and isinstance(module.base_layer, nn.Linear):
            return name, module
    raise LookupError("This UNet has no adapter: ask within `in_training`.")


def noised_drawing(base: Base, z: Tensor, columns: int = 8) -> dict[str, PIL.Image.Image]:
    """One drawing's latents (channels, h, w), noised at steps from 0 to the last and decoded; keys say t and SNR."""
    alpha_bar = objective.alpha_bar(base.pipeline.scheduler)
    t = torch.linspace(0, len(alpha_bar) - 1, columns).round().long()
    noise = torch.randn(1, *z.shape, generator=torch.Generator().manual_seed(0)).expand(columns, -1, -1, -1)
    noised = objective.add_noise(z.cpu().expand(columns, -1, -1, -1), noise, alpha_bar[t])
    keys = [f"t = {step}, SNR {value:.2g}" for step, value in zip(t.tolist(), objective.snr(alpha_bar[t]), strict=True)]
    return dict(zip(keys, map(PIL.Image.fromarray, base.decode(noised)), strict=True))


def class_drift(pictures: Mapping[str, Sequence[PIL.Image.Image]], reference: str) -> dict[str, float]:
    """How far each row's pictures are from those of the reference row, with the same prompts and seeds.

    It is the root mean square difference of pixels, in [0, 1].
    """
    first = [np.asarray(picture, np.float32) / 255 for picture in pictures[reference]]
    found = {}
    for name, row in pictures.items():
        differences = [np.asarray(picture, np.float32) / 255 - true for picture, true in zip(row, first, strict=True)]
        found[name] = float(np.mean([np.sqrt(np.square(one).mean()) for one in differences]))
    return found


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's log."""
    return [json.loads(line) for line in (Path(folder) / LOG_FILE).read_text(encoding="utf-8").splitlines()]


def training_in_words(folder: Path) -> str:
    """Steps, time, speed and peak memory of the training that made a run folder, read from its log."""
    rows = log_of(folder)
    steps, seconds = rows[-1]["step"], rows[-1]["seconds"]
    speeds = [row["steps_per_second"] for row in rows if "steps_per_second" in row]
    said = f"{steps} steps in {seconds / 60:.1f} minutes, {np.median(speeds):.2f} steps a second (median)"
    peak = max((row.get("peak_bytes", 0) for row in rows), default=0)
    return said + (f"; at most {peak / 2**30:.2f} GiB of memory in use." if peak else ".")
