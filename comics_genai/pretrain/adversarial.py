"""A discriminator that makes the decoder draw crisp pictures: generative adversarial training on crops.

Where a latent allows several edges, an L1 loss alone makes the decoder draw their mean, which is a soft edge. A
discriminator tells such a mean from a drawing, and pushes the decoder to choose an edge. It sees only what the decoder
makes of the UNet's latents. Latents of encoded drawings leave little open, and there L1 keeps the lines true.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

FULL_SIZE, WIDTHS = 16, (32, 64, 96)
GROUPS = 8
LEAK = 0.2  # slope of LeakyReLU below zero (Isola et al. 2017)
LARGEST_WEIGHT = 10.0


class Discriminator(nn.Sequential):
    """Pictures (N, 3, H, W) in [-1, 1] to a logit for each patch, (N, 1, H / 8, W / 8): drawn or decoded.

    A patch discriminator (PatchGAN, Isola et al. 2017) with group norms (Wu & He 2018): with spectral norms its logits
    stayed near 0 and it learned nothing. A patch spans 40 px: an eye or a mouth with its surroundings, which is where a
    figure looks blurred.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        # The first layer has full size, because half-size features miss a decoder's dotted outlines.
        layers: list[nn.Module] = [nn.Conv2d(3, FULL_SIZE, 3, 1, 1), nn.LeakyReLU(LEAK)]
        inputs = FULL_SIZE
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 4, 2, 1), nn.GroupNorm(GROUPS, width), nn.LeakyReLU(LEAK)]
            inputs = width
        layers += [nn.Conv2d(inputs, inputs, 3, 1, 1), nn.GroupNorm(GROUPS, inputs), nn.LeakyReLU(LEAK)]
        super().__init__(*layers, nn.Conv2d(inputs, 1, 1))


def discriminator_loss(discriminator: Discriminator, drawn: Tensor, decoded: Tensor) -> Tensor:
    """Hinge loss of the discriminator (Lim & Ye 2017): drawings belong above 1, decoded pictures below -1. No gradient
    reaches the decoder."""
    real, fake = discriminator(torch.cat([drawn, decoded.detach()])).float().chunk(2)
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def decoder_loss(discriminator: Discriminator, decoded: Tensor) -> Tensor:
    """The decoder's loss: the negative mean logit of decoded pictures. No gradient reaches the discriminator."""
    frozen = {name: p.detach() for name, p in discriminator.named_parameters()}
    return -functional_call(discriminator, frozen, (decoded,)).float().mean()


def balance(reconstruction: Tensor, adversarial: Tensor, last: Tensor) -> Tensor:
    """The weight that gives both losses equal gradients at the decoder's last weight (Esser et al. 2021, eq. 7)."""
    ours, theirs = (
        torch.autograd.grad(loss, last, retain_graph=True)[0].float().norm() for loss in (reconstruction, adversarial)
    )
    return (ours / (theirs + 1e-6)).clamp(max=LARGEST_WEIGHT).detach()
