"""Figures of the baselines."""

import numpy as np
import pytest
import torch
from PIL import Image

from comics_genai.baselines import ddpm, plots
from comics_genai.plotting import figures

TINY = ddpm.DdpmSettings(size=8, channels=(32,), layers=1, timesteps=20, sampling=ddpm.DdpmSampling(steps=5))


def log(copied: list[float]) -> list[dict]:
    return [{"step": 10 * i, "validation_diversity": 0.2, "validation_copied": c} for i, c in enumerate(copied, 1)]


def test_memorisation_is_drawn_in_percent_with_an_interval_that_holds_it():
    left, right = plots.memorisation(log([0.0, 0.5, 1.0]), 36, {"the drawings": 0.21}).axes
    assert left.lines[0].get_ydata() == pytest.approx([0, 50, 100])
    (band,) = left.collections
    edges = band.get_paths()[0].vertices
    assert edges[edges[:, 0] == 20, 1].min() == pytest.approx(34, abs=4)
    assert edges[edges[:, 0] == 20, 1].max() == pytest.approx(66, abs=4)
    assert right.lines[1].get_ydata()[0] == 0.21


def test_samples_over_steps_stand_under_the_drawings(tmp_path):
    for name, color in (("drawings", "red"), ("step_000010", "blue"), ("step_000020", "lime")):
        figures.save_grid([Image.new("RGB", (16, 16), color)] * 8, tmp_path / "samples" / f"{name}.png", 6)
    sheet = plots.over_steps(tmp_path, side=32)
    assert sheet.size == (7 * 32, 3 * 32)
    column = [sheet.getpixel((6 * 32 + 16, 16 + 32 * row)) for row in range(3)]
    assert column == [(255, 0, 0), (0, 0, 255), (0, 255, 0)]


def test_curves_put_each_figure_into_its_panel():
    rows = [{"step": i, "loss": float(i), "validation_copied": i / 10 if i % 5 == 0 else None} for i in range(1, 11)]
    panels = {"Loss": {"loss": "L"}, "Copies": {"validation_copied": "36 samples"}}
    loss, copies = plots.curves(rows, panels, {"Copies": {"true": 0.01}}, ("Loss",)).axes
    assert loss.get_yscale() == "log" and list(loss.lines[0].get_ydata()) == list(map(float, range(1, 11)))
    assert list(copies.lines[0].get_xdata()) == [5, 10] and copies.lines[1].get_ydata()[0] == 0.01
    assert copies.get_ylim()[1] == pytest.approx(1.03)


def test_overfitting_sets_two_runs_side_by_side():
    rows = [
        {"step": 10, "validation_accuracy_drawings": 1.0, "validation_accuracy_held_out": 0.25, "validation_r_v": r}
        for r in (0.5, 0.9)
    ]
    first, second, both = plots.overfitting({"version 1": rows, "version 2": rows[:1]}).axes
    assert (first.get_title("left"), second.get_title("left")) == ("version 1", "version 2")
    assert list(first.lines[1].get_ydata()) == [25, 25]
    assert list(both.lines[0].get_ydata()) == [0.5, 0.9] and list(both.lines[1].get_ydata()) == [0.5]


def test_the_forward_process_begins_with_the_drawing_and_ends_in_noise():
    pictures = torch.stack([torch.full((3, 8, 8), -1.0), torch.full((3, 8, 8), 1.0)])
    sheet = np.asarray(plots.forward_process(pictures, {"a": TINY, "b": TINY}, columns=3, side=32), np.int16)
    dark, white = sheet[-64:-32], sheet[-32:]  # below the heads
    assert dark[:, 32:64].max() == 0 and white[:, 32:64].min() == 255
    assert np.abs(dark[:, 96:] - white[:, 96:]).max() <= 1  # the same noise, and nothing of the picture
    alpha_bar, snr, weight = plots.schedules({"a": TINY}).axes
    assert alpha_bar.lines[0].get_ydata()[-1] == 0 and weight.lines[0].get_ydata()[-1] == 1
