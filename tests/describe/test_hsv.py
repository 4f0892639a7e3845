"""Hue, saturation, value, and the drawing that disagrees."""

from dataclasses import replace

import numpy as np
import pytest

from comics_genai.describe import hsv


def test_hsv_of_known_colours():
    pixels = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 128], [128, 128, 128]], np.uint8)
    values = hsv.hsv(pixels)
    assert values[:3, 0] == pytest.approx([0, 120, 240])
    assert values[:, 1] == pytest.approx([1, 1, 1, 0])
    assert values[2, 2] == pytest.approx(128 / 255)
    assert np.array_equal(hsv.turned(pixels[:1], 120), pixels[1:2])


def test_warm_cool_and_grey_shares():
    pixels = np.array([[255, 120, 0]] * 5 + [[0, 120, 255]] * 3 + [[90, 90, 90]] * 2, np.uint8)
    found = hsv.summary(pixels)
    assert (found.warm, found.cool, found.grey) == pytest.approx((0.5, 0.3, 0.2))


def test_the_mean_hue_goes_around_the_circle():
    found = hsv.summary(np.array([[255, 0, 43], [255, 43, 0]], np.uint8))  # 350 and 10 degrees
    assert min(found.hue, 360 - found.hue) < 0.5
    assert np.isnan(hsv.summary(np.full((4, 3), 80, np.uint8)).hue)


def test_the_hue_distance_is_the_angle_of_a_turn_the_short_way_around():
    first = np.zeros(36)
    first[35] = 0.4
    assert hsv.hue_distance(first, np.roll(first, 3)) == pytest.approx(30)
    assert hsv.hue_distance(first, np.roll(first, 33)) == pytest.approx(30)
    assert np.isnan(hsv.hue_distance(first, np.zeros(36)))


def test_the_drawing_whose_colours_disagree_is_named(girl):
    assert hsv.outliers(girl) == []
    odd = replace(girl[3], colors=hsv.turned(girl[3].colors, 120))
    named = hsv.outliers([*girl[:3], odd, *girl[4:]])
    assert {(one.drawing, one.what) for one in named} == {("03.png", "hue")}
    assert str(named[0]).startswith("03.png disagrees in hue: ")


def test_a_grey_drawing_among_coloured_ones_disagrees_in_saturation(girl):
    grey = replace(girl[0], colors=np.asarray(girl[0].image.convert("L").convert("RGB")))
    assert ("00.png", "saturation") in {(one.drawing, one.what) for one in hsv.outliers([grey, *girl[1:]])}


def test_two_drawings_have_no_rest_to_disagree_with(girl):
    assert hsv.outliers([girl[0], replace(girl[1], colors=255 - girl[1].colors)]) == []
