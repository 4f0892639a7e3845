"""The networks of GAN version 2; `gan` trains them.

The generator is light and has skip-layer excitation (Liu et al. 2021, "FastGAN"); the discriminator is a small residual
network. Unlike FastGAN they have group instead of batch normalisation, so that averaged weights need no statistics; no
noise but z, so that z determines the picture; and R1 and ADA instead of the discriminator's self-supervision.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXCITES = 8  # a skip-layer excitation spans this factor of resolution (16 in the paper, whose pictures are larger)
WIDTHS = {4: 6.0, 8: 4.0, 16: 2.0, 32: 1.0, 64: 0.5, 128: 0.25}  # channels at each resolution, in units of `width`


def _channels(width: int) -> dict[int, int]:
    """Channels at each resolution: multiples of 8."""
    return {side: 8 * math.ceil(factor * width / 8) for side, factor in WIDTHS.items()}


def _gated(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, normalisation and a gated linear unit, which halves the channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False), nn.GroupNorm(8, 2 * outputs), nn.GLU(dim=1)
    )


class SkipLayerExcitation(nn.Module):
    """y = F(x_low) * x_high: coarse features gate the channels of fine ones (Liu et al. 2021, eq. 1 and fig. 3)."""

    def __init__(self, low: int, high: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(low, high, 4), nn.SiLU(), nn.Conv2d(high, high, 1), nn.Sigmoid()
        )

    def forward(self, x_low: Tensor, x_high: Tensor) -> Tensor:
        return self.gate(x_low) * x_high


class Generator(nn.Module):
    """z (N, latent) to pictures (N, 3, size, size) in [-1, 1]; size 32, 64 or 128."""

    def __init__(self, size: int, latent: int, width: int):
        super().__init__()
        channels, sides = _channels(width), [side for side in WIDTHS if side <= size]
        self.start = nn.Sequential(
            nn.Unflatten(1, (latent, 1, 1)),
            nn.ConvTranspose2d(latent, 2 * channels[4], 4, bias=False),
            nn.GroupNorm(8, 2 * channels[4]),
            nn.GLU(dim=1),
        )
        self.ups = nn.ModuleDict()
        for low, side in zip(sides[:-1], sides[1:], strict=True):
            up = [nn.Upsample(scale_factor=2.0), _gated(channels[low], channels[side])]
            # Full resolution is expensive, and flat comic colours need little there: one convolution, as in FastGAN.
            up += [] if side == size else [_gated(channels[side], channels[side])]
            self.ups[str(side)] = nn.Sequential(*up)
        self.excitations = nn.ModuleDict(
            {
                str(side): SkipLayerExcitation(channels[side // EXCITES], channels[side])
                for side in sides
                if side // EXCITES in sides
            }
        )
        self.to_rgb = nn.Conv2d(channels[size], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        # Only the direction of z is used, so that interpolations stay within the training distribution.
        x = self.start(F.normalize(z, dim=1) * math.sqrt(z.shape[1]))
        features = {4: x}
        for side, up in self.ups.items():
            x = up(x)
            if side in self.excitations:
                x = self.excitations[side](features[int(side) // EXCITES], x)
            features[int(side)] = x
        return torch.tanh(self.to_rgb(x))


class _Down(nn.Module):
    """A residual block that halves the resolution and keeps unit variance in its sum (Karras et al. 2020b)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Pooling before the last convolution makes it four times cheaper.
        residual = F.avg_pool2d(F.leaky_relu(self.first(x), 0.2), 2)
        return (F.leaky_relu(self.second(residual), 0.2) + self.skip(F.avg_pool2d(x, 2))) / math.sqrt(2)


class Discriminator(nn.Module):
    """Pictures (N, 3, size, size) to logits (N,), which are above 0 for pictures that it takes for real.

    There is no normalisation, because R1 regularises. So a picture's logit depends on the others of its batch only
    through their standard deviation.
    """

    def __init__(self, size: int, width: int):
        super().__init__()
        widths = [min(width * 2**i, 4 * width) for i in range(int(math.log2(size // 4)) + 1)]
        downs = [_Down(inputs, outputs) for inputs, outputs in zip(widths[:-1], widths[1:], strict=True)]
        self.features = nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1), nn.LeakyReLU(0.2), *downs)
        self.last = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.logit = nn.Linear(widths[-1] * 16, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.features(pictures)
        # The minibatch standard deviation reveals a generator that repeats itself (Karras et al. 2018, sec. 3).
        deviation = (x.var(0, unbiased=False) + 1e-8).sqrt().mean().expand(len(x), 1, *x.shape[2:])
        x = F.leaky_relu(self.last(torch.cat([x, deviation], 1)), 0.2)
        return self.logit(x.flatten(1))[:, 0]
