"""Replacements for what diffusers' training script needs and this project lacks: torchvision, and an AutoencoderKL.

They cover only what `train_dreambooth_lora_sdxl.py` calls, and do the same as torchvision, with Pillow. The script
itself runs unchanged.
"""

import json
import random
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import PIL.Image
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

Image = PIL.Image.Image


class InterpolationMode(Enum):
    """The modes, under the names that the script's options have in lower case."""

    NEAREST = PIL.Image.Resampling.NEAREST
    BILINEAR = PIL.Image.Resampling.BILINEAR
    BICUBIC = PIL.Image.Resampling.BICUBIC
    LANCZOS = PIL.Image.Resampling.LANCZOS


class Resize:
    """Resize the picture so that its shorter side has `size` pixels."""

    def __init__(self, size: int, interpolation: InterpolationMode = InterpolationMode.BILINEAR):
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Image) -> Image:
        scale = self.size / min(image.size)
        return image.resize(tuple(int(side * scale) for side in image.size), self.interpolation.value)


class CenterCrop:
    """Crop the middle `size` × `size` pixels."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, image: Image) -> Image:
        top, left = (int(round((side - self.size) / 2)) for side in (image.height, image.width))
        return crop(image, top, left, self.size, self.size)


class RandomCrop:
    """Crop `size` × `size` pixels at a random position."""

    def __init__(self, size: int):
        self.size = size

    @staticmethod
    def get_params(image: Image, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Top, left, height and width of a crop."""
        return random.randint(0, image.height - size[0]), random.randint(0, image.width - size[1]), *size

    def __call__(self, image: Image) -> Image:
        return crop(image, *self.get_params(image, (self.size, self.size)))


class RandomHorizontalFlip:
    """Mirror the picture with probability p."""

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, image: Image) -> Image:
        return image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < self.p else image


class ToTensor:
    """A picture as (3, H, W) float32 in [0, 1]."""

    def __call__(self, image: Image) -> Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float() / 255


class Normalize:
    """Subtract each channel's mean and divide by its standard deviation."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = (torch.tensor(values).reshape(-1, 1, 1) for values in (mean, std))

    def __call__(self, picture: Tensor) -> Tensor:
        return (picture - self.mean) / self.std


class Compose:
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, value: Any) -> Any:
        for transform in self.transforms:
            value = transform(value)
        return value


def crop(image: Image, top: int, left: int, height: int, width: int) -> Image:
    """torchvision.transforms.functional.crop."""
    return image.crop((left, top, left + width, top + height))


class Autoencoder:
    """The base's AutoencoderTiny with the interface of an AutoencoderKL: its latents become a distribution's mean."""

    @classmethod
    def from_pretrained(cls, *where: Any, **options: Any) -> AutoencoderTiny:
        vae = AutoencoderTiny.from_pretrained(*where, **options)
        encode = vae.encode

        def encode_as_distribution(pixels: Tensor) -> SimpleNamespace:
            latents = encode(pixels).latents
            return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: latents, mode=lambda: latents))

        vae.encode = encode_as_distribution
        return vae


def stand_in(base: str | Path) -> None:
    """Install the replacements; that of the AutoencoderKL only if the VAE of the base folder is none."""
    transforms, functional = ModuleType("torchvision.transforms"), ModuleType("torchvision.transforms.functional")
    for each in (InterpolationMode, Resize, CenterCrop, RandomCrop, RandomHorizontalFlip, ToTensor, Normalize, Compose):
        setattr(transforms, each.__name__, each)
    functional.crop, transforms.functional = crop, functional
    torchvision = ModuleType("torchvision")
    torchvision.transforms = transforms
    for module in (torchvision, transforms, functional):
        sys.modules[module.__name__] = module
    if is_tiny(base):
        diffusers.AutoencoderKL = Autoencoder


def is_tiny(base: str | Path) -> bool:
    """Whether the base folder's VAE is an AutoencoderTiny."""
    return json.loads((Path(base) / "model_index.json").read_text("utf-8"))["vae"][1] == "AutoencoderTiny"
