"""The autoencoder's scale."""

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.images import to_tensor
from comics_genai.pretrain import dataset, vae


def test_latents_have_unit_variance_apart_from_what_all_have_in_common(smoke):
    model = vae.load(smoke.folder / "vae")
    images = dataset.draw_scenes(range(dataset.HELD_OUT_SEED, dataset.HELD_OUT_SEED + 64), 128)
    with torch.no_grad():  # in fp32: hardly trained, it tells pictures apart by less than bf16 can hold
        latents = model.encode(to_tensor(images)).latents[:, : smoke.vae.picture_channels] * model.config.scaling_factor
    assert (latents - latents.mean(0)).square().mean() == pytest.approx(1, rel=0.02)
    assert model.config.scaling_factor != 1
    assert Base.load(smoke.base).vae.config.scaling_factor == pytest.approx(model.config.scaling_factor)
