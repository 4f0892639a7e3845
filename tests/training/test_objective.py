"""The diffusion objective's algebra."""

import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from comics_genai.errors import UserError
from comics_genai.training import objective

ALPHA_BAR = torch.tensor([0.9, 0.5, 0.1, 0.0])


@pytest.fixture
def latents_and_noise():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 5, 5, generator=generator), torch.randn(4, 3, 5, 5, generator=generator)


def test_noised_latents_agree_with_the_scheduler(latents_and_noise):
    latents, noise = latents_and_noise
    scheduler = DDPMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    t = torch.tensor([0, 300, 900, 999])
    alpha_bar_t = objective.alpha_bar(scheduler)[t]
    torch.testing.assert_close(objective.add_noise(latents, noise, alpha_bar_t), scheduler.add_noise(latents, noise, t))
    torch.testing.assert_close(
        objective.target(noise, latents, alpha_bar_t, "v_prediction"), scheduler.get_velocity(latents, noise, t)
    )


@pytest.mark.parametrize("scheduler_class", [DDPMScheduler, EulerDiscreteScheduler])
def test_zero_terminal_snr_is_exactly_zero_whatever_the_sampler(scheduler_class):
    alpha_bar = objective.alpha_bar(scheduler_class(rescale_betas_zero_snr=True))
    assert alpha_bar[-1] == 0 and (alpha_bar.diff() < 0).all()
    assert objective.alpha_bar(scheduler_class())[-1] > 0


def test_flow_matching_is_refused_with_a_sentence():
    with pytest.raises(UserError, match="FlowMatchEulerDiscreteScheduler has no alphas_cumprod"):
        objective.alpha_bar(FlowMatchEulerDiscreteScheduler())


def test_latents_come_back_from_noised_latents_and_v(latents_and_noise):
    latents, noise = latents_and_noise
    noised = objective.add_noise(latents, noise, ALPHA_BAR)
    v = objective.target(noise, latents, ALPHA_BAR, "v_prediction")
    a, b = ALPHA_BAR.sqrt().reshape(-1, 1, 1, 1), (1 - ALPHA_BAR).sqrt().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(a * noised - b * v, latents)


def test_epsilon_and_sample_targets_are_the_noise_and_the_latents(latents_and_noise):
    latents, noise = latents_and_noise
    assert objective.target(noise, latents, ALPHA_BAR, "epsilon") is noise
    assert objective.target(noise, latents, ALPHA_BAR, "sample") is latents
    with pytest.raises(UserError, match="'flow' is unknown"):
        objective.target(noise, latents, ALPHA_BAR, "flow")


def test_snr_is_signal_over_noise():
    torch.testing.assert_close(objective.snr(ALPHA_BAR), torch.tensor([9.0, 1.0, 1 / 9, 0.0]))
    assert objective.snr(torch.ones(1)).isfinite()


def test_min_snr_weights_are_the_papers_but_on_v_keep_the_steps_without_signal():
    snr = torch.tensor([9.0, 1.0, 0.0])
    expected = {"epsilon": [5 / 9, 1, 1], "v_prediction": [0.5, 1, 1], "sample": [5, 1, 0]}
    for prediction_type, weights in expected.items():
        torch.testing.assert_close(objective.min_snr_weight(snr, 5.0, prediction_type), torch.tensor(weights).float())


def test_gamma_zero_turns_weighting_off():
    assert objective.min_snr_weight(torch.tensor([9.0, 0.0]), 0.0, "v_prediction").tolist() == [1, 1]


def test_timesteps_are_spread_over_the_whole_schedule():
    t = torch.stack([objective.spread_timesteps(4, 1000, torch.Generator().manual_seed(i)) for i in range(500)])
    assert t.sort(1).values.diff(dim=1).sub(250).abs().max() <= 1  # one in each quarter
    assert t.min() < 10 and t.max() > 989
    assert abs(t[:, 0].float().mean() - 499.5) < 40  # no place in the batch is always early
    biased = torch.stack([objective.spread_timesteps(4, 1000, torch.Generator().manual_seed(i), 2) for i in range(500)])
    # 1 - (1 - u)^2 of a uniform u has the mean 2/3.
    assert biased.float().mean() == pytest.approx(666, abs=3) and biased.max() == 999


def test_the_error_is_weighted_by_example_channel_and_cell():
    prediction, target = torch.ones(2, 2, 2, 2), torch.zeros(2, 2, 2, 2)
    prediction[1] = 3
    weights = torch.tensor([1.0, 0.5])
    assert objective.weighted_error(prediction, target, weights) == pytest.approx((1 + 0.5 * 9) / 2)
    channels = torch.tensor([1.0, 0.0])
    assert objective.weighted_error(prediction, target, weights, channels) == pytest.approx((1 + 0.5 * 9) / 4)
    cells = torch.zeros(2, 1, 2, 2)
    cells[:, :, 0, 0] = 1
    alone = objective.weighted_error(prediction, target, weights, channels, cells)
    assert alone == pytest.approx((1 + 0.5 * 9) / 16)


def test_a_noised_batch_holds_its_latents_target_and_weights():
    generator = torch.Generator().manual_seed(0)
    z, noise = torch.randn(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 4, 4, generator=generator)
    alpha_bar_t = torch.tensor([0.25, 0.96])
    batch = objective.noised(z, noise, alpha_bar_t, "v_prediction", 5.0)
    torch.testing.assert_close(batch.latents[0], 0.5 * z[0] + 0.75**0.5 * noise[0])
    torch.testing.assert_close(batch.target[0], 0.5 * noise[0] - 0.75**0.5 * z[0])
    torch.testing.assert_close(batch.weights, torch.tensor([1.0, 5 / 25]))  # the second's SNR is 24
