"""Colours, their names and CIELAB."""

import numpy as np

from comics_genai import world
from comics_genai.world.color import NAMES, SKIN_NAMES, color_name, lab, sample_color, skin_name, skin_tone


def test_colors_are_named_exactly_inside_their_ranges():
    rng = np.random.default_rng(1)
    names = [color_name(sample_color(rng, named=1.0)) for _ in range(500)]
    assert None not in names and set(names) == set(NAMES)
    assert color_name((182, 0.62, 0.74)) is None
    assert skin_name(skin_tone(0.1)) == "pale" and skin_name(skin_tone(0.9)) == "brown"
    assert skin_name((200.0, 0.3, 0.9)) is None


def test_every_word_is_the_nearest_to_its_own_colors():
    rng = np.random.default_rng(0)
    for name, ranges in NAMES.items():
        inside = [lab((rng.uniform(*ranges[0]) % 360, *(rng.uniform(*ends) for ends in ranges[1:]))) for _ in "ab"]
        assert world.nearest_name(np.array(inside)) == [name, name]
    for name, ends in SKIN_NAMES.items():
        assert world.nearest_name(np.array([lab(skin_tone(sum(ends) / 2))]), skin=True) == [name]


def test_lab_agrees_with_scikit_image():
    from skimage.color import rgb2lab

    from comics_genai.world.color import rgb

    for hsv in ((0.0, 0.9, 0.9), (182.0, 0.62, 0.74), (50.0, 0.65, 0.98), (0.0, 0.0, 1.0)):
        assert np.allclose(lab(hsv), rgb2lab(np.array(rgb(hsv)) / 255), atol=0.15)
