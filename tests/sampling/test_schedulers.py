"""Samplers follow the base's configuration: also that of fine-tuned SDXL as people draw comics with, NoobAI's."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from comics_genai.bases.base import Base
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling, generate
from comics_genai.sampling.schedulers import SCHEDULERS, scheduler_of
from comics_genai.training.checkpoint import Log
from comics_genai.training.objective import alpha_bar, noised

# The fields that matter of NoobAI XL V-Pred's scheduler_config.json.
NOOBAI = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


@pytest.fixture(scope="module")
def noobai(tiny_sdxl, tmp_path_factory):
    """A tiny random SDXL with that scheduler."""
    folder = tmp_path_factory.mktemp("noobai") / "base"
    shutil.copytree(tiny_sdxl, folder)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(NOOBAI))
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "EulerDiscreteScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_prediction_type_and_the_end_without_signal_come_from_the_configuration(noobai, tiny_sd):
    base, plain = Base.load(noobai), Base.load(tiny_sd)
    assert (base.prediction_type, plain.prediction_type) == ("v_prediction", "epsilon")
    assert alpha_bar(base.pipeline.scheduler)[-1] < 1e-6 < 5e-4 < alpha_bar(plain.pipeline.scheduler)[-1]


def test_drawing_begins_at_the_last_step_of_a_schedule_that_ends_without_signal(noobai, tiny_sd):
    for name in ("default", *SCHEDULERS):
        scheduler = scheduler_of(Base.load(noobai), name)
        scheduler.set_timesteps(4)
        assert float(scheduler.timesteps[0]) == pytest.approx(999, abs=1), name
    spaced = scheduler_of(Base.load(tiny_sd), "default")  # any other base keeps its own spacing
    assert spaced.config.timestep_spacing == Base.load(tiny_sd).pipeline.scheduler.config.timestep_spacing == "leading"


def test_such_a_base_trains_and_draws_through_the_same_code(noobai, character_folder, tmp_path):
    settings = FinetuneSettings(
        drawings=str(character_folder), base=str(noobai), steps=3, batch_size=2, rank=2, variants=1, warmup_steps=0
    )
    assert finetune(settings, tmp_path / "run").finished
    assert all(np.isfinite(row["loss"]) for row in Log(tmp_path / "run").rows() if "loss" in row)
    base = Base.load(noobai)
    made = generate(base, ["a drawing of UnicornGirl, a girl"], [0, 1], tmp_path / "drawn", Sampling(steps=3))
    assert np.asarray(made[0].image).std() > 0 and made[0].image.tobytes() != made[1].image.tobytes()
    assert made[0].record["scheduler"] == EulerDiscreteScheduler.__name__


def test_where_nothing_is_left_of_the_drawing_the_target_is_the_drawing_itself(noobai):
    """v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z (Salimans and Ho 2022): at alpha_bar = 0 it is -z."""
    base, generator = Base.load(noobai), torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(2, base.latent_channels, 4, 4, generator=generator) for _ in range(2))
    last = alpha_bar(base.pipeline.scheduler)[[999, 999]]
    noisy, target, weights = noised(latents, noise, last, base.prediction_type, 5.0)
    assert torch.allclose(noisy, noise, atol=2e-3) and torch.allclose(target, -latents, atol=2e-3)
    assert weights.isfinite().all()
