from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.evaluation.readings import Readings
from comics_genai.evaluation.readings_sheet import BLOCK, RIGHT, WRONG, readings_sheet

SCENES = [world.sample_scene(seed) for seed in (0, 2)]


@pytest.fixture(scope="module")
def pictures():
    return [world.draw(scene, 128) for scene in SCENES]


def pixels_of(sheet, color: str) -> int:
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.asarray(sheet) == rgb).all(-1).sum())


def test_right_is_green_and_wrong_is_red(pictures):
    truth = Readings.of(SCENES)
    sheet = readings_sheet(pictures, truth, truth, ["one", "two"], columns=2)
    assert sheet.width > 2 * BLOCK[0] and pixels_of(sheet, RIGHT) > 500 and pixels_of(sheet, WRONG) == 0
    wrong = replace(truth, pose={name: (values + 1) % 3 for name, values in truth.pose.items()})
    assert pixels_of(readings_sheet(pictures, wrong, truth), WRONG) > 10


def test_of_an_illegible_picture_nothing_is_green(pictures):
    truth = Readings.of(SCENES)
    sheet = readings_sheet(pictures, replace(truth, legible=np.zeros(2, bool)), truth)
    assert pixels_of(sheet, RIGHT) == 0 and pixels_of(sheet, WRONG) > 100


def test_without_a_truth_nothing_is_judged(pictures):
    sheet = readings_sheet(pictures, Readings.of(SCENES))
    assert pixels_of(sheet, RIGHT) == pixels_of(sheet, WRONG) == 0
