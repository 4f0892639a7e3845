"""A tiny Stable Diffusion 1 pipeline under the names of CompVis' code, as single-file checkpoints hold it."""

import re
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from comics_genai.publishing.export import stability_name

UNET = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
VAE = [
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"mid_block\.attentions\.0", "mid.attn_1"), (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"up_blocks\.(\d)\.resnets", r"up.\1.block"), (r"_blocks\.(\d)\.(down|up)samplers\.0", r".\1.\2sample"),
    ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"), ("group_norm", "norm"),
    (r"to_out\.0", "proj_out"), (r"to_([qkv])", r"\1"),
]  # fmt: skip


def write(pipeline: StableDiffusionPipeline, path: Path) -> Path:
    """The pipeline as one .safetensors file."""
    tensors = dict(_unet(pipeline)) | dict(_vae(pipeline)) | dict(_text(pipeline))
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def _unet(pipeline: StableDiffusionPipeline) -> Iterator[tuple[str, Tensor]]:
    layers = pipeline.unet.config.layers_per_block
    for key, tensor in pipeline.unet.state_dict().items():
        module, _, kind = key.rpartition(".")
        if sampler := re.match(r"(down|up)_blocks\.(\d)\.", key) if "samplers" in key else None:
            level = int(sampler[2])
            if sampler[1] == "down":
                name = f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
            else:
                attends = hasattr(pipeline.unet.up_blocks[level], "attentions")
                name = f"output_blocks.{level * (layers + 1) + layers}.{1 + attends}.conv"
        elif module in UNET:
            name = UNET[module]
        else:
            name = stability_name(module, layers)
            if ".resnets." in module:
                name = name.replace("norm1", "in_layers.0").replace("norm2", "out_layers.0")
        yield f"model.diffusion_model.{name}.{kind}", tensor


def _vae(pipeline: StableDiffusionPipeline) -> Iterator[tuple[str, Tensor]]:
    last = len(pipeline.vae.config.block_out_channels) - 1
    for key, tensor in pipeline.vae.state_dict().items():
        if ".attentions." in key and tensor.dim() == 2:
            tensor = tensor[:, :, None, None]  # a convolution there
        name = re.sub(r"up_blocks\.(\d)", lambda m: f"up_blocks.{last - int(m[1])}", key)
        for old, new in VAE:
            name = re.sub(old, new, name)
        yield f"first_stage_model.{name}", tensor


def _text(pipeline: StableDiffusionPipeline) -> Iterator[tuple[str, Tensor]]:
    for key, tensor in pipeline.text_encoder.state_dict().items():
        yield f"cond_stage_model.transformer.text_model.{key.removeprefix('text_model.')}", tensor
