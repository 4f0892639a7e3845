"""What models from scratch are held against."""

import json
from dataclasses import replace

import pytest
import torch

from comics_genai import environment, world
from comics_genai.baselines import ddpm, gan, plots, runs, study
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
    told = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [line["file_name"] for line in told] == [record["file_name"] for record in records]
    assert all(line["scores"]["copied"] and "left_arm" not in line["scores"]["right"] for line in told)
    assert (tmp_path / scores["contact_sheet"]).exists()
    words = study.conclusion(scores)
    assert "Of 8 samples of the copier **100%** copy a drawing, and **0%** show her" in words
    assert f"| {study.FLOOR} | " in words


def test_of_an_unknown_character_only_the_diversity_is_told(character_folder, tmp_path):
    unknown = study.Study.of(character_folder, 32)
    assert (unknown.character, unknown.held_out, unknown.threshold) == (None, None, None)
    scores = study.conclude(unknown, unknown.references, "copier", tmp_path)
    assert not (tmp_path / "scores.jsonl").exists()
    assert scores["rows"] == [] and list(unknown.diversities()) == ["the drawings"]
    assert scores["summary"]["copier"]["diversity"] == unknown.diversities()["the drawings"]
    assert "nobody of the comic world" in study.conclusion(scores)


def test_the_discriminators_overfitting_is_told_of_its_last_validation():
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
