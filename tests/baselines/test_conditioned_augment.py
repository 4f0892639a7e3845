"""Augmentation that the network is told of."""

import math

import pytest
import torch

from comics_genai.baselines import conditioned_augment
from tests.baseline_settings import generator, noise


def test_conditioned_augmentation_of_zeros_is_the_identity_and_p_0_draws_zeros():
    pictures = noise(3, 3, 16, 16)
    nothing = conditioned_augment.sample_parameters(3, 0.0, generator())
    assert nothing.shape == (3, 6) and (nothing == 0).all()
    assert torch.equal(conditioned_augment.transform(pictures, nothing), pictures)


def test_conditioned_augmentation_does_what_its_parameters_say():
    pictures = torch.zeros(1, 3, 16, 16)
    pictures[:, :, 6:10, 2:6] = 1
    told = dict(zip(conditioned_augment.PARAMETERS, torch.eye(6), strict=True))

    def centre(parameters):
        out = conditioned_augment.transform(pictures, parameters[None])[0, 0]
        y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
        return [(out * place).sum().item() / out.sum().item() for place in (x, y)], out.sum().item()

    assert centre(0 * told["right"]) == ([4, 8], 16)
    assert centre(told["mirrored"])[0] == pytest.approx([12, 8], abs=1e-3)
    assert centre(0.25 * told["right"])[0] == pytest.approx([8, 8], abs=1e-3)
    assert centre(0.25 * told["down"])[0] == pytest.approx([4, 12], abs=1e-3)
    assert centre(math.log(1.5) * told["log_scale"])[1] == pytest.approx(16 * 1.5**2, rel=0.2)
    # A quarter turn clockwise takes what is left of the middle above it.
    assert centre(told["sine"] - told["cosine"])[0] == pytest.approx([8, 4], abs=1e-3)


def test_drawn_parameters_are_rotations_and_happen_with_probability_p():
    drawn = conditioned_augment.sample_parameters(4000, 0.25, generator())
    assert ((1 + drawn[:, 4]) ** 2 + drawn[:, 5] ** 2).sub(1).abs().max() < 1e-5
    shares = (drawn != 0).float().mean(0)
    assert shares.tolist() == pytest.approx([0.125, 0.25, 0.25, 0.25, 0.25, 0.25], abs=0.03)
