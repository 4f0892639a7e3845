"""The UNet's training, with tiny numbers."""

import json

import numpy as np
import PIL.Image
import torch

from comics_genai import world
from comics_genai.pretrain import clip, unet_training, vae


def test_the_loss_is_the_weighted_error_of_v(smoke, words):
    """A step's loss against the same written out: v's squared error, by channel, by SNR, and by where the figure is."""
    images = np.load(smoke.folder / "dataset" / "images.npy", mmap_mode="r")
    parts = vae.load(smoke.folder / "vae"), clip.load(smoke.folder / "clip", words), words, images
    training = unet_training.UnetTraining(smoke.unet, *parts, smoke.folder / "unet", "cpu")
    settings, seen = training.settings, {}
    predict = training.predict

    def spy(noisy, t, hidden, pooled):
        seen.update(noisy=noisy, t=t, v=predict(noisy, t, hidden, pooled))
        return seen["v"]

    training.predict = spy
    loss, logged = training.step_loss(0, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    n = settings.batch_size
    chosen = torch.randint(len(images), (n,), generator=generator)
    torch.randint(unet_training.CAPTIONS_A_PICTURE, (n,), generator=generator)
    torch.rand(n, generator=generator)
    z, noise = training.latents[chosen].float(), torch.randn(seen["v"].shape, generator=generator)
    a = training.alpha_bar[seen["t"]][:, None, None, None]
    torch.testing.assert_close(seen["noisy"], a.sqrt() * z + (1 - a).sqrt() * noise)
    error = (seen["v"] - (a.sqrt() * noise - (1 - a).sqrt() * z)).square()
    ratio = a / (1 - a).clamp(min=1e-7)
    figure = unet_training.figure_weights(training.joints[chosen], z.shape[-1], settings.figure_weight)
    weights = (settings.min_snr_gamma / (ratio + 1)).clamp(max=1) if settings.min_snr_gamma else torch.ones_like(ratio)
    weights = weights * torch.where(ratio > unet_training.PLACED_SNR, figure, torch.ones_like(figure))
    by_channel = torch.tensor([1.0] * 9 + [settings.semantic_weight] * 17)[:, None, None]
    torch.testing.assert_close(loss, (weights * by_channel * error).mean(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(logged["v_error"], error[:, :9].mean())
    torch.testing.assert_close(logged["semantic_error"], error.mean())


def test_errors_of_a_face_weigh_most_then_those_of_the_arms():
    joints = torch.full((1, len(world.JOINTS), 2), 0.9)
    joints[0, world.JOINTS.index("head")] = torch.tensor([0.5, 0.25])
    joints[0, world.JOINTS.index("left_hand")] = torch.tensor([0.1, 0.6])
    weights = unet_training.figure_weights(joints, 16, 3.0)
    assert weights.shape == (1, 1, 16, 16)
    assert (weights[0, 0, 3:5, 7:9] == 4).all()  # rows first: y 0.25, x 0.5
    assert weights[0, 0, 9, 1] == 2 and weights[0, 0, 0, 0] == 1  # y 0.6, x 0.1
    assert (weights == 4).sum() == 16  # cells whose centre is nearer than 0.14
    assert (unet_training.figure_weights(joints, 16, 0.0) == 1).all()


def test_samples_stand_below_the_drawings_of_their_captions(smoke):
    with PIL.Image.open(smoke.folder / "unet" / "samples_000004.png") as sheet:
        assert sheet.size == (unet_training.SAMPLES * 128, 2 * 128)
    row = json.loads((smoke.folder / "unet" / "log.jsonl").read_text().splitlines()[-1])
    assert row["validation_v_error"] > 0 and 0 <= row["validation_paper_error"] <= 1
