"""The test of a fine-tuning: known characters are scored between floor and ceiling, others are only drawn."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image

from comics_genai import score, trial, world
from comics_genai.base import Base
from comics_genai.drawings import Drawing
from comics_genai.generate import Sampling, read_metadata
from comics_genai.judge import Judge, judge_of
from comics_genai.training_data import as_seen

FAST = Sampling(steps=2)


def drawings_of(scenes) -> list[Drawing]:
    return [Drawing(f"{i}.png", world.draw(scene, 64), "") for i, scene in enumerate(scenes)]


def test_a_known_character_is_drawn_five_ways_and_scored(girl_run, tiny_sdxl, tiny_scorer, tmp_path):
    base = Base.load(tiny_sdxl)
    drawings = drawings_of(world.reference_scenes(world.UNICORN_GIRL))
    test = trial.draw(base, girl_run, drawings, tmp_path, scenes=2, seeds=2, sampling=FAST)
    assert {name: len(made) for name, made in test.pictures.items()} == {
        trial.TUNED: 4, trial.BOTH: 4, trial.SAME: 4, trial.CAREFUL: 4
    }  # fmt: skip
    told = {row["prompt"] for row in read_metadata(tmp_path / "finetuned")}
    assert told == {row["prompt"] for row in read_metadata(tmp_path / "base_same_prompt")} and len(told) == 2
    assert all("UnicornGirl, a girl" in prompt for prompt in told)
    assert all("UnicornGirl" not in row["prompt"] for row in read_metadata(tmp_path / "base_careful_prompt"))
    both = {row["prompt"] for row in read_metadata(tmp_path / "finetuned_careful_prompt")}
    assert all("UnicornGirl, a girl with " in prompt for prompt in both) and len(both) == 2
    scores = trial.scored(test, base, tiny_scorer)
    assert [row["name"] for row in scores["rows"]] == [
        trial.TUNED, trial.BOTH, trial.SAME, trial.CAREFUL, trial.CEILING, trial.FLOOR
    ]  # fmt: skip
    assert json.loads((tmp_path / trial.SCORES).read_text()) == scores
    assert test.contact_sheet().size == PIL.Image.open(tmp_path / trial.SHEET).size
    mean = {row["name"]: row["identity"]["mean"] for row in scores["rows"]}
    said = trial.conclusion(scores, 2)
    assert f"**{mean[trial.TUNED]:.0%}** of her" in said and f"{mean[trial.CAREFUL]:.0%} for the careful" in said


def test_drawings_of_a_stranger_are_drawn_but_not_scored(girl_run, tiny_sdxl, tmp_path):
    base = Base.load(tiny_sdxl)
    drawings = drawings_of([world.sample_scene(seed) for seed in range(3)])
    test = trial.draw(base, girl_run, drawings, tmp_path, scenes=2, seeds=1, sampling=FAST)
    assert test.pictures.keys() == {trial.TUNED, trial.SAME} and test.scenes == []
    assert trial.scored(test, base) is None and not (tmp_path / trial.SCORES).exists()
    assert "nothing is measured" in trial.conclusion(None, 2)


def test_poses_of_the_test_are_not_those_a_checkpoint_is_chosen_by():
    girl = world.UNICORN_GIRL
    judge = judge_of(drawings_of(world.reference_scenes(girl)), "UnicornGirl", "girl", prompts=8)
    assert len(judge.prompts) == 8 and judge.character == girl
    asked = {replace(scene.pose, expression="", jitter=()) for scene in judge.scenes}
    measured = {replace(scene.pose, expression="", jitter=()) for scene in trial.posed_scenes(girl, 24)}
    assert not asked & measured


def test_a_judge_likes_true_drawings_better_than_copies_and_strangers():
    girl = world.UNICORN_GIRL
    references = [world.draw(scene) for scene in world.reference_scenes(girl)]
    judge = Judge(girl, references, "UnicornGirl", "girl", prompts=6)
    true = judge(1, [world.draw(scene) for scene in judge.scenes])
    copies = judge(2, references)
    strangers = judge(3, score.other_character_renders(judge.scenes))
    assert true["score"] > 0.6 and true["score"] > 1.5 * strangers["score"]
    assert copies["copied"] == 1 and copies["score"] == 0 and copies["identity"] > 0.6
    nobody = Judge(None, references, "Hoo", "owl")
    assert nobody(1, references) == {} and "Hoo, an owl" in nobody.prompts[0]


def test_what_the_base_sees_is_the_whole_drawing(tiny_sdxl):
    wide = Drawing("wide.png", PIL.Image.fromarray(np.full((40, 80, 3), 200, np.uint8)), "")
    assert [picture.size for picture in as_seen(Base.load(tiny_sdxl), [wide])] == [(32, 32)]
