"""Prepare drawings for a model from scratch: whole figures as one float tensor."""

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
    """Pictures as float (N * variants, 3, size, size) in [-1, 1], padded by their border and never cropped.

    variants: for each picture, itself and then slightly smaller, shifted ones. Raises UserError if there is no picture,
    or if the size or the number of variants is out of range.
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
    """Raise UserError unless there are pictures (N, 3, size, size)."""
    if len(pictures) == 0 or pictures.shape[1:] != (3, size, size):
        raise UserError(
            f"Pictures of shape {tuple(pictures.shape)} do not fit a model of {size} px: prepare one or more with "
            f"size={size}."
        )


def digest(pictures: Tensor) -> str:
    """A digest (sixteen hexadecimal digits) of a set of pictures, for the record of a run."""
    return hashlib.sha256(pictures.cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def in_turn(count: int, step: int, batch_size: int) -> Tensor:
    """The indices (batch_size,) of the drawings of a step, taken in turn, so that each is seen equally often.

    If there are more drawings than a batch holds, their order is shuffled once, always in the same way.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[(torch.arange(batch_size) + step * batch_size) % count]
