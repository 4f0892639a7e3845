"""The diffusion step that pretraining, fine-tuning and the baseline share: noise, targets, weights, loss.

z_t = sqrt(alpha_bar_t) z + sqrt(1 - alpha_bar_t) eps          (Ho et al. 2020, eq. 4)

t = spread_timesteps(len(z), len(alpha_bar), generator)
batch = noised(z, noise, alpha_bar[t], "v_prediction", min_snr_gamma=5)
loss = weighted_error(network(batch.latents, t), batch.target, batch.weights)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from comics_genai.errors import UserError


def alpha_bar(scheduler: object) -> Tensor:
    """alpha_bar_t of a diffusers scheduler's training steps: (num_train_timesteps,) float32 in [0, 1], falling.

    0 at the end where the scheduler is configured for zero terminal SNR (Lin et al. 2024). Raises UserError for a
    scheduler without a variance-preserving noise schedule (flow matching).
    """
    alphas_cumprod = getattr(scheduler, "alphas_cumprod", None)
    if alphas_cumprod is None:
        raise UserError(
            f"The scheduler {type(scheduler).__name__} has no alphas_cumprod: only bases that predict noise or v "
            "(Stable Diffusion 1.x, 2.x, XL) can be trained here."
        )
    alphas_cumprod = alphas_cumprod.float().clone()
    # Some samplers replace the terminal 0 by a tiny number to divide by it; the training schedule has the 0.
    if getattr(scheduler.config, "rescale_betas_zero_snr", False):
        alphas_cumprod[-1] = 0.0
    return alphas_cumprod


def _like(values: Tensor, latents: Tensor) -> Tensor:
    """(B,) values shaped to multiply (B, ...) latents, in their dtype."""
    return values.to(latents.dtype).reshape(-1, *[1] * (latents.dim() - 1))


def add_noise(latents: Tensor, noise: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """z_t of latents z and noise eps, both (B, ...), with alpha_bar_t (B,) (Ho et al. 2020, eq. 4)."""
    return _like(alpha_bar_t.sqrt(), latents) * latents + _like((1 - alpha_bar_t).sqrt(), latents) * noise


def target(noise: Tensor, latents: Tensor, alpha_bar_t: Tensor, prediction_type: str) -> Tensor:
    """What the network is to predict, (B, ...).

    epsilon: the noise. v_prediction: sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z (Salimans & Ho 2022, app. D).
    sample: the latents. Raises UserError for any other type.
    """
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "v_prediction":
        return _like(alpha_bar_t.sqrt(), latents) * noise - _like((1 - alpha_bar_t).sqrt(), latents) * latents
    if prediction_type == "sample":
        return latents
    raise UserError(f"The prediction type {prediction_type!r} is unknown: use epsilon, v_prediction or sample.")


def snr(alpha_bar_t: Tensor) -> Tensor:
    """Signal-to-noise ratio alpha_bar / (1 - alpha_bar), >= 0 (Kingma et al. 2021)."""
    return alpha_bar_t / (1 - alpha_bar_t).clamp(min=torch.finfo(torch.float32).eps)


def min_snr_weight(snr: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """Loss weight of each step, like `snr`: min-SNR of Hang et al. 2023, eq. 7, on the error of what is predicted.

    min(SNR, gamma)/SNR on epsilon, min(SNR, gamma) on the latents. On v it is min(SNR + 1, gamma)/(SNR + 1), not the
    paper's min(SNR, gamma)/(SNR + 1): that vanishes with the SNR, and a base with zero terminal SNR places figures and
    colours in just those steps. gamma is 5 in the paper; 0 turns weighting off: all 1. Raises UserError for an unknown
    prediction type.
    """
    if prediction_type not in ("epsilon", "v_prediction", "sample"):
        raise UserError(f"The prediction type {prediction_type!r} is unknown: use epsilon, v_prediction or sample.")
    if gamma == 0:
        return torch.ones_like(snr)
    if prediction_type == "epsilon":
        return (gamma / snr).clamp(max=1.0)
    if prediction_type == "v_prediction":
        return (gamma / (snr + 1)).clamp(max=1.0)
    return snr.clamp(max=gamma)


def spread_timesteps(count: int, steps: int, generator: torch.Generator, noise_bias: float = 1.0) -> Tensor:
    """(count,) timesteps in [0, steps), spread evenly over the batch, which varies less than independent ones
    (the low-discrepancy sampler of Kingma et al. 2021, app. I.1).

    noise_bias: 1 = all alike; above, more of the noisy ones: steps * (1 - (1 - u)^noise_bias) of a uniform u.
    """
    u = (torch.rand(1, generator=generator) + torch.randperm(count, generator=generator) / count) % 1
    return ((1 - (1 - u) ** noise_bias) * steps).long().clamp(max=steps - 1)


class Noised(NamedTuple):
    """A batch of the diffusion step: what the network sees, what it should say, and what each example counts."""

    latents: Tensor  # z_t, (B, ...)
    target: Tensor  # (B, ...)
    weights: Tensor  # (B,), min-SNR


def noised(latents: Tensor, noise: Tensor, alpha_bar_t: Tensor, prediction_type: str, min_snr_gamma: float) -> Noised:
    """Latents and noise (B, ...) at alpha_bar_t (B,): z_t with its target and weights."""
    return Noised(
        add_noise(latents, noise, alpha_bar_t),
        target(noise, latents, alpha_bar_t, prediction_type),
        min_snr_weight(snr(alpha_bar_t), min_snr_gamma, prediction_type),
    )


def weighted_error(
    prediction: Tensor,
    target: Tensor,
    weights: Tensor,
    channel_weights: Tensor | None = None,
    cell_weights: Tensor | None = None,
) -> Tensor:
    """The mean squared error of predictions (B, C, h, w), in float32, each example's weighted by `weights` (B,).

    channel_weights: (C,), cell_weights: (B, 1, h, w); without them all channels and cells count alike.
    """
    errors = (prediction.float() - target).square()
    if channel_weights is not None:
        errors = errors * channel_weights[:, None, None]
    if cell_weights is not None:
        errors = errors * cell_weights
    return (weights * errors.mean((1, 2, 3))).mean()
