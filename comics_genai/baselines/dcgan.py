"""The networks of GAN version 1, a plain DCGAN (Radford et al. 2016, sec. 3); `gan` trains them.

They have strided and transposed convolutions, batch normalisation except at the generator's output and the
discriminator's input, ReLU and leaky ReLU, tanh at the end, and weights from N(0, 0.02). `width` is 128 in the paper.
"""

import math

from torch import Tensor, nn


def _stages(size: int) -> int:
    """The number of doublings from 4 px to `size`."""
    return int(math.log2(size // 4))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


class Generator(nn.Sequential):
    """z (N, latent) to pictures (N, 3, size, size) in [-1, 1]; size a power of two from 8 on."""

    def __init__(self, size: int, latent: int, width: int):
        widths = [width * 2**i for i in reversed(range(_stages(size)))]
        layers: list[nn.Module] = [
            nn.Unflatten(1, (latent, 1, 1)),
            nn.ConvTranspose2d(latent, widths[0], 4, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        super().__init__(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh())
        _initialise(self)


class Discriminator(nn.Module):
    """Pictures (N, 3, size, size) to logits (N,), which are above 0 for pictures that it takes for real."""

    def __init__(self, size: int, width: int):
        super().__init__()
        widths = [width * 2**i for i in range(_stages(size))]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4), nn.Flatten(0))
        _initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)
