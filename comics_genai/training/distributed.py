"""Several processes train one model, each on its own batches, as `accelerate launch` or `torchrun` started them.

    accelerate launch --multi_gpu --num_processes 2 -m -- comics_genai finetune --drawings my_drawings

The gradients are averaged, so n processes do what one does with n times the batches a step (`accumulate`). The first
process alone writes, validates and speaks. Started without a launcher, everything here does nothing.

accelerate's Accelerator is not used inside: it wraps model, optimizer and data loader, while here a batch is a function
of seed and step and a checkpoint holds plain tensors, so that a run resumes to the same bytes with any launcher.
"""

import os
import sys
from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def join() -> None:
    """Meet the other processes, if the launcher started any; take this process's own GPU, and be silent but in one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if not is_first():
        os.environ["TQDM_DISABLE"] = "1"
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  to the end of the process


def work_alone() -> str:
    """Let this process train on its own though a launcher started several; its device, "" where the launcher says none.

    For work that is shared by the run and not by the batch.
    """
    os.environ["WORLD_SIZE"] = "1"
    rank = os.environ.get("LOCAL_RANK", "")
    return f"cuda:{rank}" if rank and torch.cuda.is_available() else ""


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number among them, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def average(gradients: Iterable[Tensor]) -> None:
    """Replace the gradients by their means over all processes, in place."""
    if count() > 1:
        for gradient in gradients:
            distributed.all_reduce(gradient)
            gradient /= count()


def any_of(wish: bool, device: torch.device) -> bool:
    """Whether any process has the wish: all must stop at the same step, or those that go on would wait for ever."""
    if count() == 1:
        return wish
    wishes = torch.tensor(int(wish), device=device)
    distributed.all_reduce(wishes, distributed.ReduceOp.MAX)
    return bool(wishes)


def wait() -> None:
    """Go on when all processes are here."""
    if count() > 1:
        distributed.barrier()
