"""Every factor of the pose shows."""

from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world


def pixels(scene, size=128):
    return np.asarray(world.draw(scene, size)).astype(int)


@pytest.mark.parametrize("factor", world.POSE_FACTORS)
def test_every_pose_factor_shows(factor):
    scene = world.Scene(world.UNICORN_GIRL)
    drawn = [pixels(replace(scene, pose=replace(scene.pose, **{factor: v}))) for v in world.POSE_FACTORS[factor]]
    for i, one in enumerate(drawn):
        for other in drawn[i + 1 :]:
            assert (np.abs(one - other).max(-1) > 24).sum() >= 16
