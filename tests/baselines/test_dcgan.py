"""The DCGAN's networks have the paper's shapes and start."""

import pytest
import torch
from torch import nn

from comics_genai.baselines import dcgan


@pytest.mark.parametrize(("size", "stages"), [(32, 3), (64, 4), (128, 5)])
def test_a_stage_doubles_the_side(size, stages):
    generator, discriminator = dcgan.Generator(size, 10, 4), dcgan.Discriminator(size, 4)
    pictures = generator(torch.randn(3, 10))
    assert pictures.shape == (3, 3, size, size) and pictures.abs().max() <= 1
    assert discriminator(pictures).shape == (3,)
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in generator) == stages + 1


def test_weights_begin_as_the_paper_says():
    torch.manual_seed(0)
    weights = [m.weight for m in dcgan.Generator(64, 100, 64).modules() if isinstance(m, nn.ConvTranspose2d)]
    assert all(abs(weight.std().item() - 0.02) < 2e-3 and abs(weight.mean().item()) < 1e-3 for weight in weights)


def test_neither_output_nor_input_is_normalised():
    generator, discriminator = dcgan.Generator(32, 10, 4), dcgan.Discriminator(32, 4)
    assert isinstance(generator[-1], nn.Tanh) and isinstance(generator[-2], nn.ConvTranspose2d)
    assert not isinstance(discriminator.layers[1], nn.BatchNorm2d)
