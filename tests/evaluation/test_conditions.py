"""Conditions share poses and seeds, keep every picture, and are scored where the truth is known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.bases.base import Base
from comics_genai.evaluation import comparison
from comics_genai.evaluation.conditions import Comparison, Condition, Poses, best_schedule
from comics_genai.sampling.generate import Sampling
from comics_genai.sampling.records import read_metadata
from tests.evaluation.test_comparison import drawings_of

FAST = Sampling(steps=2)


@pytest.fixture
def poses(tiny_sdxl, tiny_reader, tmp_path) -> Poses:
    drawings = drawings_of(world.reference_scenes(world.UNICORN_GIRL))
    return Poses(Base.load(tiny_sdxl), drawings, tmp_path, scenes=2, seeds=2, reader=tiny_reader)


def test_a_setting_is_varied_in_the_same_poses_and_scored(poses, girl_run):
    tuned = Condition("UnicornGirl, a girl", FAST, runs=(girl_run,))
    done = poses.vary("adapter_scale", tuned, (0.0, 1.0))
    rows = read_metadata(poses.folder)
    assert [(row["seed"], row["adapter_scale"]) for row in rows] == [(0, 0.0), (1, 0.0)] * 2 + [(0, 1.0), (1, 1.0)] * 2
    assert len({row["prompt"] for row in rows}) == 2 and all("UnicornGirl, a girl" in row["prompt"] for row in rows)
    assert {label: len(made) for label, made in done.pictures.items()} == {"0.0": 4, "1.0": 4}
    assert json.loads((poses.folder / "adapter_scale.json").read_text()) == done.scores
    assert [row["name"] for row in done.scores["rows"]] == ["0.0", "1.0"] and len(done.poses) == 4
    joint = {label: done.mean(label, "identity") * done.mean(label, "pose") for label in done.pictures}
    assert joint[done.best()] == max(joint.values())
    assert done.grid(side=32).size == (5 * 32, 111)  # two rows below heads of three lines
    assert len(done.lines("adapter_scale").axes[0].lines) == 4 and done.bars() is not None


def test_what_was_loaded_for_one_condition_is_gone_for_the_next(poses, girl_run):
    base, tuned = Condition("a girl", FAST), Condition("a girl", FAST, runs=(girl_run,))
    done = poses.compare("sides", {"base": base, "tuned": tuned, "half": replace(tuned, weights=(0.5,))})
    again = poses.compare("again", {"base": base})
    assert [np.array_equal(a, b) for a, b in zip(done.pictures["base"], again.pictures["base"], strict=True)] == [
        True
    ] * 4
    assert {(row["adapter"], row["adapter_scale"]) for row in read_metadata(poses.folder)} == {
        (None, None), (girl_run.name, 1.0), (girl_run.name, 0.5)
    }  # fmt: skip


def test_attributes_are_scored_one_by_one_those_without_a_word_last(poses):
    careful = Condition(world.careful_subject(world.UNICORN_GIRL), FAST)
    done = poses.compare("careful", {"careful": careful}, bounds=True)
    assert list(done.pictures) == ["careful", comparison.CEILING, comparison.FLOOR]
    assert done.mean(comparison.CEILING, "copied") >= 0 and done.interval("careful", "pose").endswith("]")
    assert poses.words()[:2] == ["pale skin", "long pink hair"] and "marking" in poses.unsaid()
    # Her dress is turquoise, which has no name.
    assert "outfit color" in poses.unsaid() and "hair color" not in poses.unsaid()
    columns = list(poses.attributes(done).scores["columns"].values())
    assert columns == sorted(columns, key=lambda words: words.endswith("(no word)"))
    assert set(poses.attributes(done).scores["columns"]) == set(poses.reader.readable)


def test_of_a_stranger_nothing_is_scored(tiny_sdxl, tmp_path):
    drawings = drawings_of([world.sample_scene(seed) for seed in range(3)])
    done = Poses(Base.load(tiny_sdxl), drawings, tmp_path, 1, 1).vary("guidance", Condition("a girl", FAST), (1.0, 2.0))
    assert done.scores is None and done.lines("guidance") is None and done.bars() is None
    assert done.best() == "1.0" and math.isnan(done.mean("1.0", "identity"))


def scored(**identity: float) -> Comparison:
    """A comparison of labels with these identities, poses all right."""
    rows = [{"name": n.strip("_"), "identity": {"mean": v}, "pose": {"mean": 1.0}} for n, v in identity.items()]
    return Comparison(["standing"], {row["name"]: [] for row in rows}, {"rows": rows})


def test_the_best_schedule_is_named_with_the_best_of_fewest_steps():
    families = {"ddim": scored(_5=0.2, _25=0.6), "unipc": scored(_5=0.4, _25=0.5)}
    said = best_schedule(families)
    assert said == (
        "The best schedule is **ddim with 25 steps** (identity × pose 60%); in 5 steps the best is unipc (40%)."
    )
    assert best_schedule({"unipc": scored(_5=0.4, _25=0.3)}).endswith("no other needs fewer steps.")
    assert "judge the rows by eye" in best_schedule({"ddim": replace(scored(_5=0.1), scores=None)})
