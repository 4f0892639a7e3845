"""Ways to draw share poses and seeds, keep every picture, and are scored where the truth is known."""

import ast
import json
import math
from dataclasses import replace

import nbformat
import numpy as np
import pytest

from comics_genai import environment, world
from comics_genai.bases.adapters import run_settings
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.evaluation import comparison
from comics_genai.evaluation.sweep import Poses, Way
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.notebooks.execute import parameters_of
from comics_genai.notebooks.trained_run import NOTEBOOKS, notebook_settings, ready
from comics_genai.sampling.generate import Sampling
from comics_genai.sampling.records import read_metadata
from tests.evaluation.test_comparison import drawings_of
from tests.notebooks.test_demo import notebook

FAST = Sampling(steps=2)


@pytest.fixture
def poses(tiny_sdxl, tiny_scorer, tmp_path) -> Poses:
    drawings = drawings_of(world.reference_scenes(world.UNICORN_GIRL))
    return Poses(Base.load(tiny_sdxl), drawings, tmp_path, scenes=2, seeds=2, scorer=tiny_scorer)


def test_a_setting_is_varied_in_the_same_poses_and_scored(poses, girl_run):
    way = Way("UnicornGirl, a girl", FAST, runs=(girl_run,))
    done = poses.vary("strength", way, (0.0, 1.0))
    rows = read_metadata(poses.folder)
    assert [(row["seed"], row["strength"]) for row in rows] == [(0, 0.0), (1, 0.0)] * 2 + [(0, 1.0), (1, 1.0)] * 2
    assert len({row["prompt"] for row in rows}) == 2 and all("UnicornGirl, a girl" in row["prompt"] for row in rows)
    assert {label: len(made) for label, made in done.pictures.items()} == {"0.0": 4, "1.0": 4}
    assert json.loads((poses.folder / "strength.json").read_text()) == done.scores
    assert [row["name"] for row in done.scores["rows"]] == ["0.0", "1.0"] and len(done.poses) == 4
    joint = {label: done.mean(label, "identity") * done.mean(label, "pose") for label in done.pictures}
    assert joint[done.best()] == max(joint.values())
    assert done.grid(side=32).size == (5 * 32, 111)  # two rows below heads of three lines
    assert len(done.lines("strength").axes[0].lines) == 4 and done.bars() is not None


def test_what_was_loaded_for_one_way_is_gone_for_the_next(poses, girl_run):
    base, tuned = Way("a girl", FAST), Way("a girl", FAST, runs=(girl_run,))
    done = poses.compare("sides", {"base": base, "tuned": tuned, "half": replace(tuned, weights=(0.5,))})
    again = poses.compare("again", {"base": base})
    assert [np.array_equal(a, b) for a, b in zip(done.pictures["base"], again.pictures["base"], strict=True)] == [
        True
    ] * 4
    assert {(row["adapter"], row["strength"]) for row in read_metadata(poses.folder)} == {
        (None, None), (girl_run.name, 1.0), (girl_run.name, 0.5)
    }  # fmt: skip


def test_attributes_are_scored_one_by_one_those_without_a_word_last(poses):
    done = poses.compare("careful", {"careful": Way(world.careful_subject(world.UNICORN_GIRL), FAST)}, bounds=True)
    assert list(done.pictures) == ["careful", comparison.CEILING, comparison.FLOOR]
    assert done.mean(comparison.CEILING, "copied") >= 0 and done.interval("careful", "pose").endswith("]")
    assert poses.words()[:2] == ["pale skin", "long pink hair"] and "marking" in poses.unsaid()
    # Her dress is turquoise, which has no name.
    assert "outfit color" in poses.unsaid() and "hair color" not in poses.unsaid()
    columns = list(poses.attributes(done).scores["columns"].values())
    assert columns == sorted(columns, key=lambda words: words.endswith("(no word)"))
    assert set(poses.attributes(done).scores["columns"]) == set(poses.scorer.readable)


def test_of_a_stranger_nothing_is_scored(tiny_sdxl, tmp_path):
    drawings = drawings_of([world.sample_scene(seed) for seed in range(3)])
    done = Poses(Base.load(tiny_sdxl), drawings, tmp_path, 1, 1).vary("guidance", Way("a girl", FAST), (1.0, 2.0))
    assert done.scores is None and done.lines("guidance") is None and done.bars() is None
    assert done.best() == "1.0" and math.isnan(done.mean("1.0", "identity"))


def test_the_settings_are_those_of_the_training_notebook():
    settings = {method: notebook_settings(method) for method in NOTEBOOKS}
    for method, path in NOTEBOOKS.items():
        cells = nbformat.read(environment.root() / path, 4).cells
        source = next(cell.source for cell in cells if "FinetuneSettings(\n" in cell.source)
        call = next(
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FinetuneSettings"
        )
        values = parameters_of(environment.root() / path) | {
            k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)
        }
        # What the notebook computes from the machine or from the drawings.
        computed = {"drawings", "precision", "validation_prompts"}
        given = {k.arg: values[k.arg] for k in call.keywords if k.arg not in computed}
        assert replace(FinetuneSettings(**given), drawings=settings[method].drawings) == settings[method]
    assert settings["dreambooth"].learning_rate < settings["lora"].learning_rate
    assert settings["dreambooth-lora"].lora_targets == "all"


def test_a_run_is_trained_once_and_then_taken(girl, tiny_sdxl, tmp_path, monkeypatch, capsys):
    (tmp_path / "1_data").symlink_to(environment.data())
    monkeypatch.setattr("comics_genai.environment.root", lambda: tmp_path)
    for name in NOTEBOOKS.values():
        (tmp_path / name).parent.mkdir(parents=True)
        notebook(tmp_path / name, f"run = 'x'\ndrawings_source, base = {str(girl)!r}, {str(tiny_sdxl)!r}\nsteps = 300")
    changes = {"steps": 1, "batch_size": 2, "variants": 1, "warmup_steps": 0}
    folder = ready("girl", "lora", **changes)
    assert "was trained as in 4_finetuning/lora/LoRA.ipynb" in capsys.readouterr().out
    assert run_settings(folder)["steps"] == 1 and run_settings(folder)["method"] == "lora"
    assert len(run_settings(folder)["validation_prompts"]) == 8
    assert ready("girl", "lora") == folder and "holds a finished run" in capsys.readouterr().out
    assert ready("someone/hers", "lora") == "someone/hers"


def test_parameters_are_read_as_literals(tmp_path):
    path = notebook(tmp_path / "job.ipynb", "a, b = 1, 'x'  # two\nc = (0.5, 2)\nd = {'k': [1]}")
    assert parameters_of(path) == {"a": 1, "b": "x", "c": (0.5, 2), "d": {"k": [1]}}
    with pytest.raises(UserError, match="absent.ipynb is missing or has no cell tagged parameters"):
        parameters_of(tmp_path / "absent.ipynb")
