"""Make the C library keep the memory that a training step frees, because the next step needs the same again.

glibc returns large freed blocks to the system, so that every step pays for new zeroed pages. With the miniature's UNet
on one core, that takes 10 % of a step.
"""

import ctypes
import sys

# Parameters of mallopt(3) with their values in bytes. Blocks above 32 MiB, the largest threshold that glibc takes, are
# still returned at once, so the weights of a large base do leave memory.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD = -3, -1, -2
KEPT = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 512 << 20, M_TOP_PAD: 64 << 20}


def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MiB, at most 512 MiB in all, for reuse. False if the C library is not glibc."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in KEPT.items())
