"""The GANs' and the diffusion's arithmetic, each against its formula."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import nn
from torch.nn import functional as F

from comics_genai.baselines import augment, data, ddpm, gan
from comics_genai.training import objective
from comics_genai.training.loop import LoopSettings
from tests.baseline_settings import DCGAN, DDPM, LITE, generator, noise, parameters


@pytest.mark.parametrize("settings", [LITE, DCGAN])
def test_each_players_gradient_is_its_own_losss_alone(settings):
    settings = replace(settings, r1_gamma=0.0)
    model = gan.build(settings).train()
    model.controller.p.fill_(0.5)
    alone = copy.deepcopy(model)
    drawings = noise(6, 3, 32, 32)
    loss, logs = gan.GanLoss(model, settings, drawings)(1, generator(5))
    loss.backward()

    # The same draws in the same order, each loss in a backward pass of its own.
    draws = generator(5)
    real = drawings[data.in_turn(6, 1, 4)]
    fake = alone.generator(torch.randn(4, 8, generator=draws))
    if settings.augment:
        real, fake = (augment.diff_augment(x, 0.5, draws) for x in (real, fake))
    D = alone.discriminator
    loss_d = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
    expected = torch.autograd.grad(loss_d, list(D.parameters()))
    for parameter, gradient in zip(model.discriminator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    loss_g = F.softplus(-D(fake)).mean()
    expected = torch.autograd.grad(loss_g, list(alone.generator.parameters()))
    for parameter, gradient in zip(model.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert logs["loss_discriminator"].item() == pytest.approx(loss_d.item(), rel=1e-5)
    assert logs["loss_generator"].item() == pytest.approx(loss_g.item(), rel=1e-5)
    assert logs["gradient_at_fakes"] > 0


def test_the_generators_loss_does_not_move_the_discriminators_statistics():
    model = gan.build(DCGAN).train()
    gan.GanLoss(model, DCGAN, noise(6, 3, 32, 32))(0, generator())
    counts = [m.num_batches_tracked.item() for m in model.discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert counts == [2] * len(counts) and counts  # real and fake, each once


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weight():
    w = noise(3, 4, 4).requires_grad_()
    real = noise(5, 3, 4, 4, seed=1).requires_grad_()
    penalty = gan.r1_penalty((real * w).sum((1, 2, 3)), real)
    assert penalty.item() == pytest.approx(w.square().sum().item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(penalty, w)
    torch.testing.assert_close(gradient, 2 * w)


def test_r1_is_taken_lazily_with_as_many_times_the_weight():
    settings = replace(LITE, r1_gamma=3.0, r1_every=4, augment=False)
    model, drawings = gan.build(settings).train(), noise(4, 3, 32, 32)
    objective_ = gan.GanLoss(model, settings, drawings)
    loss, logs = objective_(4, generator())
    without = logs["loss_discriminator"] + logs["loss_generator"]
    assert loss.item() == pytest.approx((without + 3 / 2 * 4 * logs["r1"]).item(), rel=1e-6)
    assert "r1" not in objective_(5, generator())[1]


def test_discriminator_outputs_tell_overfitting_from_its_absence():
    model, pictures = gan.build(LITE), noise(8, 3, 32, 32)
    same = gan.GanLoss(model, LITE, pictures, pictures)._mean_outputs()
    assert same["gap"] == 0 and same["r_v"] == 0

    class Overfitted(nn.Module):
        def forward(self, x):
            return (x.flatten(1).mean(1) > 0.5).float()  # sure of what is white, of nothing else

    model.discriminator = Overfitted()
    over = gan.GanLoss(model, LITE, torch.ones(6, 3, 32, 32), torch.zeros(9, 3, 32, 32))._mean_outputs()
    assert (over["d_drawings"], over["d_held_out"], over["gap"], over["r_v"]) == (1, 0, 1, 1)
    assert (over["accuracy_drawings"], over["accuracy_held_out"]) == (1, 0)


def test_interpolation_goes_along_the_circle_from_one_end_to_the_other():
    ends = torch.eye(2)
    path = gan.interpolate(ends[0], ends[1], 3)
    torch.testing.assert_close(path, torch.tensor([[1.0, 0.0], [0.5**0.5, 0.5**0.5], [0.0, 1.0]]))
    torch.testing.assert_close(gan.interpolate(ends[0], ends[0], 3), ends[0].expand(3, 2))


def test_the_real_settings_have_the_sizes_they_claim():
    assert 1e6 <= parameters(gan.build(gan.VERSION_2).generator) <= 4e6
    assert 1e6 <= parameters(gan.build(replace(gan.VERSION_2, size=128)).generator) <= 4e6
    for settings in (ddpm.SETTINGS_32, ddpm.SETTINGS_32_CPU, ddpm.SETTINGS_256, ddpm.SETTINGS_256_CPU):
        assert 5e6 <= parameters(ddpm.build(settings)) <= 10e6


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("settings", [LITE, DCGAN])
def test_networks_draw_and_judge_at_every_size(settings, size):
    model = gan.build(replace(settings, size=size)).eval()
    with torch.no_grad():
        pictures = model.generator(torch.randn(2, 8))
        assert pictures.shape == (2, 3, size, size) and pictures.abs().max() <= 1
        assert model.discriminator(pictures).shape == (2,)


def test_the_cosine_schedule_is_the_papers():
    t = torch.arange(1001, dtype=torch.float64)
    f = torch.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2).square()
    expected = (f / f[0])[1:].float()
    capped = ddpm.schedule(ddpm.DdpmSettings(zero_terminal_snr=False))
    torch.testing.assert_close(capped, expected, atol=1e-5, rtol=0)
    assert 0 < capped[-1] < 1e-8
    zero = ddpm.schedule(ddpm.DdpmSettings())
    assert zero[-1] == 0 and (zero.diff() < 0).all()
    torch.testing.assert_close(zero, expected, atol=1e-4, rtol=0)


def test_without_zero_terminal_snr_the_scaled_linear_schedule_keeps_signal_to_the_end():
    settings = ddpm.DdpmSettings(schedule="scaled_linear", zero_terminal_snr=False)
    alpha_bar = ddpm.schedule(settings)
    assert alpha_bar[-1].sqrt().item() == pytest.approx(0.068265, abs=1e-5)  # Lin et al. 2024, table 1
    zero = ddpm.schedule(replace(settings, zero_terminal_snr=True))
    assert zero[-1] == 0 and zero[0].item() == pytest.approx(alpha_bar[0].item(), abs=1e-6)


def test_the_shift_multiplies_the_noise_to_signal_ratio():
    plain, shifted = ddpm.cosine_alpha_bar(100)[1:-1], ddpm.cosine_alpha_bar(100, shift=4.0)[1:-1]
    torch.testing.assert_close((1 - shifted) / shifted, 16 * (1 - plain) / plain)


def test_ddim_without_eta_is_a_function_of_the_noise():
    model = ddpm.build(DDPM).eval()
    x = torch.randn(2, 3, 8, 8, generator=generator())
    for eta in (0.0, 1.0):
        sampling = ddpm.DdpmSampling(steps=5, eta=eta)
        once, again, other = (ddpm.denoise(model, x, sampling, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(once, again)
        assert torch.equal(once, other) == (eta == 0)
        assert once.abs().max() <= 1.0001 and once.shape == x.shape


@pytest.mark.parametrize(("kind", "eta", "steps"), [(DDIMScheduler, 0.0, 5), (DDPMScheduler, 1.0, 20)])
def test_samplers_are_those_of_diffusers(kind, eta, steps):
    model = ddpm.build(DDPM).eval()
    noised = x = torch.randn(2, 3, 8, 8, generator=generator())
    alpha_bar = torch.cat([torch.ones(1), ddpm.schedule(DDPM)])
    scheduler = kind(
        20,
        trained_betas=(1 - alpha_bar[1:] / alpha_bar[:-1]).tolist(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(steps)
    draws, options = generator(1), {"use_clipped_model_output": True} if kind is DDIMScheduler else {}
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t.expand(2)), t, x, generator=draws, **options).prev_sample
    ours = ddpm.denoise(model, noised, ddpm.DdpmSampling(steps, eta), generator(1))
    torch.testing.assert_close(ours, x, atol=1e-4, rtol=0)


class Knowing(nn.Module):
    """Predicts v of one known picture."""

    settings = DDPM

    def __init__(self, picture: torch.Tensor):
        super().__init__()
        self.picture, self.alpha_bar = picture, ddpm.schedule(self.settings)

    def forward(self, x, t):
        alpha_bar_t = self.alpha_bar[t]
        a = alpha_bar_t.reshape(-1, 1, 1, 1)
        eps = (x - a.sqrt() * self.picture) / (1 - a).sqrt()
        return objective.target(eps, self.picture.expand_as(x), alpha_bar_t, "v_prediction")


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_sampling_with_the_true_v_ends_at_the_picture(eta, steps):
    picture = noise(1, 3, 8, 8)
    x = torch.randn(2, 3, 8, 8, generator=generator())
    out = ddpm.denoise(Knowing(picture), x, ddpm.DdpmSampling(steps, eta), generator())
    torch.testing.assert_close(out, picture.expand_as(out), atol=1e-4, rtol=0)


def test_a_single_white_picture_is_learned_as_white(tmp_path):
    settings = replace(
        DDPM, augment=0.0, dropout=0.0, batch_size=4, loop=LoopSettings(steps=60, learning_rate=4e-3, log_every=60)
    )
    ddpm.train_ddpm(settings, torch.ones(1, 3, 8, 8), tmp_path)
    pictures = np.stack([np.asarray(picture) for picture in ddpm.sample(ddpm.load(tmp_path), 4, seed=3)])
    assert pictures.mean((1, 2, 3)).min() > 230  # 255 is white, 128 grey
