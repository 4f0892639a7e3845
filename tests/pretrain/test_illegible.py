"""What nobody could read, for the reader to learn from."""

import numpy as np
import pytest
import torch

from comics_genai.images import to_tensor
from comics_genai.pretrain import illegible
from comics_genai.pretrain import vae as vae_stage
from comics_genai.pretrain.dataset import draw_scenes


@pytest.fixture(scope="module")
def pictures():
    return draw_scenes(range(6), 64)


def generator():
    return torch.Generator().manual_seed(0)


def test_a_shuffled_picture_has_the_same_pixels_at_other_places(pictures):
    x = to_tensor(pictures)
    found = illegible.shuffled(x, generator())
    assert torch.equal(found.flatten(2).sort(-1).values, x.flatten(2).sort(-1).values)
    assert all((a != b).float().mean() > 0.1 for a, b in zip(found, x, strict=True))


def test_random_phases_keep_every_frequencys_strength(pictures):
    x = to_tensor(pictures)[..., :, :]
    found = illegible.random_phases(x, generator())
    before, after = (torch.fft.rfft2(part).abs()[..., 1:-1] for part in (x, found))
    assert torch.allclose(before, after, atol=1e-2) and not torch.allclose(x, found, atol=0.1)


def test_a_blurred_picture_keeps_its_mean_and_loses_its_details(pictures):
    x = to_tensor(pictures)
    found = illegible.blurred(x, generator())
    assert torch.allclose(found.mean((2, 3)), x.mean((2, 3)), atol=0.15)
    assert found.shape == x.shape and torch.isfinite(found).all()


def test_noise_has_the_pictures_mean_colour_and_nothing_else_of_it(pictures):
    x = to_tensor(pictures)
    found = illegible.noise(x.repeat(20, 1, 1, 1), generator())
    assert (found.mean((2, 3)) - x.repeat(20, 1, 1, 1).mean((2, 3))).abs().mean() < 0.5
    assert (found - x.repeat(20, 1, 1, 1)).abs().mean() > 0.3


def test_all_kinds_come_in_turn_and_a_seed_fixes_them(pictures):
    vae = vae_stage.build(3, 4, 8).eval().requires_grad_(False)
    made = illegible.illegible_pictures(pictures, 14, vae, seed=3, batch_size=2)
    assert made.shape == (14, 64, 64, 3) and made.dtype == np.uint8
    assert np.array_equal(made, illegible.illegible_pictures(pictures, 14, vae, seed=3, batch_size=2))
    assert not np.array_equal(made, illegible.illegible_pictures(pictures, 14, vae, seed=4, batch_size=2))
    known = {picture.tobytes() for picture in pictures}
    assert not known & {picture.tobytes() for picture in made}
    assert illegible.illegible_pictures(pictures, 3, None, seed=0).shape == (3, 64, 64, 3)
