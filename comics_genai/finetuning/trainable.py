"""The weights that a method trains: all of the UNet, or new adapters beside its frozen weights."""

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from torch import nn

from comics_genai.bases.base import Base
from comics_genai.bases.textual_inversion import LearnedToken
from comics_genai.finetuning.settings import LORA_TARGETS, TEXT_TARGETS, FinetuneSettings


def make_trainable(unet: nn.Module, settings: FinetuneSettings) -> nn.Module:
    """Let only the method's weights in the UNet require gradients, in float32; returns the UNet."""
    if settings.method == "dreambooth":
        return unet.requires_grad_(True)
    return add_adapter(unet, settings, LORA_TARGETS[settings.lora_targets])


def add_adapter(module: nn.Module, settings: FinetuneSettings, targets: list[str]) -> nn.Module:
    """Add a new float32 adapter at `targets`, the only part of the module that requires gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module.add_adapter(
            LoraConfig(
                r=settings.rank,
                lora_alpha=settings.alpha,
                lora_dropout=settings.lora_dropout,
                use_dora=settings.dora,
                init_lora_weights="gaussian",
                target_modules=targets,
            )
        )
        if settings.start == "orthogonal":
            _orthogonalize(module)
    # In half precision, many small updates would be lost by rounding.
    cast_training_params(module, dtype=torch.float32)
    return module


def _orthogonalize(module: nn.Module) -> None:
    """Make the rows of each factor A orthogonal, with the length of gaussian rows; as B = 0, the product stays 0.

    peft's own orthogonal start handles only linear layers, and its product is 0 only while the whole rank is active.
    """
    for layer in module.modules():
        for factor in getattr(layer, "lora_A", {}).values():
            weight = factor.weight
            nn.init.orthogonal_(weight, gain=weight[0].numel() ** 0.5 / len(weight))


def trainable_parts(base: Base, settings: FinetuneSettings, token: LearnedToken | None) -> nn.Module:
    """One module with everything that is trained: the UNet alone, or the UNet, the text encoders and a token."""
    unet = make_trainable(base.unet, settings)
    if settings.least_rank and settings.method != "dreambooth":
        base.shrink_rank(settings.least_rank)
    parts: dict[str, nn.Module] = {}
    if settings.train_text_encoders:
        full = settings.method == "dreambooth"
        for name, module in base.text_encoders().items():
            parts[name] = module.requires_grad_(True) if full else add_adapter(module, settings, TEXT_TARGETS)
    if token is not None:
        parts["token"] = token
    return nn.ModuleDict({"unet": unet, **parts}) if parts else unet
