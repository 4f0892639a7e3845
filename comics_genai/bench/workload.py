"""The training of a measurement, as settings for the engine and as arguments for diffusers' script."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import nn
from transformers import CLIPTokenizer

from comics_genai import drawings, environment
from comics_genai.bases import architectures
from comics_genai.bases.base import Base, Precision
from comics_genai.drawings.captions import class_prompt, instance_prompt
from comics_genai.finetuning.encoded_data import prepare
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.sampling.generate import Sampling
from comics_genai.training.optimizers import Name as Optimizer

SUBJECT = "UnicornGirl", "girl"
ENDLESS = 10**6  # steps; the measurement stops the training earlier
CLASS = "class_images"  # the folder beside that of the run in which `finetune` looks for them


@dataclass(frozen=True)
class Workload:
    """A fine-tuning of a base folder, with the settings that both sides share."""

    base: str
    pixels: int
    drawings: str
    batch: int = 6  # drawings in each step; prior preservation adds as many class pictures
    rank: int = 16
    precision: Precision = "bf16"
    method: Literal["dreambooth-lora", "lora", "dreambooth"] = "dreambooth-lora"
    checkpointing: bool = False
    optimizer: Optimizer = "adamw"
    fused_backward: bool = False
    learning_rate: float = 1e-3
    device: str = "cpu"

    @property
    def preserves_prior(self) -> bool:
        return self.method == "dreambooth-lora"


@dataclass(frozen=True)
class Side:
    """A side of the measurement: "script" is diffusers' script, "engine" is this project."""

    name: str
    who: Literal["engine", "script"]
    compile: bool = False
    prior: Literal["images", "prediction"] = "images"


def settings(work: Workload, side: Side) -> FinetuneSettings:
    """The workload as settings of this project.

    Features that diffusers' script does not have are off: variants, min-SNR with a prior (with which it fails), dropped
    captions, a schedule.
    """
    return FinetuneSettings(
        drawings=work.drawings,
        identifier=SUBJECT[0],
        class_name=SUBJECT[1],
        base=work.base,
        method=work.method,
        steps=ENDLESS,
        batch_size=work.batch,
        learning_rate=work.learning_rate,
        schedule="constant",
        warmup_steps=0,
        optimizer=work.optimizer,
        fused_backward=work.fused_backward,
        rank=work.rank,
        alpha=float(work.rank),
        prior=side.prior if work.preserves_prior else "none",
        class_images=work.batch,
        min_snr_gamma=0.0,
        caption_dropout=0.0,
        variants=1,
        size=work.pixels,
        precision=work.precision,
        gradient_checkpointing=work.checkpointing,
        compile=side.compile,
        sampling=Sampling(steps=4),  # of the class pictures, whose quality does not matter here
    )


def arguments(work: Workload, folder: Path) -> list[str]:
    """The workload as arguments of diffusers' `train_dreambooth_lora_sdxl.py`."""
    named = {
        "pretrained_model_name_or_path": work.base,
        "instance_data_dir": folder / "pictures",
        "instance_prompt": instance_prompt(None, *SUBJECT),
        "output_dir": folder / "script",
        "resolution": work.pixels,
        "train_batch_size": work.batch,
        "rank": work.rank,
        "learning_rate": work.learning_rate,
        "max_train_steps": ENDLESS,
        "checkpointing_steps": ENDLESS,
        "mixed_precision": "no" if work.precision == "fp32" else work.precision,
        "seed": 0,
    }
    flags = ["gradient_checkpointing"] if work.checkpointing else []
    if work.preserves_prior:
        named["class_data_dir"] = folder / "class_pictures"
        named["class_prompt"] = class_prompt(instance_prompt(None, *SUBJECT), *SUBJECT)
        named["num_class_images"] = len(list((folder / "class_pictures").iterdir()))
        flags.append("with_prior_preservation")
    return [*(part for name, value in named.items() for part in (f"--{name}", str(value))), *(f"--{f}" for f in flags)]


def lay_out(work: Workload, folder: Path) -> None:
    """Write the script's input into `folder`: the drawings as pictures/ and, with a prior, class_pictures/.

    The engine finds the same class pictures in class_images/.
    """
    character = drawings.load(work.drawings)
    (folder / "pictures").mkdir(parents=True)
    for i, drawing in enumerate(character):
        drawing.image.save(folder / "pictures" / f"{i:02d}.png")
    if work.preserves_prior:
        with warnings.catch_warnings(action="ignore"):
            prepare(Base.load(work.base, work.device), character, settings(work, Side("", "engine")), folder / CLASS)
        (folder / "class_pictures").mkdir()
        for picture in (folder / CLASS).glob("*.png"):
            shutil.copy(picture, folder / "class_pictures")


def random_base(architecture: str, folder: Path, device: str = "cpu") -> Path:
    """A complete base of an architecture (see `architectures`) with random weights in bf16.

    It has the tokenizers of its folder, or the miniature's. The cost of a step does not depend on the weights.
    """
    parts = architectures.load(architecture)
    encoders = dict(zip(("text_encoder", "text_encoder_2"), parts.text_encoders, strict=False))
    for module in (parts.unet, parts.vae, *encoders.values()):
        nn.Module.to(module, torch.bfloat16).to_empty(device=device)
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
            else:
                nn.init.constant_(parameter, float(name.endswith("weight")))
    source = Path(architecture) if (Path(architecture) / "tokenizer").is_dir() else environment.data() / "mini_sdxl"
    encoders["tokenizer"] = CLIPTokenizer.from_pretrained(source / "tokenizer")
    noise = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    scheduler = DDIMScheduler(**noise, steps_offset=1, clip_sample=False)
    if len(parts.text_encoders) == 2:
        encoders["tokenizer_2"] = CLIPTokenizer.from_pretrained(source / "tokenizer_2")
        pipeline = StableDiffusionXLPipeline(vae=parts.vae, unet=parts.unet, scheduler=scheduler, **encoders)
    else:
        absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = StableDiffusionPipeline(vae=parts.vae, unet=parts.unet, scheduler=scheduler, **encoders, **absent)
    pipeline.save_pretrained(folder)
    return folder
