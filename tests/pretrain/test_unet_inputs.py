"""Latents and conditions that the UNet learns from."""

import torch

from comics_genai import world
from comics_genai.bases.base import Base
from comics_genai.pretrain import clip, dataset, tokenizer, unet_inputs, vae


def test_the_unet_is_trained_on_exactly_what_the_pipeline_tells_it(smoke, words):
    model = clip.load(smoke.folder / "clip", words)
    base = Base.load(smoke.base)
    prompts = [world.caption(world.sample_scene(3)), "", "a drawing of UnicornGirl"]
    encoded = base.encode_prompts(prompts)
    hidden, pooled = model.conditions(tokenizer.encode(words, prompts))
    assert torch.allclose(hidden, encoded.hidden, atol=2e-2) and torch.allclose(pooled, encoded.pooled, atol=2e-2)
    assert hidden.shape == (3, 77, 32 + 64) and pooled.shape == (3, 32)
    empty = base.unconditional()
    assert torch.allclose(empty.hidden, hidden[1:2], atol=2e-2)
    images = dataset.draw_scenes([0, 1], 128)
    cached = unet_inputs.encode_latents(vae.load(smoke.folder / "vae"), images).float()
    # Hardly trained, this autoencoder's scaling factor is large: compare in units of its latents.
    scale = vae.load(smoke.folder / "vae").config.scaling_factor
    assert torch.allclose(cached / scale, base.encode_images(images) / scale, atol=0.05, rtol=0.02)


def test_cached_latents_belong_to_their_vae(smoke, tmp_path):
    images = dataset.draw_scenes([0, 1], 128)
    model = vae.load(smoke.folder / "vae")
    first = unet_inputs.cached_latents(model, images, tmp_path)
    assert (
        torch.equal(first, unet_inputs.cached_latents(model, images, tmp_path)) and len(list(tmp_path.iterdir())) == 1
    )
    with torch.no_grad():
        model.encoder.layers[-1].bias.add_(1.0)
    assert not torch.allclose(first.float(), unet_inputs.cached_latents(model, images, tmp_path).float(), atol=0.5)
