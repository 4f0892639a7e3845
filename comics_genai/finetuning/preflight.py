"""Check before a fine-tuning whether this machine can finish it; if not, say what is wrong and what to do.

    print(checked(settings, folder, device))    at the top of a notebook
    check_machine(settings, device)             before anything is loaded
    check_room(trainable, settings, folder)     before the first step

`plan` answers the same question for another machine.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from comics_genai import environment, hardware
from comics_genai.bases import architectures
from comics_genai.bases.loading import UNREADABLE
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import TEXT_TARGETS, FinetuneSettings
from comics_genai.finetuning.trainable import add_adapter, make_trainable
from comics_genai.training import room

CURE = "train an adapter (--method dreambooth-lora), or choose adafactor or --fused-backward"


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
            f"The base {settings.base} takes {room.amount(needed)} of memory to load, and {room.amount(free)} are "
            "free: close other programs, use a machine with more, or a smaller base such as sd15."
        )


def architecture_of(settings: FinetuneSettings) -> architectures.Architecture | None:
    """The base's modules without weights; None if they are not known before it is downloaded."""
    if settings.base not in ("mini", *architectures.PUBLISHED) and not (Path(settings.base) / "unet").is_dir():
        return None
    try:
        return architectures.load(settings.base)
    except (UserError, *UNREADABLE):
        return None  # loading the folder will say what is wrong with it


def base_bytes(settings: FinetuneSettings) -> int:
    """The bytes of the base's weights: the UNet in its precision, the rest in float32.

    0 if they are not known before the base is downloaded.
    """
    base = architecture_of(settings)
    if base is None:
        return 0
    half = settings.precision != "fp32" and settings.method != "dreambooth"
    unet = sum(p.numel() for p in base.unet.parameters()) * (2 if half else 4)
    return unet + sum(p.numel() * 4 for module in (base.vae, *base.text_encoders) for p in module.parameters())


def check_room(trainable: nn.Module, settings: FinetuneSettings, folder: Path) -> None:
    """Raise UserError if the checkpoints do not fit the disk, or the training state does not fit the memory.

    The training state is the gradients and the optimizer's state, on the device of the weights.
    """
    device = next(p.device for p in trainable.parameters() if p.requires_grad)
    room.check(room.room_for(trainable, settings.loop()), folder, device, CURE)


def checked(settings: FinetuneSettings, folder: Path, device: str | torch.device) -> str:
    """Make all of these checks before anything is downloaded or loaded; returns in a sentence what was found.

    Of a base whose architecture is not known yet, only the machine is checked: `finetune` checks the rest.
    """
    check_machine(settings, device)
    base = architecture_of(settings)
    if base is None:
        return f"Checked: {device} computes. What {settings.base} takes is checked once it is downloaded."
    needed = room.room_for(trained_of(base, settings), settings.loop())
    room.check(needed, folder, device, CURE)
    return (
        f"Checked: {device} computes, and the base takes {room.amount(base_bytes(settings))} of memory to load; "
        f"{room.in_words(needed)}."
    )


def trained_of(base: architectures.Architecture, settings: FinetuneSettings) -> nn.Module:
    """The base's modules without weights, in which those that the method trains require gradients."""
    plain = replace(settings, start="gaussian")  # the values of the start are none here
    with torch.device("meta"):
        parts = [make_trainable(base.unet.requires_grad_(False), plain)]
        if settings.train_text_encoders and settings.method == "dreambooth":
            parts += [encoder.requires_grad_(True) for encoder in base.text_encoders]
        elif settings.train_text_encoders:
            encoders = (encoder.requires_grad_(False) for encoder in base.text_encoders)
            parts += [add_adapter(encoder, plain, TEXT_TARGETS) for encoder in encoders]
    return nn.ModuleList(parts)
