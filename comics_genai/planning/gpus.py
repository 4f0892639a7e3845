"""A table of GPUs, and a roofline model of the time that kernels take on them.

Throughput and bandwidth are from NVIDIA's data sheets and white papers, for dense products of fp16 or bf16 that are
summed in fp32, as PyTorch does. With these sums a GeForce reaches half of its fp16 figure; a P100 has no tensor cores.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from comics_genai.errors import UserError


class Kernel(NamedTuple):
    """One GPU kernel: floating-point operations, bytes read and written, whether it computes in half precision."""

    flops: float
    bytes: float
    half: bool


# The shares of the data sheet's figures that a UNet's kernels reach, and the time that Python, peft and autograd take
# to launch a kernel. They are fitted to published steps of SDXL's LoRA at 1024 px: 0.606 s on an H100, limited by
# launches (SimpleTuner), and, with checkpointing and a float32 VAE, 3.27 s on a T4, limited by the GPU (Hugging Face's
# notebook).
COMPUTE_SHARE = 0.35
BANDWIDTH_SHARE = 0.7
LAUNCH_SECONDS = 45e-6


@dataclass(frozen=True)
class GPU:
    """A GPU with the memory that torch reports, that is without the part of ECC and the driver."""

    name: str
    memory_gib: float
    half_tflops: float
    fp32_tflops: float
    bandwidth_gb: float  # 1e9 bytes a second
    capability: tuple[int, int]

    @property
    def precision(self) -> Literal["bf16", "fp16"]:
        """bf16 from Ampere on, which computes it in hardware. Older GPUs emulate it, and fp16 is fast there."""
        return "bf16" if self.capability >= (8, 0) else "fp16"

    def seconds(self, kernels: Counter[Kernel]) -> float:
        """Estimate the time by the roofline model (Williams et al. 2009).

        Each kernel is limited by arithmetic or by bandwidth, and all together by the time to launch them.
        """
        busy = sum(count * self._bound(kernel) for kernel, count in kernels.items())
        return max(busy, kernels.total() * LAUNCH_SECONDS)

    def _bound(self, kernel: Kernel) -> float:
        tflops = self.half_tflops if kernel.half else self.fp32_tflops
        arithmetic = kernel.flops / (COMPUTE_SHARE * tflops * 1e12)
        return max(arithmetic, kernel.bytes / (BANDWIDTH_SHARE * self.bandwidth_gb * 1e9))


GPUS = {
    gpu.name.lower().replace(" ", ""): gpu
    for gpu in (
        GPU("T4", 14.6, 65, 8.1, 320, (7, 5)),
        GPU("P100", 15.9, 9.3, 9.3, 732, (6, 0)),
        GPU("V100", 15.8, 112, 14, 900, (7, 0)),
        GPU("L4", 22.0, 121, 30.3, 300, (8, 9)),
        GPU("A10G", 22.0, 70, 35, 600, (8, 6)),
        GPU("RTX 3060", 11.7, 25.5, 12.7, 360, (8, 6)),
        GPU("RTX 3090", 23.6, 71, 35.6, 936, (8, 6)),
        GPU("RTX 4090", 23.6, 165, 82.6, 1008, (8, 9)),
        GPU("L40S", 44.4, 362, 91.6, 864, (8, 9)),
        GPU("A100", 39.4, 312, 19.5, 1555, (8, 0)),
        GPU("A100-80GB", 79.1, 312, 19.5, 2039, (8, 0)),
        GPU("H100", 79.1, 989, 67, 3350, (9, 0)),
        GPU("H200", 139.7, 989, 67, 4800, (9, 0)),
    )
}


def named(name: str) -> GPU:
    """The GPU of that name. Raises UserError, which lists the names, if there is none."""
    known = GPUS.get(name.lower().replace(" ", "").removeprefix("nvidia-"))
    if known is None:
        raise UserError(
            f"There is no GPU {name!r} in the table: give one of {', '.join(GPUS)}, or --memory-gib instead of --gpu."
        )
    return known
