"""The C library's allocator, told to keep what a training step frees: the next step wants the same again.

glibc gives large freed blocks back to the system, and every step then pays for fresh zeroed pages: on one core 10 % of
a step's time of the miniature's UNet, all of it the system's.
"""

import ctypes
import sys

# Parameters of mallopt(3) with their values in bytes. Blocks above 32 MiB, the largest threshold that glibc takes, are
# returned at once as ever: the weights of a large base do leave memory.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD = -3, -1, -2
KEPT = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 512 << 20, M_TOP_PAD: 64 << 20}


def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MiB, at most 512 MiB in all, for reuse. False where the C library is not glibc."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in KEPT.items())
