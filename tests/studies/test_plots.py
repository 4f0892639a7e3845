import itertools

import numpy as np
import pytest

from comics_genai.evaluation.statistics import Interval
from comics_genai.studies.plots import _errors, by_attribute, curves, heat_map, identity_against_pose
from comics_genai.studies.summary import curve_of, grouped
from tests.studies.test_summary import row, study


def test_curves_have_a_line_a_method_in_percent():
    rows = [row(method, c, joint, rank=rank, prior_drift=0.2) for method in ("lora", "dreambooth")
            for rank, joint in ((4, [0, 0]), (16, [1, 0])) for c in range(2)]  # fmt: skip
    figure = curves(curve_of(rows, "finetune.rank"), "rank", ("joint_success", "prior_drift"))
    joint, drift = figure.axes
    assert [line.get_label() for line in joint.lines] == ["lora", "dreambooth"]
    assert joint.lines[0].get_ydata() == pytest.approx([0, 50])
    assert drift.lines[1].get_ydata() == pytest.approx([0.2, 0.2])


def test_a_heat_map_has_a_cell_a_pair_of_settings():
    groups = {(rate, rank): grouped([row("lora", 0, joint)])["lora"]
              for rate, rank, joint in ((1e-4, 4, [0, 0]), (1e-3, 4, [1, 1]), (1e-4, 16, [1, 0]))}  # fmt: skip
    values = heat_map(groups, "learning rate", "rank").axes[0].images[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(values, np.nan), [[0, 100], [50, np.nan]])


def test_groups_are_shown_by_identity_pose_and_attribute():
    groups = grouped(study([1, 1, 1, 0], [0, 0, 0, 0]))
    names = identity_against_pose(groups).axes[0].texts
    boxes = [name.get_window_extent() for name in names]
    assert len(names) == 3 and not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    np.testing.assert_allclose(np.asarray(by_attribute(groups).axes[0].images[0].get_array()), [[75, 0, 0]])


def test_a_mean_that_rounding_puts_beyond_its_interval_has_an_error_of_nothing():
    assert _errors(Interval(0.5, 0.5 + 1e-9, 0.75)) == [[0.0], [25.0]]
    assert _errors(Interval(0.5, 0.25, 0.5 - 1e-9)) == [[25.0], [0.0]]
