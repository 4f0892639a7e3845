"""Seven places, each its own, the same for the same seed, and pale."""

from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.world.background import PLACES

SCENE = world.Scene(world.UNICORN_GIRL)


def behind(place: str, seed: int = 0) -> np.ndarray:
    """The place's pixels left and right of the figure, (96, 24, 3)."""
    scene = replace(SCENE, setting=replace(SCENE.setting, background=place, seed=seed))
    picture = np.asarray(world.draw(scene, 96)).astype(int)
    return np.hstack([picture[:, :12], picture[:, -12:]])


def test_there_is_a_drawing_of_every_place_and_no_other():
    assert set(PLACES) == set(world.BACKGROUNDS)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_is_a_function_of_its_seed(place):
    assert np.array_equal(behind(place), behind(place))
    assert np.abs(behind(place) - behind(place, 1)).max() > 24


def test_places_differ_and_only_the_night_is_dark():
    brightness = {place: behind(place).mean() for place in PLACES}
    assert min(brightness, key=brightness.get) == "night" and brightness["night"] < 160
    assert all(value > 175 for place, value in brightness.items() if place != "night")
    for i, one in enumerate(PLACES):
        for other in list(PLACES)[i + 1 :]:
            assert np.abs(behind(one) - behind(other)).mean() > 8, (one, other)
