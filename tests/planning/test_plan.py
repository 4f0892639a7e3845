"""Memory is counted: known architectures, real steps on the CPU, published figures; and the recipe follows from it."""

import json
from collections import Counter
from dataclasses import fields

import pytest

from comics_genai.__main__ import main
from comics_genai.bases import architectures
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.planning import gpus
from comics_genai.planning.job import PlanSettings
from comics_genai.planning.plan import GIB, Plan, as_json, as_text, plan

PARAMETERS = {
    "sdxl": (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
    "noobai": (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
    "sd15": (859_520_964, 83_653_863, 123_060_480),
}


@pytest.fixture(scope="module")
def sd15() -> Plan:
    return plan(PlanSettings(base="sd15", method="lora", gpu="a100"))


@pytest.mark.parametrize("base", PARAMETERS)
def test_architectures_have_the_published_numbers_of_parameters(base):
    built = architectures.load(base)
    modules = (built.unet, built.vae, *built.text_encoders)
    assert tuple(sum(p.numel() for p in module.parameters()) for module in modules) == PARAMETERS[base]
    assert (built.downscale, built.size) == (8, 512 if base == "sd15" else 1024)


def test_the_miniature_and_any_diffusers_folder_are_architectures_too(tiny_sd):
    real = Base.load(tiny_sd)
    built = architectures.load(str(tiny_sd))
    assert (built.downscale, built.size) == (real.downscale, real.size)
    assert architectures.load("mini").unet.config.in_channels == 26
    with pytest.raises(UserError, match="give sdxl, noobai, sd15, mini, or a diffusers folder"):
        architectures.load("sd9")


def test_kernels_are_bound_by_arithmetic_bandwidth_or_launches():
    a100 = gpus.named("A100")
    product = gpus.Kernel(312e12, 1e9, True)
    assert a100.seconds(Counter([product])) == pytest.approx(1 / gpus.COMPUTE_SHARE)
    copy = gpus.Kernel(0, 1555e9, False)
    assert a100.seconds(Counter([copy])) == pytest.approx(1 / gpus.BANDWIDTH_SHARE)
    assert a100.seconds(Counter({gpus.Kernel(1, 1, True): 1000})) == pytest.approx(1000 * gpus.LAUNCH_SECONDS)


def test_precision_is_what_the_gpu_computes_in_hardware():
    precisions = {name: gpu.precision for name, gpu in gpus.GPUS.items()}
    assert {name for name, precision in precisions.items() if precision == "fp16"} == {"t4", "p100", "v100"}
    with pytest.raises(UserError, match="give one of t4, p100, v100, l4, .*h200"):
        gpus.named("t1000")


def test_sd15_lora_is_near_the_published_figures(sd15):
    # SimpleTuner, 512 px, batch 1: 2.9 GiB in training.
    training = sum(sd15.phases["training"].values()) / GIB
    assert training == pytest.approx(2.9, rel=0.15)
    assert sd15.fits and sd15.recipe.precision == "bf16" and not sd15.recipe.gradient_checkpointing


def test_what_does_not_fit_says_what_to_change(capsys):
    arguments = ["plan", "--base", "mini", "--method", "dreambooth", "--memory-gib", "0.56"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "It does not fit: it needs " in shown and "even with fp16 with a GradScaler, gradient checkpointing" in shown
    assert "choose --method dreambooth-lora (then " in shown and "or a GPU with at least " in shown
    assert "Time:" not in shown and "comics_genai finetune" not in shown


def test_full_sdxl_does_not_fit_a_t4():
    result = plan(PlanSettings(base="sdxl", method="dreambooth", gpu="t4"), advise=False)
    # Weights and gradients alone take 4 bytes each of a parameter.
    assert not result.fits and result.peak_gib > 8 * PARAMETERS["sdxl"][0] / GIB
    assert result.recipe.gradient_checkpointing and result.recipe.optimizer == "adamw8bit"
    assert result.seconds is None


def test_json_is_the_same_plan_and_mistakes_are_sentences(capsys):
    assert main(["plan", "--base", "mini", "--gpu", "a100", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fits"] and shown["recipe"]["precision"] == "bf16" and shown["recipe"]["sampling_batch"] == 8
    assert set(shown["phases_gib"]) == {"encoding", "training", "sampling"}
    assert shown["peak_gib"] == pytest.approx(max(sum(p.values()) for p in shown["phases_gib"].values()), abs=0.005)
    assert main(["plan", "--gpu", "t1000"]) == 2
    assert capsys.readouterr().err.startswith("There is no GPU 't1000' in the table: give one of t4, p100")
    assert main(["plan"]) == 2
    assert "or its memory, --memory-gib" in capsys.readouterr().err
    assert main(["plan", "--gpu", "t4", "--base", "mini", "--resolution", "63"]) == 2
    assert "must be a multiple of 8" in capsys.readouterr().err


def test_the_text_of_a_plan_names_the_recipe_and_a_command_that_finetune_takes(sd15):
    text = as_text(sd15)
    assert text.startswith("Planned, not measured: lora of sd15 on ")
    assert "estimate" in text and "Recipe: bf16, no gradient checkpointing, AdamW." in text
    program, *options = text.splitlines()[-1].split(" --")
    assert program == "python -m comics_genai finetune"
    given = {option.split()[0].split(".")[0].replace("-", "_") for option in options}
    assert {"base", "method", "precision", "rank"} <= given <= {field.name for field in fields(FinetuneSettings)}
    assert as_json(sd15)["estimated_seconds"]["step"] > 0
