import json
from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.finetuning.left_out import LeftOutScore, choose_steps
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling


def test_the_drawing_itself_scores_best_and_a_copy_of_a_trained_one_nothing():
    drawn = [world.draw(scene, 64) for scene in world.reference_scenes(world.UNICORN_GIRL)]
    score = LeftOutScore(drawn[0], drawn[1:])
    assert score(0, [drawn[0]]) == {"score": pytest.approx(1, abs=0.01), "copied": 0}
    assert score(0, [drawn[3]]) == {"score": 0, "copied": 1}
    scene = world.reference_scenes(world.UNICORN_GIRL)[0]
    witch = world.draw(replace(scene, character=world.COMPANIONS[1]), 64)
    other = score(0, [witch])["score"]
    assert other < 0.9 < score(0, [drawn[0]])["score"]
    assert LeftOutScore(drawn[0], drawn[1:], lambda pictures, drawing: np.full(len(pictures), 7.0))(0, [witch]) == {
        "score": 7, "copied": 0}  # fmt: skip


def test_the_step_with_the_best_mean_over_the_left_out_is_chosen_and_trained_to(tiny_sdxl, character_folder, tmp_path):
    settings = FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), steps=4, batch_size=2, rank=2, variants=1, warmup_steps=0,
        sampling=Sampling(steps=1),
    )  # fmt: skip
    values = iter([0.1, 0.9, 0.5, 0.6])

    def likeness(pictures, drawing):
        return np.full(len(pictures), next(values))

    choice = choose_steps(settings, tmp_path / "out", 2, left_out=(0, 2), pictures=1, likeness=likeness)
    assert choice.step == 4 and choice.steps == (2, 4)
    assert json.loads((tmp_path / "out" / "left_out.json").read_text())["step"] == 4
    assert choice.curves.keys() == {0, 2} and choice.curves[0] == (0.1, 0.9)
    again = choose_steps(settings, tmp_path / "out", 2, left_out=(0, 2), pictures=1, likeness=likeness)
    assert again == choice
    assert choice.settings.left_out == () and finetune(choice.settings, tmp_path / "all").step == 4
    kept = json.loads((tmp_path / "out" / "without_2" / "settings.json").read_text())["finetune"]
    assert kept["left_out"] == [2] and kept["schedule"] == "constant"


def test_a_drawing_that_is_not_there_cannot_be_left_out(tiny_sdxl, character_folder, tmp_path):
    with pytest.raises(UserError, match="left_out is .3"):
        finetune(FinetuneSettings(drawings=str(character_folder), base=str(tiny_sdxl), left_out=(3,)), tmp_path / "run")
