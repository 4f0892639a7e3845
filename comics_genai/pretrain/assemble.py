"""Puts the trained stages together: a pipeline that StableDiffusionXLPipeline.from_pretrained loads unchanged."""

import os
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline

from comics_genai.errors import UserError

from . import clip as clip_stage
from . import tokenizer as tokenizer_stage
from . import unet as unet_stage
from . import vae as vae_stage

LARGEST_FILE = 16_000_000  # bytes
LARGEST_BASE = 60_000_000


def assemble(stages: Path, target: Path, unet_settings: unet_stage.UnetSettings) -> Path:
    """Writes the base to `target` in fp16 from the finished stages; the old base stays until the new one is whole.

    Raises UserError where a stage is not finished or the result is larger than a repository should carry.
    """
    needed = {"vae": "ema", "clip": "weights", "unet": "ema"}
    for stage, kind in needed.items():
        if not (stages / stage / f"{kind}.safetensors").exists():
            raise UserError(f"The stage {stage} has not finished in {stages / stage}: run `python -m comics_genai pretrain` first.")
    tokenizer = tokenizer_stage.load(stages / "tokenizer")
    vae = vae_stage.load(stages / "vae")
    clip = clip_stage.load(stages / "clip", tokenizer)
    unet = unet_stage.load(stages / "unet", unet_settings, vae, clip)
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=clip.text_encoder,
        text_encoder_2=clip.text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=unet_stage.scheduler(),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    ).to(dtype=torch.float16)
    fresh = target.with_name(f".{target.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    pipeline.save_pretrained(fresh, safe_serialization=True, max_shard_size="15MB")
    clip.image_tower.save(fresh / "image_tower")
    if (stages / "scorer" / "export").exists():
        shutil.copytree(stages / "scorer" / "export", fresh / "scorer")
    files = [file for file in fresh.rglob("*") if file.is_file()]
    if max(file.stat().st_size for file in files) > LARGEST_FILE or sum(f.stat().st_size for f in files) > LARGEST_BASE:
        raise UserError(f"The base in {fresh} is larger than 60 MB, or a file of it than 16 MB: choose a narrower UNet.")
    if (target / "README.md").exists():
        shutil.copy2(target / "README.md", fresh / "README.md")
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(fresh, target)
    shutil.rmtree(old, ignore_errors=True)
    return target
