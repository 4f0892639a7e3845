"""Samplers by name, each with the base's own noise schedule."""

from typing import Any

import diffusers

from comics_genai.bases.base import Base

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}


def scheduler_of(base: Base, name: str) -> Any:
    """A fresh diffusers scheduler with the base's noise schedule and prediction type.

    If the base's schedule ends without any signal, sampling starts from the last step, whatever spacing the
    configuration says. Published ones say "leading", which leaves that step out, so that bright and dark pictures
    become grey (Lin et al. 2024, sec. 3.3).
    """
    config = base.pipeline.scheduler.config
    trailing = {"timestep_spacing": "trailing"} if config.get("rescale_betas_zero_snr") else {}
    if name == "default":
        return type(base.pipeline.scheduler).from_config(config, **trailing)
    class_name, options = SCHEDULERS[name]
    return getattr(diffusers, class_name).from_config(config, **trailing, **options)
