"""Drawings as a model from scratch sees them."""

import numpy as np
import pytest
import torch
from PIL import Image

from comics_genai import world
from comics_genai.baselines import data, ddpm, gan
from comics_genai.errors import UserError
from tests.baseline_settings import DDPM, LITE, noise


def test_drawings_are_whole_and_in_range():
    wide = Image.fromarray(np.full((20, 60, 3), 255, np.uint8))
    wide.paste((0, 0, 0), (0, 8, 4, 12))  # at the very edge, where a crop would lose it
    pictures = data.prepare([wide, Image.new("RGB", (40, 40), (255, 0, 0))], 32)
    assert pictures.shape == (2, 3, 32, 32) and pictures.dtype == torch.float32
    assert pictures[0, :, 15, 0].max() < -0.95 and pictures[0, :, 0].min() == 1
    assert torch.equal(pictures[1, :, 0, 0], torch.tensor([1.0, -1.0, -1.0]))


def test_variants_follow_their_drawing_which_comes_first():
    images = [world.draw(scene, 64) for scene in world.reference_scenes(world.UNICORN_GIRL)[:2]]
    plain, varied = data.prepare(images, 32), data.prepare(images, 32, variants=3)
    assert varied.shape == (6, 3, 32, 32)
    assert torch.equal(varied[::3], plain)
    assert not torch.equal(varied[1], varied[0]) and not torch.equal(varied[1], varied[2])


def test_drawings_come_in_turn_so_that_each_is_seen_equally_often():
    seen = torch.cat([data.in_turn(6, step, 4) for step in range(30)])
    assert torch.bincount(seen).tolist() == [20] * 6


def test_pictures_that_do_not_fit_are_refused(tmp_path):
    image = Image.new("RGB", (64, 64))
    with pytest.raises(UserError, match="size is 4 px, but must be in 8 to 1024"):
        data.prepare([image], 4)
    with pytest.raises(UserError, match="There is no drawing"):
        data.prepare([], 32)
    with pytest.raises(UserError, match=r"\(2, 3, 16, 16\) do not fit a model of 32 px"):
        gan.train_gan(LITE, noise(2, 3, 16, 16), tmp_path)
    with pytest.raises(UserError, match="do not fit a model of 8 px"):
        ddpm.train_ddpm(DDPM, noise(0, 3, 8, 8), tmp_path)
    assert not list(tmp_path.iterdir())
