"""Randomness of a step as a function of (seed, step), never of what was drawn before.

Before a step all generators are seeded anew: torch (all devices), numpy, random, and the step's own. A run that
was interrupted therefore draws what it would have drawn, and no random state has to be saved.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def step_seed(seed: int, step: int) -> int:
    """64-bit seed of a step, unrelated between neighbouring seeds and steps."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0])


def seed_step(seed: int, step: int) -> torch.Generator:
    """Seed the global generators of torch, numpy and random for a step; returns the step's own generator, on the CPU.

    The generator is on the CPU so that a step draws the same numbers on every device.
    """
    value = step_seed(seed, step)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)
    return torch.Generator().manual_seed(step_seed(seed, step + 2**32))


@contextmanager
def global_random_states_kept(device: torch.device) -> Iterator[None]:
    """Whatever is seeded or drawn within, the global random states are afterwards as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
