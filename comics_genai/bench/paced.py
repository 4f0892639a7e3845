"""One side of a measurement, in its own process: it trains and waits after every step until it is told to go on.

    python -m comics_genai.bench.paced '{"device": "cpu", "base": ..., "script": ..., "arguments": [...]}'
    python -m comics_genai.bench.paced '{"device": "cpu", "run": ..., "settings": {...}}'

Each optimizer step writes a line of JSON: the seconds since it was told to go on (none for the first), and the peak
memory in bytes. Waiting is not measured, so several sides can take turns on the same cores.
"""

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any, TextIO


class Pace:
    """Called after every optimizer step of this process, the engine's or the script's."""

    def __init__(self, device: str, out: TextIO):
        self.device, self.out, self.began, self.first = device, out, None, None

    def __call__(self, optimizer: Any, *arguments: Any) -> None:
        import torch

        # If steps are taken inside the backward pass, every weight has its own optimizer.
        self.first = self.first or optimizer
        if optimizer is not self.first:
            return
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds = None if self.began is None else now - self.began
        peak = torch.cuda.max_memory_allocated() if self.device == "cuda" else peak_resident()
        print(json.dumps({"seconds": seconds, "peak_bytes": peak}), file=self.out, flush=True)
        if sys.stdin.readline().strip() != "go":
            os._exit(0)  # a normal exit would first write a checkpoint, which is not needed
        self.began = time.perf_counter()


def peak_resident() -> int:
    """The most memory that this process has held, in bytes."""
    try:
        # getrusage would not do: a process starts with the peak of its parent.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def main(told: dict[str, Any]) -> None:
    # Standard output is for the measurements alone; what the training prints goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(Pace(told["device"], out))
    # Each side imports only what it needs.
    if "script" in told:
        from comics_genai.bench.stand_ins import stand_in

        stand_in(told["base"])
        sys.argv = [told["script"], *told["arguments"]]
        runpy.run_path(told["script"], run_name="__main__")
    else:
        from comics_genai.finetuning.settings import FinetuneSettings
        from comics_genai.finetuning.train import finetune
        from comics_genai.sampling.generate import Sampling

        given = told["settings"] | {"sampling": Sampling(**told["settings"]["sampling"])}
        finetune(FinetuneSettings(**given), Path(told["run"]), told["device"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
