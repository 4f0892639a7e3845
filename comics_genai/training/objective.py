"""The diffusion objective, shared by pretraining and fine-tuning: noising, targets, SNR and min-SNR weights.

z_t = sqrt(alpha_bar_t) z + sqrt(1 - alpha_bar_t) eps          (Ho et al. 2020, eq. 4)
"""

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
