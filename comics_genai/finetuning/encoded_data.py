"""The training data: every variant of every drawing and every prompt, encoded once and kept on the device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.nn import functional as F

from comics_genai import drawings
from comics_genai.bases.base import Base, Embeddings
from comics_genai.drawings.captions import class_prompt, instance_prompt, mirrored_prompt
from comics_genai.drawings.figure_mask import estimated_mask
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.sampling.generate import generate
from comics_genai.training.seeding import step_seed

MAX_SHRINK = 0.12  # the largest, as a fraction of the side; variants are shifted within the room that it leaves


def squared(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    """The whole drawing in a square of `size` px; its border fills the rest of the square."""
    return _placed(image, size, shrink=0.0, across=0.5, down=0.5)


def _placed(image: PIL.Image.Image, size: int, shrink: float, across: float, down: float) -> PIL.Image.Image:
    """The whole drawing, smaller by the fraction `shrink`, placed at `across` and `down` in [0, 1] of the free room.

    The room is filled by continuing the border pixels, so that paper stays paper and sky stays sky.
    """
    scale = size * (1 - shrink) / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = np.asarray(image.resize((width, height), PIL.Image.Resampling.LANCZOS))
    left, top = round((size - width) * across), round((size - height) * down)
    room = ((top, size - height - top), (left, size - width - left), (0, 0))
    return PIL.Image.fromarray(np.pad(small, room, mode="edge"))


def variants_of(image: PIL.Image.Image, size: int, count: int, seed: int) -> np.ndarray:
    """The drawing and slightly smaller, shifted variants of it, uint8 (count, size, size, 3); nothing is cut off."""
    rng = np.random.default_rng(seed)
    places = [(0.0, 0.5, 0.5)] + [(MAX_SHRINK * rng.random(), rng.random(), rng.random()) for _ in range(count - 1)]
    return np.stack([np.asarray(_placed(image, size, *place)) for place in places])


def as_seen(base: Base, character: Sequence[drawings.Drawing], size: int = 0) -> list[PIL.Image.Image]:
    """The drawings squared, at the base's size and through its VAE. What is lost here cannot be learnt."""
    side = size or base.size
    pixels = np.stack([np.asarray(squared(drawing.image, side)) for drawing in character])
    return [PIL.Image.fromarray(picture) for picture in base.decode(base.encode_images(pixels))]


@dataclass(frozen=True)
class TrainingData:
    """All data of the steps, on the device: N drawings in V variants, and the data of prior preservation."""

    latents: Tensor  # (N, V, channels, h, w)
    texts: list[str]  # N prompts
    class_texts: list[str]  # the same without the identifier
    prompts: Embeddings  # N
    class_prompts: Embeddings  # N
    unconditional: Embeddings  # 1
    time_ids: Tensor | None  # (N, 6)
    turns: Tensor  # indices of drawings in the order of the steps; a drawing that counts twice appears twice
    cell_weights: Tensor | None = None  # (N, V, 1, h, w): weights of the cells in the loss; None = all equal
    class_latents: Tensor | None = None  # (M, channels, h, w), M class pictures
    class_of: Tensor | None = None  # (M,): index of each one's class prompt among the N
    class_time_ids: Tensor | None = None  # (1, 6)


def prepare(base: Base, character: Sequence[drawings.Drawing], settings: FinetuneSettings, cache: Path) -> TrainingData:
    """Encode every variant of every drawing and every prompt once. Class pictures are kept in `cache`."""
    size = settings.size or base.size
    named = (settings.identifier, settings.class_name)
    images = [drawing.image for drawing in character]
    prompts = [instance_prompt(drawing.caption, *named) for drawing in character]
    if settings.mirror:
        images += [image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) for image in images]
        prompts += [mirrored_prompt(prompt, settings.identifier) for prompt in prompts]
    class_prompts = [class_prompt(prompt, *named) for prompt in prompts]
    latents = [
        base.encode_images(variants_of(image, size, settings.variants, step_seed(settings.seed, i)))
        for i, image in enumerate(images)
    ]
    # SDXL reads the original size as sharpness. Sizes above the target say nothing, and SDXL has hardly seen any.
    sizes = [min(max(image.size), size) for image in images]
    time_ids = [base.time_ids(original, size) for original in sizes]
    data = {
        "latents": torch.stack(latents),
        "texts": prompts,
        "class_texts": class_prompts,
        "prompts": base.encode_prompts(prompts),
        "class_prompts": base.encode_prompts(class_prompts),
        "unconditional": base.unconditional(),
        "time_ids": torch.cat(time_ids) if base.micro_conditioned else None,
        "turns": turns_of([drawing.repeats for drawing in character] * (1 + settings.mirror)),
    }
    if settings.background_weight < 1 or any(drawing.box for drawing in character):
        data["cell_weights"] = _cell_weights(character, settings, data["latents"], size).to(base.device)
    if settings.preserves_prior and settings.prior == "images":
        pictures, owners = _class_pictures(base, class_prompts, settings, cache)
        data["class_latents"] = base.encode_images(np.stack([np.asarray(picture) for picture in pictures]))
        data["class_of"] = torch.tensor(owners)
        data["class_time_ids"] = base.time_ids(size, size)
    return TrainingData(**data)


def turns_of(repeats: Sequence[int]) -> Tensor:
    """Index i occurs `repeats[i]` times, spread evenly over the list: [2, 1] gives 0, 1, 0."""
    turns = [((k + 0.5) / count, i) for i, count in enumerate(repeats) for k in range(count)]
    return torch.tensor([i for _, i in sorted(turns)])


def _cell_weights(
    character: Sequence[drawings.Drawing], settings: FinetuneSettings, latents: Tensor, size: int
) -> Tensor:
    """The weight of each cell of `latents`: 1 on the figure, `background_weight` beside it, 0 on the padding.

    The weights are divided by their mean.
    """
    masks = [drawing.mask or estimated_mask(drawing.image) for drawing in character]
    if settings.background_weight < 1 and None in masks:
        raise UserError(
            f"background_weight is {settings.background_weight:g}, but {character[masks.index(None)].name} has neither "
            "transparency nor flat paper that tells the figure from its background: give drawings with an alpha "
            "channel, or leave it at 1."
        )
    weights = _covered([_within(drawing) for drawing in character], settings, latents, size)
    if settings.background_weight < 1:
        figure = _covered(masks, settings, latents, size)
        weights = weights * (figure + settings.background_weight * (1 - figure))
    return weights / weights.mean((-2, -1), keepdim=True)


def _within(drawing: drawings.Drawing) -> PIL.Image.Image:
    """A mask (mode L) of the drawing's size: 255 on the picture, 0 on its padding."""
    within = PIL.Image.new("L", drawing.image.size, 0)
    within.paste(255, drawing.box or (0, 0, *within.size))
    return within


def _covered(masks: Sequence[PIL.Image.Image], settings: FinetuneSettings, latents: Tensor, size: int) -> Tensor:
    """The share of each cell of `latents` that the masks cover: (N, V, 1, h, w), placed like the variants."""
    mirrored = [mask.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) for mask in masks] if settings.mirror else []
    placed = np.stack([
        variants_of(mask.convert("RGB"), size, settings.variants, step_seed(settings.seed, i))[..., 0]
        for i, mask in enumerate([*masks, *mirrored])
    ])  # fmt: skip
    return F.adaptive_avg_pool2d(torch.from_numpy(placed).float() / 255, latents.shape[-2:]).unsqueeze(2)


def _class_pictures(
    base: Base, class_prompts: Sequence[str], settings: FinetuneSettings, cache: Path
) -> tuple[list[PIL.Image.Image], list[int]]:
    """`class_images` class pictures, spread over the different prompts, and the index of the prompt of each."""
    sampling = replace(settings.sampling, size=settings.size or base.size)
    different = list(dict.fromkeys(class_prompts))
    each, more = divmod(settings.class_images, len(different))
    pictures, owners = [], []
    for prompts, seeds in ((different, range(each)), (different[:more], [each])):
        if prompts and seeds:
            pictures += [picture.image for picture in generate(base, prompts, seeds, cache, sampling)]
            owners += [class_prompts.index(prompt) for prompt in prompts for _ in seeds]
    return pictures, owners
