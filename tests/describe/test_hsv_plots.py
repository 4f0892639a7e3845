"""Figures of hue, saturation and value say what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from comics_genai.describe import hsv, hsv_plots

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def pixels(set_of) -> dict[str, np.ndarray]:
    return {study.label: study.character for study in set_of}


def test_the_area_of_a_wedge_is_its_share(pixels, tmp_path):
    figure = hsv_plots.hue_roses(pixels)
    for axis, part in zip(figure.axes, pixels.values(), strict=False):
        heights = np.array([bar.get_height() for bar in axis.patches])
        assert heights**2 == pytest.approx(hsv.hue_histogram(hsv.hsv(part)))
    figure.savefig(tmp_path / "roses.png", dpi=40)


def test_violins_bear_flat_colours(pixels, tmp_path):
    figure = hsv_plots.saturation_and_value(pixels)
    assert [axis.get_title("left") for axis in figure.axes] == ["Saturation", "Value"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(pixels)
    figure.savefig(tmp_path / "violins.png", dpi=40)


def test_the_cylinder_has_a_dot_for_every_colour(pixels, tmp_path):
    figure = hsv_plots.cylinder(pixels)
    for axis, part in zip(figure.axes, pixels.values(), strict=True):
        assert len(axis.collections[0].get_offsets()) == len(np.unique(hsv_plots.sample([part], 2500), axis=0))
    figure.savefig(tmp_path / "cylinder.png", dpi=40)


def test_warm_cool_and_grey_fill_the_bar(pixels, tmp_path):
    figure = hsv_plots.warm_and_cool({name: hsv.summary(part) for name, part in pixels.items()})
    widths = np.array([bar.get_width() for bar in figure.axes[0].patches]).reshape(3, len(pixels))
    assert widths.sum(0) == pytest.approx(100)
    figure.savefig(tmp_path / "warm.png", dpi=40)


def test_a_drawing_that_disagrees_lies_beyond_the_dashed_line(girl, set_of, tmp_path):
    odd = [*girl[:-1], replace(girl[-1], colors=hsv.turned(girl[-1].colors, 120))]
    axis = hsv_plots.disagreement(odd).axes[0]
    limit = next(line for line in axis.lines if line.get_linestyle() == "--").get_xdata()[0]
    values = axis.collections[-1].get_offsets()[:, 0]
    assert values[-1] > limit > max(values[:-1])
    hsv_plots.disagreement(set_of).savefig(tmp_path / "disagreement.png", dpi=40)
