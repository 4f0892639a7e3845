"""The random numbers of a step depend on (seed, step) alone, never on what was drawn before.

Before each step, all generators are seeded anew: torch (all devices), numpy, random, and the step's own. A resumed run
therefore draws what it would have drawn without the interruption, and no random state has to be saved.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def step_seed(seed: int, step: int) -> int:
    """A 64-bit seed for a step; those of neighbouring seeds and steps are unrelated."""
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
    """A context after which the global random states are as before, whatever was seeded or drawn in it."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
