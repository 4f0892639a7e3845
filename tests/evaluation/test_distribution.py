import math

import numpy as np
import PIL.Image
import pytest

from comics_genai.evaluation.distribution import diversity, kernel_distance, palette_distance, reader_features


def test_the_kernel_distance_is_unbiased_about_0_and_grows_with_the_shift():
    rng = np.random.default_rng(0)
    same = [kernel_distance(rng.normal(size=(60, 4)), rng.normal(size=(60, 4))) for _ in range(40)]
    assert abs(np.mean(same)) < 0.05 and min(same) < 0 < max(same)
    shifted = kernel_distance(rng.normal(size=(60, 4)), 1 + rng.normal(size=(60, 4)))
    assert shifted > 10 * np.std(same)
    # By hand: features of one dimension, (xy + 1)^3.
    first, second = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert kernel_distance(first, second) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_a_palette_is_colours_and_amounts_and_not_places():
    half = PIL.Image.new("RGB", (64, 64), "red")
    half.paste("blue", (0, 0, 32, 64))
    turned = half.rotate(90)
    red = PIL.Image.new("RGB", (64, 64), "red")
    places, amounts = palette_distance([turned, red], [half, half])
    assert places == pytest.approx(0, abs=1e-6) and amounts > 10


def test_diversity_is_within_a_prompt():
    red, white = PIL.Image.new("RGB", (64, 64), "red"), PIL.Image.new("RGB", (64, 64), "white")
    assert diversity([red, red, white, white], [0, 0, 1, 1]) == pytest.approx(0, abs=1e-3)
    assert diversity([red, white], [0, 0]) == pytest.approx(math.sqrt(2 / 3), rel=1e-3)
    assert math.isnan(diversity([red, white], [0, 1]))


def test_features_are_a_function_of_the_picture_alone(tiny_reader):
    rng = np.random.default_rng(0)
    pictures = [PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(3)]
    features = reader_features(pictures, tiny_reader)
    assert features.shape == (3, 24)  # three looks of 8
    assert np.allclose(reader_features(pictures[1:2], tiny_reader), features[1:2], atol=1e-5)
