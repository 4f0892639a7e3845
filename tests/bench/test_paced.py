"""A measured side reports every optimizer step once, and goes on only when it is told to."""

import json
import os
import subprocess
import sys
from pathlib import Path

from comics_genai.bench import paced

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, torch
from comics_genai.bench.paced import Pace
from torch.optim.optimizer import register_optimizer_step_post_hook
register_optimizer_step_post_hook(Pace("cpu", sys.stdout))
weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
optimizers = [torch.optim.SGD([weight], 0.1) for weight in weights]  # one a weight, as in a fused backward pass
for _ in range(9):
    for weight, optimizer in zip(weights, optimizers):
        weight.grad = torch.ones(2)
        optimizer.step()
"""


def test_each_step_is_one_line_and_the_process_ends_when_it_is_not_told_to_go_on():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input="go\ngo\nstop\n", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    # The first step has no beginning of its own: it was not told to go.
    assert [row["seconds"] is None for row in rows] == [True, False, False]
    assert all(row["seconds"] > 0 for row in rows[1:]) and all(row["peak_bytes"] > 10_000_000 for row in rows)


def test_the_peak_is_this_process_own():
    held = bytes(200_000_000)
    assert paced.peak_resident() >= len(held)
    program = "from comics_genai.bench.paced import peak_resident; print(peak_resident())"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200_000_000  # not that of the process that started it
