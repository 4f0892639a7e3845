"""Figures of palettes say what was measured."""

import numpy as np
import pytest

from comics_genai.describe import clusters, palette, palette_plots
from comics_genai.world.color_difference import lab_of_srgb

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def whole(set_of) -> np.ndarray:
    return palette.sample([study.colors for study in set_of])


def test_the_elbow_names_its_k(whole, tmp_path):
    curve = clusters.errors(lab_of_srgb(whole), most=4)
    figure = palette_plots.elbow({"all": (curve, 5.0)})
    k = clusters.choose_k(curve, 5.0)
    assert f"all: k = {k}, at most 5" in figure.axes[0].get_legend_handles_labels()[1]
    figure.savefig(tmp_path / "elbow.png", dpi=40)


def test_swatches_and_rows_are_the_palettes_colours_in_proportion(set_of, whole, tmp_path):
    colors = palette.palette(whole)
    figure = palette_plots.swatches(colors)
    assert [text.get_text() for text in figure.axes[0].texts] == [f"{c.hex}\n{c.share:.1%}" for c in colors]
    widths = [patch.get_width() for patch in figure.axes[1].patches[:-1]]
    assert widths == pytest.approx([color.share for color in colors])
    rows = palette_plots.palette_rows(set_of, {study.name: colors for study in set_of})
    assert [axis.get_title("left") for axis in rows.axes[1::2]] == [study.label for study in set_of]
    figure.savefig(tmp_path / "swatches.png", dpi=40)
    rows.savefig(tmp_path / "rows.png", dpi=40)


def test_an_empty_background_has_no_bar(whole, tmp_path):
    figure = palette_plots.character_and_background({"character": palette.palette(whole), "background": []})
    assert [axis.get_title("left") for axis in figure.axes] == ["character"]
    figure.savefig(tmp_path / "parts.png", dpi=40)


def test_histograms_are_shares_of_the_pixels(set_of, tmp_path):
    figure = palette_plots.rgb_histograms(set_of)
    for axis in figure.axes:
        lines = [patch.get_data().values for patch in axis.patches if not patch.get_fill()]
        assert len(lines) == 3 and [line.sum() for line in lines] == pytest.approx([100] * 3)
    figure.savefig(tmp_path / "histograms.png", dpi=40)


def test_identity_marks_the_colours_that_vary_and_where_they_are_absent(set_of, tmp_path):
    colors = palette.character_colors(set_of)
    figure = palette_plots.identity(colors, [study.label for study in set_of])
    said = [text.get_text() for text in figure.axes[0].texts]
    assert [word for word in said if word != "varies"] == [color.hex for color in colors]
    assert said.count("varies") == sum(not color.is_identity for color in colors)
    assert len(figure.axes[0].collections) == len(colors) * len(set_of)
    figure.savefig(tmp_path / "identity.png", dpi=40)


def test_contrast_and_distances_show_every_drawing(set_of, tmp_path):
    contrasts = {study.label: palette.contrast(study) for study in set_of}
    figure = palette_plots.contrast(contrasts)
    shown = figure.axes[0].lines[0].get_xdata()
    assert list(shown) == pytest.approx([found.lightness for found in contrasts.values()])
    left_out = list(palette.left_out_distances(set_of).values())
    below = palette_plots.distances({"left out": left_out})
    assert list(below.axes[0].lines[0].get_xdata()) == pytest.approx(left_out)
    assert below.axes[0].lines[1].get_xdata()[0] == pytest.approx(np.mean(left_out))
    figure.savefig(tmp_path / "contrast.png", dpi=40)
    below.savefig(tmp_path / "distances.png", dpi=40)
