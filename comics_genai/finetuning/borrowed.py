"""Lend a loaded base to a fine-tuning and restore it afterwards, so that it need not be loaded twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from comics_genai.bases.adapters import load_adapters
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings


@contextmanager
def borrowed(base: Base, settings: FinetuneSettings, device: str | torch.device) -> Iterator[Base]:
    """A context in which the base has no adapter and may be trained.

    Afterwards it has its own weights, no adapter, and all its parts on its device again. A copy of weights that are
    trained in place (method dreambooth) is kept in the CPU's memory. Raises UserError if the base is not that of the
    settings, has another precision, or is on another device.
    """
    wanted = {
        "name": (base.name, settings.base),
        "precision": (base.precision, settings.weights_precision),
        "device": (str(base.device), str(torch.device(device))),
    }
    for what, (is_, should_be) in wanted.items():
        if is_ != should_be:
            raise UserError(
                f"The {what} of the base that was handed over is {is_}, but these settings need {should_be}: load it "
                "with Base.load(settings.base, device, settings.weights_precision)."
            )
    load_adapters(base, [])
    parts = base.modules()
    trained = [base.unet, *base.text_encoders().values()] if settings.method == "dreambooth" else []
    originals = [(p, p.detach().to("cpu", copy=True)) for module in trained for p in module.parameters()]
    processors = base.unet.attn_processors
    try:
        yield base
    finally:
        base.put_back(parts)
        load_adapters(base, [])  # this removes a trained adapter and a learnt token as it removes loaded ones
        base.unet.set_attn_processor(processors)
        base.unet.disable_gradient_checkpointing()
        base.unet._compiled_call_impl = None  # `compile` set this, and torch has no function that resets it
        with torch.no_grad():
            for parameter, original in originals:
                parameter.copy_(original)
        for module in (base.unet, *base.text_encoders().values()):
            module.zero_grad(set_to_none=True)
            module.requires_grad_(False).eval()
