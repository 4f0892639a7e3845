"""Memory is counted: known architectures, real steps on the CPU, published figures; and the recipe follows from it."""

import json
from collections import Counter
from dataclasses import fields

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from comics_genai.__main__ import main
from comics_genai.bases import architectures
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.trainable import make_trainable
from comics_genai.planning import gpus, meter
from comics_genai.planning.job import Job, PlanSettings
from comics_genai.planning.plan import GIB, Plan, as_json, as_text, plan

PARAMETERS = {
    "sdxl": (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
    "noobai": (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
    "sd15": (859_520_964, 83_653_863, 123_060_480),
}


@pytest.fixture(scope="module")
def sdxl() -> Job:
    return Job(PlanSettings(base="sdxl", method="lora"), "fp16")


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


def allocated_by(run) -> int:
    """Bytes that `run` holds at its peak beyond what was there before, as the CPU's allocator reports them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events, sizes = profiler.profiler.kineto_results.experimental_event_tree(), []
    while events:
        event = events.pop()
        events += event.children
        if event.name == "[memory]":
            sizes.append((event.start_time_ns, event.extra_fields.alloc_size))
    held = peak = 0
    for _, size in sorted(sizes, key=lambda timed: timed[0]):
        held += size
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_counted_step_is_a_real_step_of_the_miniature_within_a_tenth(method, checkpointing):
    settings = FinetuneSettings(method=method)
    unet = make_trainable(Base.load("mini").unet, settings).train()
    latents = (6, 26, 16, 16)

    def step() -> None:
        inputs, added = meter.unet_inputs(unet, latents)
        prediction = unet(*inputs, added_cond_kwargs=added, return_dict=False)[0]
        (prediction - inputs[0]).square().mean().backward()

    if checkpointing:
        unet.enable_gradient_checkpointing()
    real = allocated_by(step)
    unet.zero_grad(set_to_none=True)
    parts = meter.training_step(unet.to("meta"), latents, None, checkpointing, block=1).parts
    counted = sum(size for part, size in parts.items() if part not in ("weights", "trainable"))
    assert counted == pytest.approx(real, rel=0.1)


def test_checkpointing_lowers_activations_and_rank_is_linear_in_bytes():
    def parts(rank: int, checkpointing: bool) -> dict[str, int]:
        unet = architectures.load("mini").unet.to(torch.bfloat16).requires_grad_(False)
        unet = make_trainable(unet, FinetuneSettings(rank=rank))
        return meter.training_step(unet, (8, 26, 16, 16), torch.bfloat16, checkpointing, block=1).parts

    low, high, checkpointed = parts(8, False), parts(16, False), parts(16, True)
    assert high["trainable"] == 2 * low["trainable"]
    assert checkpointed["activations"] < 0.7 * high["activations"]
    assert checkpointed["weights"] == high["weights"] == low["weights"]


def test_eight_bit_moments_take_a_quarter():
    large, small = torch.empty(1024, 1024, device="meta"), torch.empty(100, device="meta")
    assert meter.optimizer_bytes([large, small], "adamw") == 8 * 2**20 + 800
    assert meter.optimizer_bytes([large, small], "adamw8bit") == 2 * (2**20 + 4 * 2**12) + 800


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


@pytest.mark.parametrize(("checkpointing", "published"), [(False, 13.0), (True, 6.5)])
def test_sdxl_lora_at_1024_px_is_near_the_published_figures(sdxl, checkpointing, published):
    # SimpleTuner, batch 1, an adapter of another kind and about the same size.
    cost = sdxl.training(checkpointing, False)
    states = meter.optimizer_bytes(sdxl.trained, "adamw")
    assert (cost.peak + states) / GIB == pytest.approx(published, rel=0.15)
    assert cost.parts["weights"] == pytest.approx(2 * PARAMETERS["sdxl"][0], rel=0.001)
    assert states == pytest.approx(2 * cost.parts["trainable"], rel=0.001)


def test_estimated_seconds_are_near_published_ones(sdxl):
    h100, t4 = gpus.named("h100"), gpus.named("t4")
    steps = {checkpointing: sdxl.training(checkpointing, False).kernels for checkpointing in (False, True)}
    assert h100.seconds(steps[False]) == pytest.approx(0.606, rel=0.3)
    assert h100.seconds(steps[True]) == pytest.approx(1.080, rel=0.3)
    # Hugging Face's notebook encodes a picture in every step.
    assert t4.seconds(steps[True]) + t4.seconds(sdxl.encoding().kernels) == pytest.approx(3.27, rel=0.3)


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
    assert "estimate" in text and "Recipe: bf16, no gradient checkpointing, AdamW." in text
    program, *options = text.splitlines()[-1].split(" --")
    assert program == "python -m comics_genai finetune"
    given = {option.split()[0].split(".")[0].replace("-", "_") for option in options}
    assert {"base", "method", "precision", "rank"} <= given <= {field.name for field in fields(FinetuneSettings)}
    assert as_json(sd15)["estimated_seconds"]["step"] > 0
