"""What the machine gives, and what a step asks of it."""

from dataclasses import replace

import pytest

from comics_genai.bench import machine
from comics_genai.bench.workload import Workload


@pytest.fixture
def work(tiny_sdxl, character_folder) -> Workload:
    return Workload(str(tiny_sdxl), 32, str(character_folder), batch=2, rank=4, precision="fp32")


def test_a_step_never_asks_for_more_than_the_machine_gives(work):
    ceilings, demand = machine.ceilings("fp32", "cpu", 1), machine.demand(work)
    assert ceilings.flops > 1e9 and ceilings.bandwidth > 1e8
    # Twice the pictures are twice the work, but for weights and embeddings of the timestep.
    double = machine.demand(replace(work, batch=4))
    assert 1.9 < double.flops / demand.flops <= 2 and 1.5 < double.bytes / demand.bytes < 2
