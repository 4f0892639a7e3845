"""The UNet and its schedule."""

import torch

from comics_genai.pretrain import unet
from comics_genai.training.objective import add_noise, alpha_bar, target


def test_sampling_begins_without_signal_and_a_perfect_network_draws_pure_white():
    scheduler = unet.scheduler()
    alphas = alpha_bar(scheduler)
    assert alphas[-1] == 0 and alphas[0] > 0.99
    scheduler.set_timesteps(25)
    assert scheduler.timesteps[0] == 999
    white = torch.full((1, 12, 16, 16), 2.5)
    noise = torch.randn(white.shape, generator=torch.Generator().manual_seed(0))
    z = add_noise(white, noise, alphas[-1:])
    assert torch.equal(z, noise)
    for t in scheduler.timesteps:
        a = alphas[t].reshape(1)
        left = (z - a.sqrt() * white) / (1 - a).sqrt()
        z = scheduler.step(target(left, white, a, "v_prediction"), t, z).prev_sample
    assert (z - white).abs().max() < 1e-2
