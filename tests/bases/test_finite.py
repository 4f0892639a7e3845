"""NaN and infinite weights are errors that name where they are, never a black picture."""

import math
from dataclasses import replace

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.bases.finite import check_weights, not_finite
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling, generate

BROKEN = {
    "unet": ("unet", "conv_in.bias", "unet.conv_in.bias of the base .* holds numbers that are NaN or infinite"),
    "vae": ("vae", "decoder.layers.0.bias", "vae.decoder.layers.0.bias of the base .* holds"),
    "text encoder": ("text_encoder", "position_embedding.weight", "text_encoder.*position_embedding.weight of the"),
}


def spoil(base: Base, part: str, name: str, value: float = math.nan) -> None:
    weights = dict(base.modules()[part].named_parameters())
    with torch.no_grad():
        next(weight for full, weight in weights.items() if full.endswith(name)).view(-1)[0] = value


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", BROKEN)
def test_a_weight_that_is_no_number_stops_the_drawing_and_is_named(tiny_sdxl, tmp_path, name, value):
    base = Base.load(tiny_sdxl)
    part, weight, sentence = BROKEN[name]
    spoil(base, part, weight, value)
    with pytest.raises(UserError, match=sentence):
        generate(base, ["a girl"], [0], tmp_path, Sampling(steps=2))
    assert not list(tmp_path.glob("*.png"))
    assert len(list(not_finite(base.modules()))) == 1


def test_latents_that_overflow_are_named_with_their_step(tiny_sdxl, tmp_path):
    base = Base.load(tiny_sdxl)
    with torch.no_grad():
        base.unet.conv_out.weight.fill_(1e30)
    with pytest.raises(UserError, match="latents are NaN or infinite after step [12] of 3: use a lower guidance"):
        generate(base, ["a girl"], [0], tmp_path, Sampling(steps=3, guidance=100.0, scheduler="euler"))


def test_a_base_that_is_no_number_is_not_trained_on(tiny_sdxl, character_folder, tmp_path):
    base = Base.load(tiny_sdxl)
    check_weights(base.modules(), "the base")
    spoil(base, "unet", "conv_in.bias")
    base.pipeline.save_pretrained(tmp_path / "base")
    settings = FinetuneSettings(drawings=str(character_folder), base=str(tmp_path / "base"), steps=1, variants=1)
    with pytest.raises(UserError, match="unet.conv_in.bias of the base .* fetch it anew"):
        finetune(replace(settings, rank=2), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
