"""The shipped miniature, end to end: it loads, keeps UnicornGirl's colours, and its card says what was measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionXLPipeline

from comics_genai import world
from comics_genai.bases.base import Base
from comics_genai.images import to_tensor
from comics_genai.pretrain import evaluate
from comics_genai.pretrain.dataset import draw_scenes
from comics_genai.pretrain.vae_loss import psnr

FOLDER = Path(__file__).parents[2] / "1_data" / "mini_sdxl"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
EVALUATION = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def base():
    return Base.load("mini")


def test_diffusers_loads_it_unchanged():
    pipeline = StableDiffusionXLPipeline.from_pretrained(FOLDER)
    assert pipeline.unet.config.addition_embed_type == "text_time"


def test_it_fits_into_a_repository():
    sizes = [file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()]
    assert max(sizes) <= 16_000_000 and sum(sizes) <= 60_000_000


@pytest.mark.parametrize("line", evaluate.card(EVALUATION))
def test_every_figure_of_the_card_was_measured(line):
    assert line in CARD


def test_the_autoencoder_keeps_her_colours_and_unseen_scenes(base):
    assert evaluate.figure_color_error(base) == pytest.approx(EVALUATION["unicorn_girl_ciede2000"], abs=0.1)
    drawn = draw_scenes(range(evaluate.FIRST, evaluate.FIRST + 32), base.size)
    kept = base.decode(base.encode_images(drawn))
    assert psnr(to_tensor(kept), to_tensor(drawn)).mean() == pytest.approx(EVALUATION["vae_psnr"], abs=1)


def test_her_name_is_not_yet_known(base):
    assert world.TOKEN.lower() not in base.pipeline.tokenizer.get_vocab()
    assert np.isfinite(base.encode_prompts([f"a drawing of {world.TOKEN}"]).hidden.numpy()).all()
