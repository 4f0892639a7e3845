"""Validation pictures are scored by the truth where it is known, else by CLIP and DINO; here with random weights."""

import warnings
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from comics_genai import drawings, world
from comics_genai.errors import UserError
from comics_genai.evaluation import comparison, metrics
from comics_genai.evaluation.features import CLIP, DINO, Features
from comics_genai.finetuning.checkpoint_scores import FeatureMetric, ValidationMetric, validation_metric
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.finetuning.validation import chosen
from comics_genai.sampling.generate import Sampling


def pictures(seed: int, count: int = 3) -> list[PIL.Image.Image]:
    rng = np.random.default_rng(seed)
    return [PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(count)]


def girls_drawings() -> list[drawings.Drawing]:
    scenes = world.reference_scenes(world.UNICORN_GIRL)
    return [drawings.Drawing(f"{i}.png", world.draw(scene), "") for i, scene in enumerate(scenes)]


def test_a_strangers_metric_scores_by_features_with_prompts_that_no_test_asks(networks, character_folder):
    character = drawings.load(character_folder)
    metric = validation_metric(character, "Hoo", "owl", prompts=6, **networks)
    assert isinstance(metric, FeatureMetric) and len(metric.prompts) == 6
    assert all("Hoo, an owl" in prompt for prompt in metric.prompts)
    assert all("Hoo" not in prompt and "an owl" in prompt for prompt in metric.asked)
    poses = {replace(scene.pose, expression="", jitter=()) for scene in metric.scenes}
    assert not poses & {
        replace(scene.pose, expression="", jitter=()) for scene in comparison.posed_scenes(world.UNICORN_GIRL, 24)
    }
    own = validation_metric(character, "Hoo", "owl", own=("Hoo, an owl, flying",), **networks)
    assert (own.prompts, own.asked) == (("Hoo, an owl, flying",), ["an owl, flying"])
    figures = metric(1, pictures(2, 6))
    assert figures.keys() == {"dino", "clip_i", "clip_t", "copied", "score"}
    copies = metric(2, [drawing.image for drawing in character] * 2)
    assert copies["copied"] == 1 and copies["score"] == 0 and copies["dino"] > figures["dino"]


def test_a_run_keeps_the_checkpoint_that_the_features_choose(networks, character_folder, tiny_sdxl, tmp_path):
    metric = validation_metric(drawings.load(character_folder), "Hoo", "owl", prompts=2, **networks)
    settings = FinetuneSettings(
        drawings=str(character_folder), identifier="Hoo", class_name="owl", base=str(tiny_sdxl), method="lora", steps=4,
        variants=1, validate_every=2, validation_prompts=metric.prompts, sampling=Sampling(steps=2),
    )  # fmt: skip
    seen = {}

    def validate(step, drawn):
        seen[step] = metric(step, drawn)
        return seen[step]

    finetune(settings, tmp_path / "run", validate=validate)
    best = max(seen, key=lambda step: (seen[step]["score"], -step))
    assert chosen(tmp_path / "run") == {"step": best, "score": seen[best]["score"]}


@pytest.mark.parametrize("absent", ["clip", "dino"])
def test_without_the_networks_a_sentence_says_that_the_last_checkpoint_is_kept(
    networks, character_folder, monkeypatch, absent, tmp_path
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    names = networks | {absent: {"clip": CLIP, "dino": DINO}[absent]}
    with pytest.raises(UserError, match=f"{names[absent]} cannot be loaded .*: check the network, or give a folder"):
        Features.load(**names)
    character = drawings.load(character_folder)
    with pytest.warns(UserWarning, match="drawn but not scored, and the last checkpoint is kept: .* cannot be loaded"):
        metric = validation_metric(character, "Hoo", "owl", **names)
    assert type(metric) is ValidationMetric and metric(1, pictures(0)) == {}


def test_a_character_of_the_comic_world_needs_no_networks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric = validation_metric(girls_drawings(), "UnicornGirl", "girl", prompts=2, clip="nowhere", dino="nowhere")
    assert type(metric) is ValidationMetric


def test_poses_of_the_test_are_not_those_a_checkpoint_is_chosen_by():
    girl = world.UNICORN_GIRL
    metric = validation_metric(girls_drawings(), "UnicornGirl", "girl", prompts=8)
    assert len(metric.prompts) == 8 and metric.character == girl
    asked = {replace(scene.pose, expression="", jitter=()) for scene in metric.scenes}
    measured = {replace(scene.pose, expression="", jitter=()) for scene in comparison.posed_scenes(girl, 24)}
    assert not asked & measured


def test_a_metric_ranks_true_drawings_above_copies_and_strangers():
    girl = world.UNICORN_GIRL
    references = [world.draw(scene) for scene in world.reference_scenes(girl)]
    metric = ValidationMetric(girl, references, "UnicornGirl", "girl", prompts=6)
    true = metric(1, [world.draw(scene) for scene in metric.scenes])
    copies = metric(2, references)
    strangers = metric(3, metrics.other_character_renders(metric.scenes))
    assert true["score"] > 0.6 and true["score"] > 1.5 * strangers["score"]
    assert copies["copied"] == 1 and copies["score"] == 0 and copies["identity"] > 0.6
    nobody = ValidationMetric(None, references, "Hoo", "owl")
    assert nobody(1, references) == {} and "Hoo, an owl" in nobody.prompts[0]
