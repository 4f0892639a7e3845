"""Cards name what the Hub sorts by, and give commands that the reader can copy."""

import ast

import pytest
import yaml

from comics_genai.publishing import cards

LORA = {
    "identifier": "Hoo", "class_name": "owl", "base": "sdxl", "method": "lora", "steps": 300, "learning_rate": 1e-4,
    "seed": 3, "rank": 8, "alpha": 4.0, "learn_token": False,
}  # fmt: skip


def parts(card: str) -> tuple[dict, str]:
    empty, head, body = card.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(head), body


def test_an_adapters_card_has_its_base_prompt_gallery_and_code():
    head, body = parts(cards.run_card("me/hoo", LORA, [("Hoo, an owl, flying", "image_0.png")]))
    assert head["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0" and head["license"] == "openrail++"
    assert {"lora", "stable-diffusion-xl", "text-to-image"} <= set(head["tags"])
    assert head["instance_prompt"] == "a drawing of Hoo, an owl"
    assert head["widget"] == [{"text": "Hoo, an owl, flying", "output": {"url": "image_0.png"}}]
    assert "300 steps, learning rate 0.0001, seed 3, rank 8, alpha 4." in body and "<Gallery />" in body
    assert "python -m comics_genai generate me/hoo --prompt 'a drawing of Hoo, an owl' --seeds 0-7" in body
    code = body.split("```python\n")[1].split("```")[0]
    ast.parse(code)
    assert 'load_lora_weights("me/hoo", weight_name="pytorch_lora_weights.safetensors")' in code
    assert "learned_embeds" not in code


@pytest.mark.parametrize(("base", "licence", "expected"), [
    ("sd15", "", "creativeml-openrail-m"), ("mini", "", "cc0-1.0"), ("sd15", "mit", "mit"), ("someone/base", "", None),
])  # fmt: skip
def test_a_licence_is_the_bases_unless_another_is_given(base, licence, expected):
    head, _ = parts(cards.run_card("me/hoo", LORA | {"base": base}, [], licence))
    assert head.get("license") == expected and "widget" not in head


def test_full_weights_have_no_rank_and_code_that_puts_them_into_the_base():
    full = LORA | {"method": "dreambooth"}
    head, body = parts(cards.run_card("me/hoo", full, []))
    assert "lora" not in head["tags"] and "rank" not in body and "load_lora_weights" not in body
    assert "python -m comics_genai generate me/hoo" in body
    code = body.split("```python\n")[1].split("```")[0]
    ast.parse(code)
    assert 'load_file(hf_hub_download("me/hoo", "weights.safetensors"))' in code and '"text_encoder' not in code
    _, body = parts(cards.run_card("me/hoo", full | {"train_text_encoders": True}, []))
    code = body.split("```python\n")[1].split("```")[0]
    ast.parse(code)
    assert 'for part in ("unet", "text_encoder", "text_encoder_2"):' in code


def test_a_base_that_is_only_here_has_no_code_for_diffusers():
    for method in ("lora", "dreambooth"):
        assert "```python" not in cards.run_card("me/hoo", LORA | {"base": "mini", "method": method}, [])


def test_a_learnt_name_is_loaded_by_the_code():
    _, body = parts(cards.run_card("me/hoo", LORA | {"learn_token": True}, []))
    code = body.split("```python\n")[1].split("```")[0]
    ast.parse(code)
    assert 'hf_hub_download("me/hoo", "learned_embeds.safetensors")' in code and '"Hoo", tokenizer, encoder' in code


def test_an_unfinished_run_says_how_to_go_on():
    head, body = parts(cards.unfinished_card("me/half", LORA, 120))
    assert "checkpoint" in head["tags"] and "after step 120 of 300" in body
    assert "python -m comics_genai finetune --resume-from me/half\n" in body


def test_drawings_say_how_many_they_are_and_whether_they_have_captions():
    head, body = parts(cards.dataset_card("me/hoos", 6, captioned=True, licence="cc-by-4.0"))
    assert head["license"] == "cc-by-4.0" and head["size_categories"] == "n<1K" and head["pretty_name"] == "hoos"
    assert "6 drawings of a comic character, each with a caption" in body and "--drawings me/hoos" in body
    head, body = parts(cards.dataset_card("me/hoos", 6, captioned=False))
    assert "license" not in head and "caption" not in body
