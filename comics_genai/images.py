"""Pictures become tensors and tensors become pictures."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from PIL import Image
from torch import Tensor


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1]."""
    return torch.tensor(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_pictures(tensor: Tensor) -> list[PIL.Image.Image]:
    """float (N, 3, H, W) in [-1, 1] to pictures."""
    pixels = tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [PIL.Image.fromarray(picture) for picture in pixels]


def as_tensor(images: Sequence[Image.Image] | np.ndarray, size: int) -> Tensor:
    """Pictures (PIL, or uint8 (N, H, W, 3)) as float (N, 3, size, size) in [0, 1]."""
    if len(images) == 0:
        return torch.zeros(0, 3, size, size)
    if not (isinstance(images, np.ndarray) and images.shape[1:] == (size, size, 3)):
        images = np.stack([_sized(image, size) for image in images])
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div(255)


def _sized(image: Image.Image | np.ndarray, size: int) -> np.ndarray:
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BOX if min(picture.size) > size else Image.BICUBIC)
    return np.asarray(picture)
