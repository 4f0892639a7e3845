"""CLIP and DINO choose the checkpoint where nobody knows the truth; here with networks of random weights."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, ViTConfig, ViTImageProcessor, ViTModel

from comics_genai import drawings, world
from comics_genai.errors import UserError
from comics_genai.evaluation import comparison
from comics_genai.evaluation.features import CLIP, DINO, Features
from comics_genai.finetuning.checkpoint_scores import FeatureJudge, Judge, judge_of
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.finetuning.validation import chosen
from comics_genai.sampling.generate import Sampling
from tests.conftest import _tokenizer

LAYER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, str]:
    """Folders of a tiny CLIP and a tiny DINO."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("clip", "dino")}
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sight = LAYER | {"image_size": 32, "patch_size": 8}
    config = CLIPConfig(
        text_config=LAYER | {"vocab_size": len(tokenizer)} | ids, vision_config=sight, projection_dim=12
    )
    for part in (CLIPModel(config), tokenizer, CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)):
        part.save_pretrained(folders["clip"])
    for part in (
        ViTModel(ViTConfig(**sight), add_pooling_layer=False),
        ViTImageProcessor(size={"height": 32, "width": 32}),
    ):
        part.save_pretrained(folders["dino"])
    return {name: str(folder) for name, folder in folders.items()}


def pictures(seed: int, count: int = 3) -> list[PIL.Image.Image]:
    rng = np.random.default_rng(seed)
    return [PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(count)]


def test_the_networks_are_those_of_the_paper():
    assert (CLIP, DINO) == ("openai/clip-vit-base-patch32", "facebook/dino-vits16")
    assert (FinetuneSettings.judge_clip, FinetuneSettings.judge_dino) == (CLIP, DINO)


def test_similarities_are_cosines_and_a_drawing_itself_is_a_copy(networks):
    features, references = Features.load(**networks), pictures(0)
    rows = features.score([references[1], *pictures(1, 2)], ["a girl", "a girl", "smiling"], references)
    assert [row.keys() == {"dino", "clip_i", "clip_t", "copied"} for row in rows] == [True] * 3
    assert rows[0]["copied"] == 1
    real = features.look(references)
    assert torch.allclose(real.norm(dim=1), torch.ones(3))
    assert rows[0]["dino"] == pytest.approx(float((real @ real[1]).mean()), abs=1e-5)
    images, texts = features.read(pictures(1, 2), ["a girl", "smiling"])
    assert [row["clip_t"] for row in rows[1:]] == pytest.approx((images * texts).sum(1).tolist(), abs=1e-5)
    assert all(-1 <= row[name] <= 1 for row in rows for name in row)
    # The text is read to its end.
    assert not torch.allclose(
        features.read(references, ["a girl"])[1], features.read(references, ["a girl smiling"])[1]
    )


def test_a_strangers_judge_scores_by_features_with_prompts_that_no_test_asks(networks, character_folder):
    character = drawings.load(character_folder)
    judge = judge_of(character, "Hoo", "owl", prompts=6, **networks)
    assert isinstance(judge, FeatureJudge) and len(judge.prompts) == 6
    assert all("Hoo, an owl" in prompt for prompt in judge.prompts)
    assert all("Hoo" not in prompt and "an owl" in prompt for prompt in judge.asked)
    poses = {replace(scene.pose, expression="", jitter=()) for scene in judge.scenes}
    assert not poses & {
        replace(scene.pose, expression="", jitter=()) for scene in comparison.posed_scenes(world.UNICORN_GIRL, 24)
    }
    own = judge_of(character, "Hoo", "owl", own=("Hoo, an owl, flying",), **networks)
    assert (own.prompts, own.asked) == (("Hoo, an owl, flying",), ["an owl, flying"])
    figures = judge(1, pictures(2, 6))
    assert figures.keys() == {"dino", "clip_i", "clip_t", "copied", "score"}
    copies = judge(2, [drawing.image for drawing in character] * 2)
    assert copies["copied"] == 1 and copies["score"] == 0 and copies["dino"] > figures["dino"]


def test_a_run_keeps_the_checkpoint_that_the_features_choose(networks, character_folder, tiny_sdxl, tmp_path):
    judge = judge_of(drawings.load(character_folder), "Hoo", "owl", prompts=2, **networks)
    settings = FinetuneSettings(
        drawings=str(character_folder), identifier="Hoo", class_name="owl", base=str(tiny_sdxl), method="lora", steps=4,
        variants=1, validate_every=2, validation_prompts=judge.prompts, sampling=Sampling(steps=2),
    )  # fmt: skip
    seen = {}

    def validate(step, drawn):
        seen[step] = judge(step, drawn)
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
        judge = judge_of(character, "Hoo", "owl", **names)
    assert type(judge) is Judge and judge(1, pictures(0)) == {}


def test_weights_that_could_run_code_are_not_read(networks, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    for path in Path(networks["dino"]).iterdir():
        (folder / path.name.replace("model.safetensors", "pytorch_model.bin")).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="pickled cannot be loaded"):
        Features.load(networks["clip"], str(folder))


def test_a_character_of_the_comic_world_needs_no_networks():
    found = [
        drawings.Drawing(f"{i}.png", world.draw(scene), "")
        for i, scene in enumerate(world.reference_scenes(world.UNICORN_GIRL))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert type(judge_of(found, "UnicornGirl", "girl", prompts=2, clip="nowhere", dino="nowhere")) is Judge
