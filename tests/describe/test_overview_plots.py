"""Figures of the overview say what was measured."""

import numpy as np
import pytest

from comics_genai.describe import coverage, overview, overview_plots

pytestmark = pytest.mark.filterwarnings("error")


def test_framing_names_each_drawing_and_its_characters_share(set_of, tmp_path):
    figure = overview_plots.framing(set_of)
    titles = [axis.get_title("left") for axis in figure.axes if axis.get_title("left")]
    assert titles == [f"{study.label}: {overview.framing(study).character:.0%}" for study in set_of]
    figure.savefig(tmp_path / "framing.png", dpi=40)


def test_likeness_shows_both_matrices_with_their_numbers(set_of, tmp_path):
    figure = overview_plots.likeness(set_of)
    for axis, matrix in zip(figure.axes, (overview.layout_similarity(set_of), overview.color_similarity(set_of)),
                            strict=False):  # fmt: skip
        assert [text.get_text() for text in axis.texts] == [f"{value:.2f}" for value in matrix.ravel()]
    figure.savefig(tmp_path / "likeness.png", dpi=40)


def test_the_mean_stands_beside_the_map_of_variation(set_of, tmp_path):
    figure = overview_plots.mean_and_variation(set_of)
    assert [axis.get_title("left") for axis in figure.axes[:2]] == [f"Mean of the {len(set_of)} drawings", "Variation"]
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), overview.variation(set_of))
    figure.savefig(tmp_path / "mean.png", dpi=40)


def test_coverage_counts_what_captions_say_and_hatches_the_rest(set_of, tmp_path):
    figure = overview_plots.coverage(coverage.coverage([study.caption for study in set_of]))
    said = [text.get_text().split("\n") for text in figure.axes[0].texts]
    assert ["rain or snow", str(len(set_of))] in said and ["sitting", "never"] in said
    hatched = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert len(hatched) == sum(words[-1] == "never" for words in said)
    figure.savefig(tmp_path / "coverage.png", dpi=40)
