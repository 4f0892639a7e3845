"""What the miniature reaches, measured."""

import json
from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.evaluation.readings import Readings
from comics_genai.pretrain import (
    evaluate,
)
from comics_genai.sampling.generate import Sampling


def test_the_evaluation_measures_what_a_base_keeps_and_follows(smoke, tmp_path):
    settings = evaluate.EvaluationSettings(
        base=str(smoke.base), reader=smoke.base / "attribute_reader", target=tmp_path / "evaluation.json", prompts=8,
        reconstructions=8, sampling=Sampling(steps=2),
    )  # fmt: skip
    figures = evaluate.evaluate(settings)
    assert json.loads(settings.target.read_text()) == figures
    assert 0 < figures["vae_psnr"] < 20  # a VAE of four steps keeps next to nothing,
    assert figures["unicorn_girl_ciede2000"] > 5  # and no colour
    assert figures["prompts"] == 8 and figures["seconds_a_picture"] > 0
    for shares in (figures["drawn"], figures["ceiling"]):
        assert shares["pose"] == pytest.approx(sum(shares[name] for name in world.POSE_FACTORS) / 5)
        assert not {a.name for a in world.ATTRIBUTES if not a.named} & shares.keys()


def test_a_picture_follows_its_caption_where_it_shows_what_is_said():
    scenes = [world.sample_scene(seed) for seed in range(20)]
    truth = Readings.of(scenes)
    right = evaluate.followed(truth, scenes)
    for name in ("hair_style", "outfit", "accessory", *world.POSE_FACTORS):
        assert right[name].all() and len(right[name]) == 20
    # A true colour is in its word's range; it may lie on the border to the next word, but seldom.
    assert 0 < len(right["hair_color"]) < 20 and right["hair_color"].mean() > 0.9
    other = Readings(truth.attributes | {"outfit": (truth.attributes["outfit"] + 1) % 5}, truth.pose, truth.joints)
    assert not evaluate.followed(other, scenes)["outfit"].any()
    assert right["everything"].mean() > 0.5 and not evaluate.followed(other, scenes)["everything"].any()


def test_an_illegible_picture_follows_nothing():
    scenes = [world.sample_scene(seed) for seed in range(4)]
    blind = replace(Readings.of(scenes), legible=np.zeros(4, bool))
    assert not any(right.any() for right in evaluate.followed(blind, scenes).values())
