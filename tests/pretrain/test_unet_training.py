"""The UNet's training, with tiny numbers."""

import json

import PIL.Image
import torch

from comics_genai import world
from comics_genai.pretrain import (
    unet_training,
)


def test_timesteps_are_one_of_each_part():
    t = unet_training.stratified_timesteps(10, 1000, torch.Generator().manual_seed(0))
    assert sorted((t // 100).tolist()) == list(range(10)) and t.tolist() != sorted(t.tolist())
    noisy = unet_training.stratified_timesteps(1000, 1000, torch.Generator().manual_seed(0), bias=2.0)
    assert (noisy >= 750).sum() == 500 and noisy.min() >= 0 and noisy.max() == 999  # u^2 <= 1/4 for half of the u


def test_errors_of_a_face_weigh_most_then_those_of_the_arms():
    joints = torch.full((1, len(world.JOINTS), 2), 0.9)
    joints[0, world.JOINTS.index("head")] = torch.tensor([0.5, 0.25])
    joints[0, world.JOINTS.index("left_hand")] = torch.tensor([0.1, 0.6])
    weights = unet_training.figure_weights(joints, 16, 3.0)
    assert weights.shape == (1, 1, 16, 16)
    assert (weights[0, 0, 3:5, 7:9] == 4).all()  # rows first: y 0.25, x 0.5
    assert weights[0, 0, 9, 1] == 2 and weights[0, 0, 0, 0] == 1  # y 0.6, x 0.1
    assert (weights == 4).sum() == 16  # cells whose centre is nearer than 0.14
    assert (unet_training.figure_weights(joints, 16, 0.0) == 1).all()


def test_samples_stand_below_the_drawings_of_their_captions(smoke):
    with PIL.Image.open(smoke.folder / "unet" / "samples_000004.png") as sheet:
        assert sheet.size == (unet_training.SAMPLES * 128, 2 * 128)
    row = json.loads((smoke.folder / "unet" / "log.jsonl").read_text().splitlines()[-1])
    assert row["validation_v_error"] > 0 and 0 <= row["validation_paper_error"] <= 1
