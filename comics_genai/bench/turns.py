"""Measure several sides in turns on the same cores, so that the machine's other load affects them equally.

    measured = take_turns(work, sides, folder, script, rounds=12, steps=5, threads=2)
    speedup(measured["script"], measured["engine"])
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comics_genai import environment
from comics_genai.bench.workload import Side, Workload, arguments, settings
from comics_genai.errors import UserError

RESAMPLES = 2000


@dataclass
class Measured:
    """The figures of one side: seconds until the end of its first step, peak memory, and seconds of its steps.

    The seconds of its steps have the shape (rounds, steps).
    """

    startup: float
    peak_bytes: int
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median seconds of a step."""
        return float(np.median(self.rounds))


class Runner:
    """The process of a side. It waits until it is told to take a step."""

    def __init__(self, work: Workload, side: Side, folder: Path, script: Path | None, threads: int):
        told: dict[str, Any] = {"device": work.device}
        if side.who == "script":
            told |= {"base": work.base, "script": str(script), "arguments": arguments(work, folder)}
        else:
            told |= {"run": str(folder / side.name), "settings": asdict(settings(work, side))}
        count = str(threads)
        variables = os.environ | environment.QUIET | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        variables |= {"TQDM_DISABLE": "1"} | ({"CUDA_VISIBLE_DEVICES": ""} if work.device == "cpu" else {})
        self.side, self.log = side, tempfile.TemporaryFile("w+", encoding="utf-8")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comics_genai.bench.paced", json.dumps(told)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=variables,
            cwd=environment.root(),
        )  # fmt: skip
        first = self._line()
        self.measured = Measured(time.perf_counter() - began, first["peak_bytes"])

    def step(self) -> float:
        """Take one more step; returns its seconds."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self._line()
        self.measured.peak_bytes = line["peak_bytes"]
        return line["seconds"]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def _line(self) -> dict[str, float]:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        said = self.log.read().strip().splitlines() or ["it said nothing"]
        raise UserError(f"{self.side.name} ended before it was measured: {said[-1]}")


def take_turns(
    work: Workload, sides: Sequence[Side], folder: Path, script: Path | None, rounds: int, steps: int, threads: int
) -> dict[str, Measured]:
    """Start the sides one after the other, then let each take `steps` steps in each round, in a rotating order.

    Raises UserError, with the last lines of its output, if a side ends by itself.
    """
    runners: list[Runner] = []
    try:
        for side in sides:
            runners.append(Runner(work, side, folder, script, threads))
        for runner in runners:
            runner.step()  # the second step is not typical yet, as buffers are still being allocated
        for i in range(rounds):
            turn = i % len(runners)
            for runner in runners[turn:] + runners[:turn]:
                runner.measured.rounds.append([runner.step() for _ in range(steps)])
        return {runner.side.name: runner.measured for runner in runners}
    finally:
        for runner in runners:
            runner.stop()


def speedup(theirs: Measured, ours: Measured, seed: int = 0) -> tuple[float, float, float]:
    """The ratio of the median steps and its 95 % interval, by resampling the rounds."""
    a, b = np.array(theirs.rounds), np.array(ours.rounds)
    drawn = np.random.default_rng(seed).integers(len(a), size=(RESAMPLES, len(a)))
    ratios = np.median(a[drawn], axis=(1, 2)) / np.median(b[drawn], axis=(1, 2))
    return theirs.seconds / ours.seconds, *(float(q) for q in np.quantile(ratios, (0.025, 0.975)))
