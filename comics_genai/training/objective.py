"""One diffusion training step (noise, target, weight, loss), which pretraining, fine-tuning and the baseline share.

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
    """alpha_bar_t for all training steps of a diffusers scheduler: (num_train_timesteps,) float32, falling in [0, 1].

    It ends at 0 if the scheduler has zero terminal SNR (Lin et al. 2024). Raises UserError for a scheduler without a
    variance-preserving noise schedule (flow matching).
    """
    alphas_cumprod = getattr(scheduler, "alphas_cumprod", None)
    if alphas_cumprod is None:
        raise UserError(
            f"The scheduler {type(scheduler).__name__} has no alphas_cumprod: only bases that predict noise or v "
            "(Stable Diffusion 1.x, 2.x, XL) can be trained here."
        )
    alphas_cumprod = alphas_cumprod.float().clone()
    # Some samplers replace the last 0 by a tiny number, to be able to divide by it. Training needs the 0.
    if getattr(scheduler.config, "rescale_betas_zero_snr", False):
        alphas_cumprod[-1] = 0.0
    return alphas_cumprod


def _like(values: Tensor, latents: Tensor) -> Tensor:
    """Reshape values (B,) so that they multiply latents (B, ...), in the latents' dtype."""
    return values.to(latents.dtype).reshape(-1, *[1] * (latents.dim() - 1))


def add_noise(latents: Tensor, noise: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """The noised latents z_t of z and noise eps, both (B, ...), at alpha_bar_t (B,) (Ho et al. 2020, eq. 4)."""
    return _like(alpha_bar_t.sqrt(), latents) * latents + _like((1 - alpha_bar_t).sqrt(), latents) * noise


def target(noise: Tensor, latents: Tensor, alpha_bar_t: Tensor, prediction_type: str) -> Tensor:
    """What the network has to predict, (B, ...).

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
    """The loss weight of each step, of the shape of `snr`: min-SNR of Hang et al. 2023, sec. 3.4 and 4.2.

    It is min(SNR, gamma)/SNR for epsilon and min(SNR, gamma) for the latents. For v it is min(SNR + 1, gamma)/(SNR + 1)
    instead of the paper's min(SNR, gamma)/(SNR + 1). The paper's weight goes to 0 with the SNR, but in just those steps
    a base with zero terminal SNR decides where figures and colours go. gamma is 5 in the paper; with 0 all weights are
    1. Raises UserError for an unknown prediction type.
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
    """Timesteps (count,) in [0, steps), spread evenly over the batch, so that the loss varies less.

    This is the low-discrepancy sampler of Kingma et al. 2021, app. I.1. noise_bias: 1 draws all timesteps equally
    often; more draws noisy ones more often, as steps * (1 - (1 - u)^noise_bias) with u uniform.
    """
    u = (torch.rand(1, generator=generator) + torch.randperm(count, generator=generator) / count) % 1
    return ((1 - (1 - u) ** noise_bias) * steps).long().clamp(max=steps - 1)


class Noised(NamedTuple):
    """A batch of the diffusion step: the network's input, its target, and the weight of each example."""

    latents: Tensor  # z_t, (B, ...)
    target: Tensor  # (B, ...)
    weights: Tensor  # (B,), min-SNR


def noised(latents: Tensor, noise: Tensor, alpha_bar_t: Tensor, prediction_type: str, min_snr_gamma: float) -> Noised:
    """Noise latents with `noise`, both (B, ...), at alpha_bar_t (B,): z_t with its target and weights."""
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
    """The mean squared error of predictions (B, C, h, w) in float32, with a weight for each example, `weights` (B,).

    channel_weights: (C,). cell_weights: (B, 1, h, w). Without them all channels and cells count equally.
    """
    errors = (prediction.float() - target).square()
    if channel_weights is not None:
        errors = errors * channel_weights[:, None, None]
    if cell_weights is not None:
        errors = errors * cell_weights
    return (weights * errors.mean((1, 2, 3))).mean()
