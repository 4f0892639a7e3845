"""The memory and the disk that a training takes beside its model, checked before the first step.

    check(room_for(model, settings), Path("runs/mygirl"), device)
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from comics_genai import hardware
from comics_genai.errors import UserError
from comics_genai.training.checkpoint import CHECKPOINTS_KEPT
from comics_genai.training.loop_settings import LoopSettings

MOMENTS = {"adamw": 8, "adamw8bit": 2, "adafactor": 0, "prodigy": 16}  # bytes that an optimizer keeps for each weight
SMALLEST_DISK = 50_000_000  # bytes: log, pictures, settings
SMALLER_MODEL = "choose a smaller model, or a machine with more memory"


@dataclass(frozen=True)
class Room:
    """What a training takes: weights that are trained, bytes of memory beside the model, and bytes of the disk."""

    weights: int
    memory: int  # gradients and the optimizer's state
    disk: int  # checkpoints, the result, log and pictures
    optimizer: str


def room_for(trainable: nn.Module, settings: LoopSettings) -> Room:
    """The room for a training of the module's weights that require gradients; they may be on the meta device."""
    count = sum(p.numel() for p in trainable.parameters() if p.requires_grad)
    each = 4 + MOMENTS.get(settings.optimizer, 8) + (4 if settings.ema_decay else 0)
    memory = count * (each - 4 + (0 if settings.fused_backward else 4))
    # While a checkpoint is written there is one more than is kept; then there is the result.
    disk = count * (each * (CHECKPOINTS_KEPT + 1) + 8) + SMALLEST_DISK
    return Room(count, memory, disk, settings.optimizer)


def one_after_another(rooms: Iterable[Room]) -> Room:
    """The room for trainings of which one begins when another ends: the memory of the largest, the disk of all."""
    rooms = list(rooms)
    largest = max(rooms, key=lambda room: room.memory)
    return Room(largest.weights, largest.memory, sum(room.disk for room in rooms), largest.optimizer)


def check(room: Room, folder: Path, device: str | torch.device, cure: str = SMALLER_MODEL) -> None:
    """Raise UserError if the disk of `folder` or the device's memory has less room than the training takes.

    What an earlier start left in the folder is not needed again. cure: what to do if the memory is too small.
    """
    left = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    free = shutil.disk_usage(_existing(folder)).free
    if room.disk - left > free:
        raise UserError(
            f"The run needs {amount(room.disk - left)} on the disk for its checkpoints, and {amount(free)} are free in "
            f"{folder}: make room, or put the run on another disk."
        )
    free = torch.cuda.mem_get_info(device)[0] if hardware.is_gpu(device) else hardware.free_memory()
    if room.memory > free:
        raise UserError(
            f"Gradients and the state of {room.optimizer} take {amount(room.memory)} of memory, and {amount(free)} are "
            f"free: {cure}."
        )


def in_words(room: Room) -> str:
    """The room as part of a sentence."""
    return (
        f"{room.weights / 1e6:.1f} million weights are trained, whose gradients and optimizer state take "
        f"{amount(room.memory)} of memory; checkpoints and pictures take up to {amount(room.disk)} of the disk"
    )


def amount(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if os.path.isdir(path))
