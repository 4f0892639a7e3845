"""The machine's peak performance, and the work in a training step."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from comics_genai.bases.base import DTYPES, Base
from comics_genai.bench.workload import Side, Workload, settings
from comics_genai.finetuning.trainable import make_trainable
from comics_genai.planning import meter

SIDE = 2048  # of the matrices whose product is timed
COPIED = 2**28  # bytes, beyond any cache
REPEATS = 5


@dataclass(frozen=True)
class Ceilings:
    """Operations a second of large matrix products, and bytes a second that copying reads and writes."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Demand:
    """The work in a step: its floating-point operations, and the bytes that each of its kernels reads and writes."""

    flops: float
    bytes: float


def ceilings(precision: str, device: str, threads: int) -> Ceilings:
    """Measure the peak performance: the best of a few tries."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = (torch.randn(SIDE, SIDE, device=device).to(DTYPES[precision]) for _ in range(2))
        source = torch.ones(COPIED, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        product, copy = _best(lambda: a @ b, device), _best(lambda: target.copy_(source), device)
    finally:
        torch.set_num_threads(before)
    return Ceilings(2 * SIDE**3 / product, 2 * COPIED / copy)


def _best(function: Callable[[], object], device: str) -> float:
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def demand(work: Workload) -> Demand:
    """Count the work by running the UNet's forward and backward pass on the meta device (see `meter`)."""
    base = Base.load(work.base, "cpu", "fp32" if work.method == "dreambooth" else work.precision)
    unet = make_trainable(base.unet, settings(work, Side("", "engine"))).to("meta")
    side = work.pixels // base.downscale
    latents = (work.batch * (1 + work.preserves_prior), base.latent_channels, side, side)
    half = None if work.precision == "fp32" else DTYPES[work.precision]
    kernels = meter.training_step(unet, latents, half, work.checkpointing).kernels
    return Demand(
        sum(count * kernel.flops for kernel, count in kernels.items()),
        sum(count * kernel.bytes for kernel, count in kernels.items()),
    )


def describe(device: str) -> str:
    """The name of the processor and what matters about it."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    has = torch.cpu.get_capabilities()
    instructions = [name for name in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if has.get(name)]
    return f"{has.get('cpu_name') or platform.machine()}" + (f", {instructions[0]}" if instructions else "")
