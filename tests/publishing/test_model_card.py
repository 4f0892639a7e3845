"""A finished run's card: everything a stranger needs, each figure from the run's own files."""

import json
from pathlib import Path

import PIL.Image
import pytest
import yaml

from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.publishing.cards import run_card
from comics_genai.publishing.model_card import complete
from comics_genai.run import finetuning_settings
from comics_genai.sampling.generate import Sampling

PROMPTS = ("a drawing of Ann, a girl, jumping", "a drawing of Ann, a girl, sitting")
FIGURE = {"mean": 0.875, "low": 0.81, "high": 0.9312}


@pytest.fixture(scope="module")
def run(character_folder, tiny_sdxl, tmp_path_factory) -> Path:
    """A run whose validation liked step 2 of 4 best."""
    settings = FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), identifier="Ann", method="lora", steps=4, batch_size=2,
        rank=4, variants=1, warmup_steps=0, validate_every=2, validation_prompts=PROMPTS, sampling=Sampling(steps=1),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("run") / "ann"
    finetune(settings, folder, validate=lambda step, _: {"score": 1 / step, "identity": 0.25 * step})
    return folder


def completed(folder: Path, run: Path, generated: Path, **changes) -> tuple[dict, str]:
    """Head and body of the card in `folder`."""
    settings = finetuning_settings(run) | changes
    (folder / "README.md").write_text(run_card("me/ann", settings, []), encoding="utf-8")
    complete(folder / "README.md", run, settings, generated)
    _, head, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_card_tells_settings_prompts_checkpoint_scores_provenance_and_comfyui(run, character_folder, tmp_path):
    (tmp_path / "drawn").mkdir()
    scores = {"columns": {"identity": "identity"}, "rows": [{"name": "fine-tuned", "identity": FIGURE}]}
    (tmp_path / "drawn" / "scores.json").write_text(json.dumps(scores))
    head, body = completed(tmp_path, run, tmp_path / "drawn")
    assert [one["text"] for one in head["widget"]] == list(PROMPTS) and "<Gallery />" in body
    with PIL.Image.open(run / "validation" / "step_000002.png") as strip:  # of the chosen step, not of the last
        cut = strip.crop((0, 0, strip.width // 2, strip.height))
    with PIL.Image.open(tmp_path / head["widget"][0]["output"]["url"]) as shown:
        assert shown.size == (32, 32) and shown.tobytes() == cut.tobytes()
    assert "Step 2 of 4, because its validation pictures had the highest score, 0.500, of the 2" in body
    assert "| 4 | 0.250 | 1.000 |" in body and "identity times pose" in body
    assert "| learning_rate | 0.001 |" in body and "| rank | 4 |" in body
    assert all(f"- `{prompt}`" in body for prompt in PROMPTS) and "87.5 % [81.0, 93.1]" in body
    assert f"`{character_folder.name}` (digest `" in body and str(character_folder.parent) not in body
    assert "No licence was given to these weights" in body
    assert "export RUN --target lora.safetensors" in body and "ComfyUI/models/loras" in body
    headings = [line for line in body.splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings)) == 6


def test_what_a_run_lacks_is_not_told(girl_run, tmp_path):
    head, body = completed(tmp_path, girl_run, tmp_path / "nowhere")
    assert "widget" not in head and "## Scores" not in body and "## Prompts" not in body
    assert "The weights after the last step, 2: nothing was scored on the way." in body


def test_a_dataset_of_the_hub_picked_pictures_and_a_licence_without_a_name_are_told(run, tmp_path):
    changes = {"drawings": "me/ann-drawings", "picked": ["a.png", "b.png"], "base": "noobai"}
    head, body = completed(tmp_path, run, tmp_path, **changes)
    assert "[me/ann-drawings](https://huggingface.co/datasets/me/ann-drawings)" in body
    assert "2 generated pictures that a person had picked" in body
    assert (head["license"], head["license_name"]) == ("other", "fair-ai-public-license-1.0-sd")
    assert head["base_model"] == "Laxhar/noobai-XL-Vpred-1.0" and "load_lora_weights" in body
    assert "stable-diffusion-xl" in head["tags"]


def test_full_weights_and_a_learnt_name_have_their_own_way_into_comfyui(run, tmp_path):
    _, body = completed(tmp_path, run, tmp_path, method="dreambooth", learn_token=True, prior="none")
    assert "ComfyUI/models/diffusers" in body and "`embedding:Ann`" in body and "| rank |" not in body


def test_completed_twice_from_the_same_run_it_is_the_same(run, tmp_path):
    cards = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        completed(tmp_path / name, run, tmp_path)
        cards.append((tmp_path / name / "README.md").read_bytes())
    assert cards[0] == cards[1]
