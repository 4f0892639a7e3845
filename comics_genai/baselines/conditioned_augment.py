"""Non-leaky augmentation of a diffusion model (Karras et al. 2022, sec. 5).

The network is told how each picture was transformed. When sampling, it is told that nothing was transformed.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

PARAMETERS = ("mirrored", "right", "down", "log_scale", "cosine", "sine")
SHIFT = 1 / 8  # standard deviation in fractions of the side, as in the paper
SCALE = 0.2  # standard deviation of log2 of the scale, as in the paper
ANGLE = math.radians(20)  # largest rotation; the paper's full circle is for pictures without an upright direction


def sample_parameters(count: int, p: float, generator: torch.Generator) -> Tensor:
    """Sample PARAMETERS (count, 6). Each kind of change is made with probability p; a row of 0 changes nothing."""

    def with_p(values: Tensor) -> Tensor:
        return values * (torch.rand(count, generator=generator) < p)

    mirrored = with_p((torch.rand(count, generator=generator) < 0.5).float())
    shifted = torch.rand(count, generator=generator) < p
    right, down = SHIFT * torch.randn(2, count, generator=generator) * shifted
    log_scale = with_p(SCALE * math.log(2) * torch.randn(count, generator=generator))
    angle = with_p(ANGLE * (2 * torch.rand(count, generator=generator) - 1))
    return torch.stack([mirrored, right, down, log_scale, angle.cos() - 1, angle.sin()], 1)


def transform(pictures: Tensor, parameters: Tensor) -> Tensor:
    """Mirror, scale, rotate and shift pictures (N, 3, H, W) by `parameters` (N, 6), and continue their border.

    A row of zeros changes no bit of its picture.
    """
    mirrored, right, down, log_scale, cosine, sine = parameters.unbind(1)
    flip, cosine, shrink = 1 - 2 * mirrored, 1 + cosine, (-log_scale).exp()
    # The map from a position in the result to one in the picture, with y down: x_in = M (x_out - shift).
    rows = [
        torch.stack([flip * shrink * cosine, flip * shrink * sine], -1),
        torch.stack([-shrink * sine, shrink * cosine], -1),
    ]
    matrix = torch.stack(rows, 1)
    shift = 2 * torch.stack([right, down], -1)[..., None]
    grid = F.affine_grid(torch.cat([matrix, -matrix @ shift], -1), list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return torch.where((parameters == 0).all(1).reshape(-1, 1, 1, 1), pictures, moved)
