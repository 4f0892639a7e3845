"""The drawings as a model from scratch reads them: whole figures as one float tensor."""

import hashlib
from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from comics_genai.errors import UserError
from comics_genai.finetuning.encoded_data import squared, variants_of
from comics_genai.images import to_tensor

SIZES = (8, 1024)  # pixels each way


def prepare(images: Sequence[PIL.Image.Image], size: int, variants: int = 1, seed: int = 0) -> Tensor:
    """Pictures as float (N * variants, 3, size, size) in [-1, 1], whole on their continued border; nothing is cropped.

    variants: of each picture, one after the other: itself, then slightly smaller and shifted ones. Raises UserError for
    no picture, or a size or number of variants out of range.
    """
    if not images:
        raise UserError("There is no drawing to train on: give at least one.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise UserError(f"size is {size} px, but must be in {SIZES[0]} to {SIZES[1]}.")
    if variants < 1:
        raise UserError(f"variants is {variants}, but must be at least 1 (the drawing itself).")
    rgb = [image.convert("RGB") for image in images]
    if variants == 1:
        return to_tensor(np.stack([np.asarray(squared(image, size)) for image in rgb]))
    return to_tensor(np.concatenate([variants_of(image, size, variants, seed + i) for i, image in enumerate(rgb)]))


def check_fits(pictures: Tensor, size: int) -> None:
    """UserError unless there are pictures (N, 3, size, size)."""
    if len(pictures) == 0 or pictures.shape[1:] != (3, size, size):
        raise UserError(
            f"Pictures of shape {tuple(pictures.shape)} do not fit a model of {size} px: prepare one or more with "
            f"size={size}."
        )


def digest(pictures: Tensor) -> str:
    """Sixteen hexadecimal letters that tell one set of pictures from another, for the record of a run."""
    return hashlib.sha256(pictures.cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def in_turn(count: int, step: int, batch_size: int) -> Tensor:
    """Indices (batch_size,) of the drawings of a step: in turn, so that each is seen equally often.

    With more drawings than a batch holds, neighbours share a batch; the order is shuffled once, the same every time.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[(torch.arange(batch_size) + step * batch_size) % count]
