"""More and more drawings."""

from dataclasses import replace

import pytest

from comics_genai import world
from comics_genai.baselines import ddpm, gan, scaling


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


def test_every_training_of_the_curve_is_listed_before_the_first_begins():
    steps = {"GAN version 2": 5, "DDPM 32": 7}
    found = [(type(each), each.loop.steps) for each in scaling.trainings(steps, (6, 9))]
    assert found == [(gan.GanSettings, 5)] * 2 + [(ddpm.DdpmSettings, 7)] * 2
