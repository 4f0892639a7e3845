"""Every sampler has the base's own noise schedule."""

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.sampling.schedulers import SCHEDULERS, scheduler_of


@pytest.mark.parametrize("name", ["default", *SCHEDULERS])
def test_a_sampler_keeps_the_bases_schedule_and_prediction_type(name, tiny_sdxl, tiny_sd):
    for folder in (tiny_sdxl, tiny_sd):
        own = Base.load(folder).pipeline.scheduler
        scheduler = scheduler_of(Base.load(folder), name)
        assert scheduler is not own and scheduler.config.prediction_type == own.config.prediction_type
        torch.testing.assert_close(scheduler.alphas_cumprod[:-1], own.alphas_cumprod[:-1])


def test_a_schedule_that_ends_in_noise_is_drawn_from_its_last_step_on(tiny_sdxl, tiny_sd):
    noise_to_the_end, signal = (scheduler_of(Base.load(folder), "ddim") for folder in (tiny_sdxl, tiny_sd))
    for scheduler in (noise_to_the_end, signal):
        scheduler.set_timesteps(4)
    assert noise_to_the_end.timesteps[0] == 999 and signal.timesteps[0] < 999


def test_karras_spacing_is_on_where_it_is_named():
    assert SCHEDULERS["dpm++-karras"][1] == {"use_karras_sigmas": True} and SCHEDULERS["dpm++"][1] == {}
