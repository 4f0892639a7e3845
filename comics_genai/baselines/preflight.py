"""Check before a training from scratch whether this machine can finish it; if not, say what is wrong and what to do.

    print(checked(folder, device, settings))    at the top of a notebook
"""

from pathlib import Path

import torch

from comics_genai import hardware
from comics_genai.training import room

from . import ddpm, gan

Settings = gan.GanSettings | ddpm.DdpmSettings


def checked(folder: Path, device: str | torch.device, *settings: Settings) -> str:
    """Check the device, its memory and the disk for these trainings, of which one begins when another ends.

    Returns in a sentence what was found; raises UserError if they do not fit. folder: of the run.
    """
    device = hardware.usable(device)
    needed = room.one_after_another(_room(each) for each in settings)
    room.check(needed, Path(folder), device)
    return f"Checked: {device} computes; {room.in_words(needed)}."


def _room(settings: Settings) -> room.Room:
    build = gan.build if isinstance(settings, gan.GanSettings) else ddpm.build
    with torch.device("meta"):
        return room.room_for(build(settings), settings.loop)
