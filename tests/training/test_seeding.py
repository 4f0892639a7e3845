"""A step's randomness is a function of seed and step alone."""

import random

import numpy as np
import torch

from comics_genai.training.seeding import global_random_states_kept, seed_step, step_seed


def drawn(generator: torch.Generator) -> tuple[float, ...]:
    return (
        random.random(),
        float(np.random.rand()),
        torch.rand(1).item(),
        torch.rand(1, generator=generator).item(),
    )


def test_the_same_step_draws_the_same_whatever_was_drawn_before():
    with global_random_states_kept(torch.device("cpu")):
        first = drawn(seed_step(3, 7))
        drawn(seed_step(3, 8))
        assert drawn(seed_step(3, 7)) == first
        assert len(set(first)) == 4  # the step's own generator is not torch's


def test_neighbouring_seeds_and_steps_are_unrelated():
    assert len({step_seed(seed, step) for seed in range(20) for step in range(20)}) == 400


def test_global_states_are_as_they_were():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with global_random_states_kept(torch.device("cpu")):
        drawn(seed_step(0, 0))
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[2])
    assert np.array_equal(np.random.get_state()[1], before[1])
