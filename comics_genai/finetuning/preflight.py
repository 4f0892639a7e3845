"""Check before a fine-tuning whether this machine can finish it; if not, say what is wrong and what to do.

    check_machine(settings, device)            before anything is loaded
    check_room(trainable, settings, folder)    before the first step

`plan` answers the same question for another machine.
"""

import os
import shutil
import warnings
from pathlib import Path

import torch
from torch import nn

from comics_genai import environment, hardware
from comics_genai.bases import architectures
from comics_genai.bases.loading import UNREADABLE
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.training.checkpoint import CHECKPOINTS_KEPT

MOMENTS = {"adamw": 8, "adamw8bit": 2, "adafactor": 0, "prodigy": 16}  # bytes that an optimizer keeps for each weight
SMALLEST_DISK = 50_000_000  # bytes: log, pictures, settings


def check_machine(settings: FinetuneSettings, device: str | torch.device, loaded: bool = False) -> None:
    """Raise UserError if the device cannot compute, peft cannot make adapters, or the base does not fit the memory.

    loaded: the base is in memory already. Warns of a precision that the device only emulates.
    """
    device = hardware.usable(device)
    if device.type == "cuda" and settings.precision == "bf16" and hardware.precision(device) != "bf16":
        warnings.warn(
            f"{torch.cuda.get_device_name(device)} emulates bf16, many times slower than what it has in hardware: "
            "use --precision fp16.",
            stacklevel=3,
        )
    if settings.method != "dreambooth" and environment.has_old_torchao():
        raise UserError(
            f"The installed torchao is older than {environment.TORCHAO_MINIMUM}, and with it peft makes no adapter: "
            "run `pip uninstall --yes torchao` (nothing here needs it), and restart Python."
        )
    needed = 0 if loaded else base_bytes(settings)
    if needed > (free := hardware.free_memory()):
        raise UserError(
            f"The base {settings.base} takes {_gb(needed)} of memory to load, and {_gb(free)} are free: close other "
            "programs, use a machine with more, or a smaller base such as sd15."
        )


def base_bytes(settings: FinetuneSettings) -> int:
    """The bytes of the base's weights: the UNet in its precision, the rest in float32.

    0 if they are not known before the base is downloaded.
    """
    if settings.base not in architectures.PUBLISHED and not (Path(settings.base) / "unet").is_dir():
        return 0
    try:
        base = architectures.load(settings.base)
    except (UserError, *UNREADABLE):
        return 0  # loading the folder will say what is wrong with it
    half = settings.precision != "fp32" and settings.method != "dreambooth"
    unet = sum(p.numel() for p in base.unet.parameters()) * (2 if half else 4)
    return unet + sum(p.numel() * 4 for module in (base.vae, *base.text_encoders) for p in module.parameters())


def check_room(trainable: nn.Module, settings: FinetuneSettings, folder: Path) -> None:
    """Raise UserError if the checkpoints do not fit the disk, or the training state does not fit the memory.

    The training state is the gradients and the optimizer's state, on the device of the weights.
    """
    weights = [p for p in trainable.parameters() if p.requires_grad]
    count, device = sum(p.numel() for p in weights), weights[0].device
    each = 4 + MOMENTS.get(settings.optimizer, 8) + (4 if settings.ema_decay else 0)
    # While a checkpoint is written there is one more than is kept; then there is the result.
    on_disk = count * (each * (CHECKPOINTS_KEPT + 1) + 8) + SMALLEST_DISK
    on_disk -= sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    free = shutil.disk_usage(_existing(folder)).free
    if on_disk > free:
        raise UserError(
            f"The run needs {_gb(on_disk)} on the disk for its checkpoints, and {_gb(free)} are free in {folder}: make "
            "room, or put the run on another disk."
        )
    in_memory = count * (each - 4 + (0 if settings.fused_backward else 4))
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else hardware.free_memory()
    if in_memory > free:
        raise UserError(
            f"Gradients and the state of {settings.optimizer} take {_gb(in_memory)} of memory, and {_gb(free)} are "
            "free: train an adapter (--method dreambooth-lora), or choose adafactor or --fused-backward."
        )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if os.path.isdir(path))


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
