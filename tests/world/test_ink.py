"""Curves, ellipses and the pen's lines."""

import numpy as np
import pytest

from comics_genai.world import ink


def test_splines_go_through_their_points():
    points = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
    closed, open_ = ink.closed(points, 6), ink.curve(points, 6)
    assert closed.shape == (24, 2) and open_.shape == (19, 2)
    np.testing.assert_allclose(closed[::6], points)
    np.testing.assert_allclose(open_[::6], points)


def test_a_straight_line_stays_straight():
    np.testing.assert_allclose(ink.curve([(0, 0), (1, 1), (2, 2)], 4)[:, 0], np.linspace(0, 2, 9))


def test_an_ellipse_has_its_radii_and_tilts():
    flat = ink.ellipse((5, 5), 4, 2, 360)
    assert np.ptp(flat[:, 0]) == pytest.approx(8) and np.ptp(flat[:, 1]) == pytest.approx(4)
    upright = ink.ellipse((5, 5), 4, 2, 360, tilt=90)
    assert np.ptp(upright[:, 0]) == pytest.approx(4) and np.ptp(upright[:, 1]) == pytest.approx(8)


def test_a_rotation_turns_anticlockwise():
    np.testing.assert_allclose(np.array([1.0, 0.0]) @ ink.rotation(90), [0, 1], atol=1e-12)


def test_a_limb_is_as_wide_as_its_radii():
    outline = ink.limb([(0, 0), (0, 10), (0, 20)], [2, 2, 2])
    assert np.abs(outline[:, 0]).max() == pytest.approx(2, abs=0.05)
    assert outline[:, 1].min() == 0 and outline[:, 1].max() == pytest.approx(22, abs=0.1)  # round at its end
