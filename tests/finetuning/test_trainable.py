"""Which weights a method trains."""

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.trainable import make_trainable, trainable_parts


def trained_names(module) -> list[str]:
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


def test_dreambooth_trains_every_weight_and_lora_its_factors_alone(tiny_sdxl):
    unet = make_trainable(Base.load(tiny_sdxl).unet, FinetuneSettings(method="dreambooth"))
    assert len(trained_names(unet)) == len(list(unet.parameters()))
    unet = make_trainable(Base.load(tiny_sdxl).unet, FinetuneSettings(method="lora", rank=2))
    names = trained_names(unet)
    assert names and all(".lora_A." in name or ".lora_B." in name for name in names)
    assert all(p.dtype == torch.float32 for p in unet.parameters() if p.requires_grad)


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_targets_are_attention_or_everything(targets, tiny_sdxl):
    unet = make_trainable(Base.load(tiny_sdxl).unet, FinetuneSettings(method="lora", rank=2, lora_targets=targets))
    outside = [name for name in trained_names(unet) if ".attn" not in name]
    assert bool(outside) == (targets == "all")


def test_an_orthogonal_start_has_orthogonal_rows_and_changes_nothing_yet(tiny_sdxl):
    base = Base.load(tiny_sdxl)
    unet = make_trainable(base.unet, FinetuneSettings(method="lora", rank=4, start="orthogonal"))
    for name, parameter in unet.named_parameters():
        if ".lora_A." in name:
            product = parameter.flatten(1) @ parameter.flatten(1).T
            torch.testing.assert_close(product, product.diagonal().diag(), atol=1e-4, rtol=0)
        if ".lora_B." in name:
            assert not parameter.any()


def test_text_encoders_join_where_they_are_trained(tiny_sdxl):
    base = Base.load(tiny_sdxl)
    parts = trainable_parts(base, FinetuneSettings(method="lora", rank=2, train_text_encoders=True), None)
    assert set(parts) == {"unet", "text_encoder", "text_encoder_2"}
    assert all(trained_names(part) for part in parts.values())
