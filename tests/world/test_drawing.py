"""Where the figure is."""

import numpy as np
import pytest

from comics_genai import world


def test_the_figure_mask_holds_the_figure_and_not_the_sky():
    scene = world.reference_scenes(world.UNICORN_GIRL)[0]
    mask = world.figure_mask(scene)
    assert mask.shape == (128, 128) and 0.2 < mask.mean() < 0.5
    head, chest = (128 * world.joints(scene)[world.JOINTS.index(name)] for name in ("head", "neck"))
    assert mask[int(head[1]), int(head[0])] and mask[int(chest[1]), int(chest[0])]
    assert not mask[:6].any() and not mask[:, :6].any()


def test_the_same_seed_draws_the_same_bytes():
    scene = world.sample_scene(5)
    assert scene == world.sample_scene(5)
    assert world.draw(scene).tobytes() == world.draw(scene).tobytes()


@pytest.mark.parametrize("size", [64, 256, 512])
def test_a_picture_is_the_same_at_every_size(size):
    scene = world.sample_scene(8)
    small = np.asarray(world.draw(scene, size).resize((64, 64), 4)).astype(int)
    assert np.abs(small - np.asarray(world.draw(scene, 128).resize((64, 64), 4)).astype(int)).mean() < 3


def test_sizes_outside_the_limits_are_refused():
    with pytest.raises(ValueError, match="64 to 2048"):
        world.draw(world.sample_scene(0), 32)
