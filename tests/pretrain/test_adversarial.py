"""The discriminator of the decoder's training: its shapes, and which gradient reaches whom."""

import json
from dataclasses import replace

import pytest
import torch

from comics_genai.files import load_tensors
from comics_genai.pretrain import adversarial, dataset, vae, vae_training
from comics_genai.training.stage import stage_weights


def test_a_logit_for_each_patch():
    assert adversarial.Discriminator((8, 8, 8))(torch.rand(2, 3, 64, 48)).shape == (2, 1, 8, 6)


def test_each_loss_reaches_its_own_side_alone():
    torch.manual_seed(0)
    discriminator = adversarial.Discriminator((8, 8, 8))
    drawn, decoded = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32, requires_grad=True)
    adversarial.discriminator_loss(discriminator, drawn, decoded).backward()
    assert decoded.grad is None and all(p.grad is not None for p in discriminator.parameters())
    discriminator.zero_grad(set_to_none=True)
    adversarial.decoder_loss(discriminator, decoded).backward()
    assert decoded.grad.abs().sum() > 0 and all(p.grad is None for p in discriminator.parameters())


def test_a_trained_discriminator_tells_drawings_from_blur():
    torch.manual_seed(0)
    discriminator = adversarial.Discriminator((8, 8, 8))
    drawn = torch.rand(8, 3, 32, 32).mul(2).sub(1)
    blurred = torch.nn.functional.avg_pool2d(drawn, 5, 1, 2)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        adversarial.discriminator_loss(discriminator, drawn, blurred).backward()
        optimizer.step()
    assert discriminator(drawn).mean() > discriminator(blurred).mean() + 0.5
    assert adversarial.decoder_loss(discriminator, drawn) < adversarial.decoder_loss(discriminator, blurred)


def test_the_balance_gives_both_losses_equal_gradients():
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    found = adversarial.balance(4 * weight.sum(), weight.sum() / 2, weight)
    assert found.item() == pytest.approx(8, rel=1e-4) and not found.requires_grad
    assert adversarial.balance(weight.sum(), 0 * weight.sum(), weight) == adversarial.LARGEST_WEIGHT


def test_a_decoder_learns_beside_a_discriminator_that_is_gone_at_the_end(tmp_path):
    images, maps = dataset.draw_maps(range(4), 128)
    settings = vae.VaeSettings(channels=8, batch_size=2, adversarial=0.5, decoder_only=True)
    settings = replace(
        settings, loop=replace(settings.loop, steps=3, log_every=1, checkpoint_every=0, validate_every=0)
    )
    latents = torch.randn(4, settings.picture_channels + maps.shape[1], 16, 16)
    run = vae_training.train_vae(settings, images, maps, tmp_path, redrawn=latents)
    assert run.finished
    names = load_tensors(stage_weights(tmp_path))[0]
    assert names and all(name.startswith("decoder.") for name in names)
    rows = [json.loads(row) for row in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"fooled", "told"} <= rows[0].keys() and 0 < rows[0]["told"] < 4
    vae_training.train_vae(settings, images, maps, tmp_path, redrawn=latents)  # finished: only loaded
