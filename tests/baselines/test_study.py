"""What the baselines' notebooks show and conclude: of the runs' logs, of samples, of the number of drawings."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from comics_genai import environment, world
from comics_genai.baselines import cost, ddpm, gan, plots, runs, scaling, study, white_paper
from comics_genai.plotting import figures
from comics_genai.sampling.records import read_record
from comics_genai.training.loop import LoopSettings

TINY = ddpm.DdpmSettings(size=8, channels=(32,), layers=1, timesteps=20, sampling=ddpm.DdpmSampling(steps=5))


@pytest.fixture(scope="module")
def unicorn_girl() -> study.Study:
    return study.Study.of(environment.data() / "unicorn_girl", 32)


def test_a_known_character_comes_with_true_drawings_in_other_poses(unicorn_girl):
    assert unicorn_girl.character == world.UNICORN_GIRL and unicorn_girl.drawings.shape == (6, 3, 32, 32)
    assert unicorn_girl.held_out.shape == (48, 3, 32, 32)
    assert 0.05 < unicorn_girl.threshold < 0.12
    drawn, true = unicorn_girl.diversities().values()
    assert 0.1 < drawn < 0.4 and 0.1 < true < 0.4


def test_samples_that_are_the_drawings_are_called_copies(unicorn_girl, tmp_path):
    samples = unicorn_girl.references + unicorn_girl.references[:2]
    scores = study.conclude(unicorn_girl, samples, "copier", tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    rows = {row["name"]: row for row in scores["rows"]}
    assert list(rows) == ["copier", study.CEILING, study.FLOOR]
    assert rows["copier"]["copied"]["mean"] == 1 and rows["copier"]["novel"]["mean"] == 0
    assert rows[study.CEILING]["copied"]["mean"] <= 0.05
    assert rows[study.FLOOR]["identity"]["mean"] < 0.3 < rows[study.CEILING]["identity"]["mean"]
    assert scores["summary"]["copier"]["pose_coverage"] <= 6 / 240
    records = [json.loads(line) for line in (tmp_path / "metadata.jsonl").read_text().splitlines()]
    assert [record["file_name"] for record in records] == [f"{i:02d}.png" for i in range(study.KEPT)]
    assert read_record(tmp_path / "03.png") == records[3] and records[3]["model"] == "copier"
    assert (tmp_path / scores["contact_sheet"]).exists()
    words = study.conclusion(scores)
    assert "Of 8 samples of the copier **100%** copy a drawing, and **0%** show her" in words
    assert f"| {study.FLOOR} | " in words


def test_of_an_unknown_character_only_the_diversity_is_told(character_folder, tmp_path):
    unknown = study.Study.of(character_folder, 32)
    assert (unknown.character, unknown.held_out, unknown.threshold) == (None, None, None)
    scores = study.conclude(unknown, unknown.references, "copier", tmp_path)
    assert scores["rows"] == [] and list(unknown.diversities()) == ["the drawings"]
    assert scores["summary"]["copier"]["diversity"] == unknown.diversities()["the drawings"]
    assert "nobody of the comic world" in study.conclusion(scores)


def test_the_judges_overfitting_is_told_of_its_last_validation():
    row = {"validation_accuracy_drawings": 1.0, "validation_accuracy_generated": 0.5, "validation_r_v": 0.75}
    rows = [{"step": i, **row, "validation_accuracy_held_out": i / 100} for i in (10, 20)] + [{"step": 30}]
    words = study.overfitting(rows)
    assert words.startswith("After 20 steps") and "**20%** of true drawings" in words and "**0.75**" in words
    assert study.overfitting([{"step": 30}]) == ""


def log(copied: list[float]) -> list[dict]:
    return [{"step": 10 * i, "validation_diversity": 0.2, "validation_copied": c} for i, c in enumerate(copied, 1)]


def test_memorisation_is_told_by_when_it_begins():
    words = plots.memorisation_in_words([{"step": 1, "loss": 1.0}, *log([0.0, 0.1, 0.6, 0.7])])
    assert words == (
        "the first copy by step 20, half of the samples by step 30, nine in ten in no step; "
        "at the end, step 40, **70%**."
    )
    assert plots.memorisation_in_words([{"step": 5, "validation_diversity": 0.1}]) == "not measured."


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


def test_a_run_of_another_length_differs_in_nothing_else():
    lasting = runs.lasting(gan.VERSION_1, 7, 3, size=32)
    assert (lasting.loop.steps, lasting.loop.validate_every, lasting.size) == (7, 3, 32)
    loop = replace(lasting.loop, steps=gan.VERSION_1.loop.steps, validate_every=gan.VERSION_1.loop.validate_every)
    assert replace(lasting, loop=loop, size=64) == gan.VERSION_1


def test_a_picture_is_drawn_as_if_it_had_been_changed_when_told_so():
    model = ddpm.build(replace(TINY, augment=0.5, loop=LoopSettings(steps=1))).eval()
    told = torch.tensor([[1.0, 0, 0, 0, 0, 0]]).expand(3, -1)
    plain, zeros, mirrored = (ddpm.sample(model, 3, 0, parameters=p) for p in (None, 0 * told, told))
    assert [p.tobytes() for p in plain] == [p.tobytes() for p in zeros]
    assert [p.tobytes() for p in plain] != [p.tobytes() for p in mirrored]


# White paper


def test_papers_are_black_grey_and_white_and_the_figure_is_the_same():
    pictures = white_paper.drawings_on_papers()
    assert pictures.shape == (18, 3, 32, 32)
    assert pictures[:3, :, 0, 0].mean(1).tolist() == pytest.approx([-1, 0, 1], abs=0.01)
    middle = pictures[:3, :, 14:18, 15:17]
    assert torch.equal(middle[0], middle[1]) and torch.equal(middle[0], middle[2])


def test_the_brightness_of_paper_is_of_what_surrounds_the_figure():
    grey = Image.new("RGB", (32, 32), (51, 51, 51))
    grey.paste((255, 255, 255), (4, 4, 28, 28))
    white = Image.new("RGB", (32, 32), "white")
    assert white_paper.paper_brightness(grey) == pytest.approx(0.2)
    words = white_paper.in_words([grey, white])
    assert words.startswith("50% white papers (among the drawings: 33%); brightness 0.20 to 1.00")
    curve, drawn = white_paper.plot({"with": [white, grey]}).axes[0].lines
    assert curve.get_ydata() == pytest.approx([0.2, 1.0]) and set(drawn.get_ydata()) == {0, 0.5, 1}


# The cost of a step


def test_a_step_costs_as_many_activations_as_there_are_pixels():
    images, loop = [Image.new("RGB", (32, 32), "white")], LoopSettings(steps=1)
    small, large = (cost.step_cost(replace(TINY, size=size, batch_size=2, loop=loop), images, 1) for size in (8, 32))
    assert small.parameters == large.parameters and small.seconds > 0
    assert 10 < large.activations / small.activations < 20
    # Of each weight itself and two moments; of gradients as many as are there at the peak.
    assert 12 * small.parameters <= small.peak - small.activations <= 16.1 * small.parameters
    lines = cost.table({"8 px": small, "32 px": large}).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| 8 px | ") and "× 1" in lines[2]


# The number of drawings


def test_larger_sets_hold_the_smaller_ones_and_begin_with_the_six(tmp_path):
    few, more = (scaling.scenes_of(world.UNICORN_GIRL, count) for count in (8, 12))
    assert tuple(few[:6]) == world.reference_scenes(world.UNICORN_GIRL) and more[:8] == few
    assert len({(scene.pose, scene.setting) for scene in more}) == 12
    drawn = scaling.drawings_of(world.UNICORN_GIRL, 8, tmp_path)
    kept = (tmp_path / scaling.DRAWN).stat().st_mtime_ns
    again = scaling.drawings_of(world.UNICORN_GIRL, 7, tmp_path)
    assert [p.tobytes() for p in again] == [p.tobytes() for p in drawn[:7]] and again[0].size == (32, 32)
    assert (tmp_path / scaling.DRAWN).stat().st_mtime_ns == kept


def test_the_curve_says_where_copies_end_and_new_drawings_begin():
    def row(copied: float, joint: float) -> dict:
        values = {"copied": copied, "novel": joint, "identity": 0.5}
        return {key: {"mean": v, "low": v, "high": v} for key, v in values.items()} | {"diversity": 0.2}

    points = [
        {"model": "DDPM 32", "drawings": count, **row(copied, joint)}
        for count, copied, joint in ((6, 1.0, 0.0), (60, 0.5, 0.0), (600, 0.0, 0.3))
    ]
    curve = {"steps": {"DDPM 32": 1000}, "points": points, "ceiling": row(0.01, 0.4)}
    words = scaling.conclusion(curve)
    assert "from 100% with 6 drawings to 0% with 600" in words
    assert "new pictures of her are most, 30%, with 600 drawings (true drawings at this size: 40%)" in words
    copies, joint, _ = scaling.plot(curve).axes
    assert copies.lines[0].get_ydata() == pytest.approx([100, 50, 0]) and joint.lines[1].get_ydata()[0] == 40
    assert "no copy is no success" not in words
    points[2] |= row(0.0, 0.0)
    points[2]["identity"] = {"mean": 0.2, "low": 0.2, "high": 0.2}
    words = scaling.conclusion(curve)
    assert "no number of drawings brings new pictures of her" in words and "With 600 drawings less than half" in words


def test_the_gan_is_that_of_its_notebook_and_the_ddpm_a_lighter_one_of_the_same_loss():
    assert scaling.GAN == replace(gan.VERSION_2, size=32)
    assert scaling.DDPM.loop.ema_decay == ddpm.SETTINGS_32_CPU.loop.ema_decay
    same = ("size", "schedule", "zero_terminal_snr", "min_snr_gamma", "dropout", "timesteps")
    assert [getattr(scaling.DDPM, name) for name in same] == [getattr(ddpm.SETTINGS_32_CPU, name) for name in same]
