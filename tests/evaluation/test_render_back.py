from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.evaluation.readings import Readings
from comics_genai.evaluation.render_back import difference, differences, scene_of

SCENES = [world.sample_scene(seed) for seed in range(0, 24, 2)]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack([np.asarray(world.draw(scene, 128)) for scene in SCENES])


@pytest.fixture(scope="module")
def truth() -> Readings:
    return Readings.of(SCENES)


def test_true_readings_give_the_scene_back_but_for_its_background(truth):
    for i, scene in enumerate(SCENES):
        found = scene_of(truth, i)
        for a in world.ATTRIBUTES:
            value, true = (world.attribute_value(s.character, a.name) for s in (found, scene))
            assert value == pytest.approx(true, abs=1.0 if a.kind == "color" else 1e-6), a.name
        np.testing.assert_allclose(world.joints(found), world.joints(scene), atol=1e-5)
        assert replace(found.pose, jitter=scene.pose.jitter) == scene.pose


def test_what_was_read_rightly_looks_like_the_picture_and_nothing_else_does(pictures, truth):
    own = differences(pictures, truth)
    others = differences(np.roll(pictures, 1, axis=0), truth)
    assert own.max() < 4 and others.min() > 15
    noise = np.random.default_rng(0).integers(0, 256, pictures.shape, np.uint8)
    assert differences(noise, truth).min() > 15


def test_one_wrong_colour_of_much_of_the_figure_is_seen(pictures, truth):
    # Of the mean over a figure a dress is a quarter.
    colors = {**truth.attributes, "hair_color": truth.attributes["hair_color"] + np.float32([0, 60, -60])}
    assert (differences(pictures, replace(truth, attributes=colors)) > differences(pictures, truth) + 3).mean() > 0.8


def test_the_background_does_not_count(pictures, truth):
    scene = SCENES[0]
    elsewhere = replace(scene, setting=replace(scene.setting, background="night", seed=9))
    on_night = np.asarray(world.draw(elsewhere, 128))
    assert difference(on_night, scene_of(truth, 0)) == pytest.approx(
        difference(pictures[0], scene_of(truth, 0)), abs=0.5
    )


def test_a_figure_outside_of_the_picture_is_infinitely_far(pictures, truth):
    scene = scene_of(truth, 0)
    away = replace(scene, setting=replace(scene.setting, shift=(3.0, 0.0)))
    assert difference(pictures[0], away) == float("inf")
