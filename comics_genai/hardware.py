"""The machine's device, the precision it computes in hardware, its cores and its memory.

Each is tried rather than read from a flag. The functions import torch themselves, because `environment` imports this
module before torch may be installed.
"""

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from comics_genai.errors import UserError

if TYPE_CHECKING:
    import torch

# Pascal (a P100 is 6.0) and Volta: newer builds, and torch from 2.15 on, have no kernels for them.
NEWEST_BUILDS_FROM = (7, 5)
TORCH_FOR_OLD_GPUS = "torch==2.14.1 --index-url https://download.pytorch.org/whl/cu126"
CONTAINER = Path("/sys/fs/cgroup")


@cache
def device() -> "torch.device":
    """The GPU if it computes correctly, else the CPU. If a GPU is there but fails, one printed sentence says why."""
    import torch

    if torch.cuda.is_available():
        # is_available() also holds for a GPU that the installed torch has no kernels for.
        try:
            check_arithmetic("cuda")
            return torch.device("cuda")
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            print(
                f"This machine's GPU cannot be used by torch {torch.__version__} ({reason}), so this runs on the CPU: "
                f"{gpu_advice('cuda')}."
            )
    return torch.device("cpu")


def gpu_advice(device: "torch.device | str") -> str:
    """What the user can do about a device that does not compute, as the second half of a sentence."""
    import torch

    if not is_gpu(device):
        return "leave it out, and the best there is will be taken"
    try:
        major, minor = torch.cuda.get_device_capability(device)
    except (RuntimeError, AssertionError):
        return "check its driver with nvidia-smi, or leave it out to run on the CPU"
    if (major, minor) >= NEWEST_BUILDS_FROM:
        return "install a torch built for that GPU to use it"
    return (
        f"its compute capability {major}.{minor} has kernels in torch's builds for CUDA 12.6 alone, so run "
        f"`pip install {TORCH_FOR_OLD_GPUS}` and restart"
    )


def check_arithmetic(device: "torch.device | str") -> None:
    """Run a matrix product and a convolution on the device and read the results back; raises RuntimeError."""
    import torch

    x = torch.ones(8, 8, device=device)
    product = (x @ x).sum().item()
    convolved = torch.nn.functional.conv2d(x[None, None], x[None, None, :3, :3]).sum().item()
    if (product, convolved) != (512.0, 324.0):
        raise RuntimeError(f"wrong arithmetic: {product} for 512 and {convolved} for 324")


def usable(device: "torch.device | str") -> "torch.device":
    """The device, which computes. Raises UserError for a name of none and for one that does not."""
    import torch

    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"There is no device {str(device)!r}: give cpu, cuda, cuda:1 or mps.") from error
    try:
        check_arithmetic(found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"The device {found} cannot be used ({reason}): {gpu_advice(found)}.") from error
    return found


def is_gpu(device: "torch.device | str") -> bool:
    """Whether that is a CUDA GPU."""
    return str(device).partition(":")[0] == "cuda"


def precision(device: "torch.device | str") -> Literal["fp32", "bf16", "fp16"]:
    """The fastest autocast precision that the device computes in hardware.

    A T4 says that it can do bf16 but only emulates it, so it gets fp16. A CPU gets bf16 if its AMX unit has bf16 tiles,
    which makes training two to three times faster. With avx512_bf16 alone the gain is smaller, so the user must ask.
    """
    import torch

    if is_gpu(device):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _has_amx_bf16() else "fp32"


def _has_amx_bf16() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False


def available_cores() -> int:
    """The number of cores that this process may use, by its affinity and its container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CONTAINER / "cpu.max").read_text(encoding="ascii").split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max" for no quota
        return count


def free_memory() -> int:
    """Bytes of RAM that this process may still take: the system's, or its container's if that is less.

    Only Linux reports it; elsewhere the result is sys.maxsize, that is no limit.
    """
    free = sys.maxsize
    try:
        free = 1024 * int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text("ascii"))[1])
        limit = int((CONTAINER / "memory.max").read_text("ascii"))
        used = int((CONTAINER / "memory.current").read_text("ascii"))
        # The kernel frees cached pages of files when a process needs memory.
        pages = int(re.search(r"^file (\d+)", (CONTAINER / "memory.stat").read_text("ascii"), re.MULTILINE)[1])
        free = min(free, limit - used + pages)
    except (OSError, ValueError, TypeError):  # no such file, or "max" for no limit
        pass
    return max(free, 0)


def peak_memory(device: "torch.device") -> int:
    """The most bytes that this process has held: in tensors on a GPU, or in all on a CPU."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes, Linux in KiB
