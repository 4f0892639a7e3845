"""The diffusion model's schedule and samplers, each against its formula."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import nn

from comics_genai.baselines import ddpm
from comics_genai.training import objective
from comics_genai.training.loop import LoopSettings
from tests.baseline_settings import DDPM, generator, noise


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
