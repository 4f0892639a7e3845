"""What a step takes of a GPU is counted without numbers, and agrees with real steps on the CPU."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from comics_genai.bases import architectures
from comics_genai.bases.base import Base
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.trainable import make_trainable
from comics_genai.planning import meter


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
