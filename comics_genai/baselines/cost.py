"""Measure the seconds and the memory of a training step of a diffusion model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import PIL.Image
import torch

from comics_genai.planning.meter import Meter, optimizer_bytes

from . import ddpm
from .data import prepare


@dataclass(frozen=True)
class StepCost:
    """The cost of a step: parameters, seconds (on a CPU, time of one core), peak bytes, and those of activations."""

    parameters: int
    seconds: float
    peak: int
    activations: int


def step_cost(
    settings: ddpm.DdpmSettings,
    images: Sequence[PIL.Image.Image],
    repeats: int = 2,
    device: torch.device | str = "cpu",
) -> StepCost:
    """Measure a step on drawings: the fastest of `repeats` forward and backward passes with AdamW's update.

    The memory is that of live tensors, counted in another pass, with weights, gradients, AdamW's moments and the
    average. The memory that an allocator or a library holds besides is not counted.
    """
    model = ddpm.build(settings).to(device).train()
    objective = ddpm.DdpmLoss(model, prepare(images, settings.size).to(device))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    seconds, clock = [], time.process_time if torch.device(device).type == "cpu" else time.perf_counter
    for repeat in range(repeats):
        start = clock()
        loss, _ = objective(repeat, torch.Generator().manual_seed(0))
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        seconds.append(clock() - start)
        optimizer.zero_grad(set_to_none=True)
    weights, meter = list(model.parameters()), Meter(block=1)
    hooks = [p.register_post_accumulate_grad_hook(lambda p: meter.assign([p.grad], "gradients")) for p in weights]
    with meter:
        meter.assign(weights, "trainable")
        meter.start()
        objective(0, torch.Generator().manual_seed(0))[0].backward()
    for hook in hooks:
        hook.remove()
    average = sum(p.numel() * p.itemsize for p in weights) if settings.loop.ema_decay else 0
    peak = meter.peak + optimizer_bytes(weights, "adamw") + average
    parameters = sum(p.numel() for p in weights)
    return StepCost(parameters, min(seconds), peak, meter.cost().parts.get("activations", 0))


def table(costs: Mapping[str, StepCost]) -> str:
    """The costs in Markdown, also relative to the first one."""
    first = next(iter(costs.values()))
    lines = ["| | parameters | seconds a step, × | memory, × |", "| :-- | --: | --: | --: |"]
    for name, cost in costs.items():
        lines.append(
            f"| {name} | {cost.parameters / 1e6:.1f} M | {cost.seconds:.2f}, × {cost.seconds / first.seconds:.0f} | "
            f"{cost.peak / 1e6:,.0f} MB, × {cost.peak / first.peak:.0f} |"
        )
    return "\n".join(lines)
