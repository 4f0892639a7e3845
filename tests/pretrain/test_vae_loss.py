"""The autoencoder's crops, colours, noise and loss: the arithmetic."""

import math

import pytest
import torch

from comics_genai import world
from comics_genai.pretrain import (
    semantics,
    vae,
    vae_loss,
)


def test_colors_are_mixed_in_the_share_asked_for():
    pictures = torch.rand(400, 3, 2, 2) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(vae_loss.mix_colors(pictures, 0.0, generator), pictures)
    mixed = vae_loss.mix_colors(pictures, 0.7, generator)
    changed = (mixed != pictures).flatten(1).any(1).float().mean()
    assert 0.63 < changed < 0.77 and mixed.abs().max() <= 1
    grey = vae_loss.mix_colors(torch.zeros(400, 3, 1, 1), 1.0, generator)
    assert grey.std() == pytest.approx(0.2, abs=0.02)  # a shift alone moves grey


def test_the_reconstruction_loss_counts_every_error_once_for_each_term():
    picture, even = torch.zeros(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    assert vae_loss.reconstruction_loss(picture, picture, even) == 0
    # A constant error of 0.1: L1, no gradients, two averages, and twice its square.
    assert vae_loss.reconstruction_loss(picture + 0.1, picture, even) == pytest.approx(0.1 + 0.2 + 2 * 0.01)
    stripes = torch.zeros(2, 3, 16, 16)
    stripes[..., ::2] = 0.1
    assert vae_loss.reconstruction_loss(stripes, picture, even) == pytest.approx(0.05 + 0.1 + 2 * 0.05 + 2 * 0.005)
    assert vae_loss.reconstruction_loss(picture + 0.1, picture, 3 * even) == pytest.approx(3 * (0.1 + 0.2 + 2 * 0.01))


def test_pixels_of_the_face_weigh_most_then_those_of_the_figure():
    scene = world.Scene(world.UNICORN_GIRL)
    weights = vae_loss.pixel_weights(torch.from_numpy(semantics.draw(scene, 128)[1])[None], 8)
    assert weights.shape == (1, 1, 128, 128)
    x, y = (world.joints(scene)[world.JOINTS.index("head")] * 128).astype(int)
    assert weights[0, 0, y, x] == pytest.approx(1 + vae_loss.FIGURE_WEIGHT + vae_loss.FACE_WEIGHT, abs=0.9)
    assert weights[0, 0, 4, 4] == pytest.approx(1, abs=0.02) and weights[0, 0, y, x] == weights.max()


def test_noise_drowns_the_pictures_channels_at_times_and_the_semantic_ones_never():
    settings = vae.VaeSettings(latent_noise=0.2, strong_noise=0.5, semantic_noise=0.1)
    latents = torch.randn(400, 26, 8, 8, generator=torch.Generator().manual_seed(0)) * 3
    noise = vae_loss.channel_noise(latents, settings, torch.Generator().manual_seed(1)) / 3
    own, semantic = noise[:, :9].flatten(1).std(1), noise[:, 9:].flatten(1).std(1)
    assert 0.09 < semantic.min() and semantic.max() < 0.11
    assert 0.3 < (own > 0.3).float().mean() < 0.45 and own.max() > 0.9  # seven tenths of one half


def test_psnr_is_in_decibels_of_the_full_range():
    picture = torch.zeros(1, 3, 4, 4)
    assert vae_loss.psnr(picture + 0.2, picture).item() == pytest.approx(20.0)
    assert vae_loss.psnr(torch.full((1, 3, 4, 4), 5.0), torch.ones(1, 3, 4, 4)).item() == math.inf  # clamped first


def test_latent_moments_are_zero_for_unit_variance_only():
    latents = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert vae_loss.latent_moments(latents) < 1e-3
    assert vae_loss.latent_moments(latents * 2) == pytest.approx(1.0, abs=0.05)
    assert vae_loss.latent_moments(latents + 0.5) == pytest.approx(0.25, abs=0.02)
    assert vae_loss.latent_moments(latents * 0.5, std=0.5) < 1e-3


def test_the_first_latent_channels_are_asked_to_be_the_picture_made_small():
    picture = torch.full((1, 3, 8, 8), -0.5)
    picture[:, 0, :4, :4] = 1.0
    small = vae_loss.small_picture(picture, 4)
    assert small.shape == (1, 3, 2, 2)
    assert small[0, 0].tolist() == [[1.5, -0.75], [-0.75, -0.75]] and (small[0, 1:] == -0.75).all()
