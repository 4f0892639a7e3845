"""How the attribute reader's training measures it, and what it keeps when it is interrupted.

What it learns is tested beside the reader, in tests/evaluation/test_attribute_reader.py.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from comics_genai import world
from comics_genai.evaluation.readings import FACTORS, Readings
from comics_genai.pretrain import attribute_reader

SCENES = [world.sample_scene(seed) for seed in range(4)]


class Telling:
    """A reader that reads given scenes in any pictures."""

    def __init__(self, scenes: list[world.Scene], joints_off: float = 0.0):
        self.readings = Readings.of(scenes)
        self.readings.joints[..., 0] += joints_off

    def read(self, images: np.ndarray) -> Readings:
        return self.readings


def test_accuracy_is_the_share_of_pictures_in_which_a_factor_is_read_right():
    other = "sad" if SCENES[0].pose.expression != "sad" else "angry"
    wrong = replace(SCENES[0], pose=replace(SCENES[0].pose, expression=other))
    truth = Readings.of(SCENES)
    shares = attribute_reader.accuracy(Telling([wrong, *SCENES[1:]]), np.zeros((4, 8, 8, 3), np.uint8), truth)
    assert shares.pop("joint_error") == 0 and shares.keys() == set(FACTORS)
    assert shares.pop("expression") == 0.75 and set(shares.values()) == {1.0}
    shares = attribute_reader.accuracy(Telling(SCENES, joints_off=0.1), np.zeros((4, 8, 8, 3), np.uint8), truth)
    assert shares["joint_error"] == pytest.approx(0.1)


def test_an_interruption_loses_one_part_of_the_reconstructions_and_changes_none(tmp_path, monkeypatch):
    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    vae = AutoencoderTiny(**widths, **blocks, upsampling_scaling_factor=2).eval()
    images = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
    monkeypatch.setattr(attribute_reader, "RECONSTRUCTED_AT_ONCE", 2)
    whole = np.array(attribute_reader.cached_reconstructions(vae, images, 0.4, tmp_path / "whole"))
    reconstruct, made = attribute_reader.reconstruct, []

    def interrupted(vae, chunk, *options):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(chunk))
        return reconstruct(vae, chunk, *options)

    monkeypatch.setattr(attribute_reader, "reconstruct", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attribute_reader.cached_reconstructions(vae, images, 0.4, tmp_path / "run")
    made.clear()
    resumed = attribute_reader.cached_reconstructions(vae, images, 0.4, tmp_path / "run")
    assert made == [2]  # the other two parts were there
    np.testing.assert_array_equal(resumed, whole)
    assert [path.suffix for path in (tmp_path / "run").iterdir()] == [".npy"]
