"""Version 2's networks: directions of z, gates, and the standard deviation over a batch."""

import pytest
import torch

from comics_genai.baselines import lite_gan


@pytest.mark.parametrize("size", [32, 64, 128])
def test_pictures_have_the_size_and_logits_are_one_each(size):
    pictures = lite_gan.Generator(size, 8, 4)(torch.randn(2, 8))
    assert pictures.shape == (2, 3, size, size) and pictures.abs().max() <= 1
    assert lite_gan.Discriminator(size, 4)(pictures).shape == (2,)


def test_only_the_direction_of_z_matters():
    generator, z = lite_gan.Generator(32, 8, 4), torch.randn(2, 8)
    torch.testing.assert_close(generator(z), generator(7 * z))


def test_a_gate_multiplies_channels_by_what_lies_between_0_and_1():
    excitation = lite_gan.SkipLayerExcitation(4, 6)
    high = torch.randn(2, 6, 16, 16)
    ratio = excitation(torch.randn(2, 4, 8, 8), high) / high
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert 0 < ratio.min() and ratio.max() < 1


def test_the_discriminator_sees_a_batch_that_repeats_itself():
    torch.manual_seed(0)
    discriminator, picture = lite_gan.Discriminator(32, 4), torch.rand(1, 3, 32, 32)
    alone = discriminator(picture)
    torch.testing.assert_close(discriminator(picture.expand(4, -1, -1, -1)), alone.expand(4))
    beside_others = discriminator(torch.cat([picture, torch.rand(3, 3, 32, 32)]))
    assert (beside_others[0] - alone[0]).abs() > 1e-6
