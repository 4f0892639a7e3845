"""Augment the pictures that a discriminator sees, with probability p, and control p.

DiffAugment (Zhao et al. 2020): the same kinds of transformations on real and fake pictures, in the discriminator's and
in the generator's step, differentiable so that the generator learns through them. ADA's controller (Karras et al. 2020,
sec. 3) raises p while the discriminator is too sure of real pictures.
"""

import torch
from torch import Tensor, nn

TRANSLATION = 1 / 8  # largest shift, in fractions of the side
CUTOUT = 1 / 2  # side of the square that is blanked
COLOR = 0.2  # of the paper's strength: colour is part of the identity, and at full strength hues would not be learnt
P_MAX = 0.8  # with a larger p, augmentations leak into generated pictures (Karras et al. 2020, sec. 2.2)


def diff_augment(pictures: Tensor, p: Tensor | float, generator: torch.Generator) -> Tensor:
    """Apply colour, translation and cutout to pictures (N, 3, H, W) in [-1, 1], each with probability p.

    The random numbers come from `generator` (on the CPU); their count does not depend on p. p = 0 changes no bit.
    """
    for transform in (color, translation, cutout):
        chosen = torch.rand(len(pictures), 1, 1, 1, generator=generator).to(pictures.device) < p
        pictures = torch.where(chosen, transform(pictures, generator), pictures)
    return pictures


def color(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, saturation and contrast by at most 0.5, 1 and 0.5 times COLOR."""
    u = COLOR * (2 * torch.rand(3, len(pictures), 1, 1, 1, generator=generator) - 1)
    brightness, saturation, contrast = u.to(pictures.device, pictures.dtype)
    pictures = pictures + 0.5 * brightness
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (1 + saturation) * (pictures - grey)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return mean + (1 + 0.5 * contrast) * (pictures - mean)


def translation(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shift by whole pixels, by at most TRANSLATION of the side, and fill with mid-grey."""
    n, _, height, width = pictures.shape
    y, x = round(TRANSLATION * height), round(TRANSLATION * width)
    down = torch.randint(2 * y + 1, (n,), generator=generator).tolist()
    right = torch.randint(2 * x + 1, (n,), generator=generator).tolist()
    padded = nn.functional.pad(pictures, (x, x, y, y))
    shifted = [padded[i, :, down[i] : down[i] + height, right[i] : right[i] + width] for i in range(n)]
    return torch.stack(shifted)


def cutout(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Fill a square of side CUTOUT, centred anywhere in the picture, with mid-grey."""
    n, _, height, width = pictures.shape
    middle = torch.rand(2, n, 1, 1, 1, generator=generator).to(pictures.device)
    y = (torch.arange(height, device=pictures.device).reshape(1, 1, -1, 1) + 0.5) / height
    x = (torch.arange(width, device=pictures.device).reshape(1, 1, 1, -1) + 0.5) / width
    inside = ((y - middle[0]).abs() < CUTOUT / 2) & ((x - middle[1]).abs() < CUTOUT / 2)
    return pictures.masked_fill(inside, 0.0)


class AdaController(nn.Module):
    """The probability p of augmentation, steered by r_t = E[sign D(real)] (Karras et al. 2020, sec. 3).

    Every INTERVAL steps p moves up where r_t is above `target` and down where it is below, at a speed that takes it
    from 0 to 1 in `pictures` real pictures; it stays in [0, P_MAX]. Its state is in buffers, so checkpoints have it.
    """

    INTERVAL = 4  # steps over which r_t is averaged

    def __init__(self, target: float, pictures: int):
        super().__init__()
        self.target, self.pictures = target, pictures
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))  # sum of the signs since the last adjustment
        self.register_buffer("seen", torch.zeros(()))  # their number

    @torch.no_grad()
    def update(self, step: int, real_logits: Tensor) -> None:
        """Add D(real) of a step (from 0) to the average, and adjust p at the end of an interval."""
        self.signs += real_logits.float().sign().sum()
        self.seen += real_logits.numel()
        if (step + 1) % self.INTERVAL == 0:
            direction = (self.signs / self.seen - self.target).sign()
            self.p.add_(direction * self.seen / self.pictures).clamp_(0, P_MAX)
            self.signs.zero_()
            self.seen.zero_()
