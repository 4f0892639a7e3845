"""Train one model in several processes, each on its own batches, started by `accelerate launch` or `torchrun`.

    accelerate launch --multi_gpu --num_processes 2 -m -- comics_genai finetune --drawings my_drawings

The gradients are averaged, so n processes do what one process does with n times as many batches a step (`accumulate`).
Only the first process writes, validates and prints. Without a launcher, the functions here do nothing.

accelerate's Accelerator is not used: it wraps model, optimizer and data loader. Here a batch is a function of seed and
step, and a checkpoint holds plain tensors, so that a run resumes to the same bytes with any launcher.
"""

import os
import sys
from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def join() -> None:
    """Connect to the other processes, if there are any; use this process's own GPU, and print only in the first one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if not is_first():
        os.environ["TQDM_DISABLE"] = "1"
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  stays open to the end of the process


def work_alone() -> str:
    """Let this process train on its own even if a launcher started several; returns its device, or "" without one.

    This is for work in which the processes share whole runs rather than batches.
    """
    os.environ["WORLD_SIZE"] = "1"
    rank = os.environ.get("LOCAL_RANK", "")
    return f"cuda:{rank}" if rank and torch.cuda.is_available() else ""


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the first process, the one that writes."""
    return rank() == 0


def average(gradients: Iterable[Tensor]) -> None:
    """Replace the gradients by their means over all processes, in place."""
    if count() > 1:
        for gradient in gradients:
            distributed.all_reduce(gradient)
            gradient /= count()


def any_of(wish: bool, device: torch.device) -> bool:
    """Whether the wish holds in any process.

    All processes must stop at the same step, or those that go on would wait forever.
    """
    if count() == 1:
        return wish
    wishes = torch.tensor(int(wish), device=device)
    distributed.all_reduce(wishes, distributed.ReduceOp.MAX)
    return bool(wishes)


def wait() -> None:
    """Wait until all processes have come here."""
    if count() > 1:
        distributed.barrier()
