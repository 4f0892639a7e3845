"""Non-leaky augmentation of a diffusion model: the network is told what was done to a picture (Karras et al. 2022,
sec. 5). Sampling tells it that nothing was done, so it draws pictures that were never transformed.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

PARAMETERS = ("mirrored", "right", "down", "log_scale", "cosine", "sine")
SHIFT = 1 / 8  # standard deviation in fractions of the side, as in the paper
SCALE = 0.2  # standard deviation of log2 of the scale, as in the paper
ANGLE = math.radians(20)  # largest rotation; the paper's whole circle is for pictures without an upright


def sample_parameters(count: int, p: float, generator: torch.Generator) -> Tensor:
    """(count, 6) of PARAMETERS, each kind of change made with probability p; all 0 where nothing is changed."""

    def with_p(values: Tensor) -> Tensor:
        return values * (torch.rand(count, generator=generator) < p)

    mirrored = with_p((torch.rand(count, generator=generator) < 0.5).float())
    shifted = torch.rand(count, generator=generator) < p
    right, down = SHIFT * torch.randn(2, count, generator=generator) * shifted
    log_scale = with_p(SCALE * math.log(2) * torch.randn(count, generator=generator))
    angle = with_p(ANGLE * (2 * torch.rand(count, generator=generator) - 1))
    return torch.stack([mirrored, right, down, log_scale, angle.cos() - 1, angle.sin()], 1)


def transform(pictures: Tensor, parameters: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) mirrored, scaled, turned and shifted by `parameters` (N, 6); their border is continued.

    A row of zeros leaves its picture bit for bit as it was.
    """
    mirrored, right, down, log_scale, cosine, sine = parameters.unbind(1)
    flip, cosine, shrink = 1 - 2 * mirrored, 1 + cosine, (-log_scale).exp()
    # The map from a place in the result back to the picture, y pointing down: x_in = M (x_out - shift).
    rows = [
        torch.stack([flip * shrink * cosine, flip * shrink * sine], -1),
        torch.stack([-shrink * sine, shrink * cosine], -1),
    ]
    matrix = torch.stack(rows, 1)
    shift = 2 * torch.stack([right, down], -1)[..., None]
    grid = F.affine_grid(torch.cat([matrix, -matrix @ shift], -1), list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return torch.where((parameters == 0).all(1).reshape(-1, 1, 1, 1), pictures, moved)
