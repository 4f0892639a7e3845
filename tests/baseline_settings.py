"""The baselines' models at a size for tests, and what their tests share."""

import json
from dataclasses import replace

import torch
from torch import nn

from comics_genai.baselines import ddpm, gan
from comics_genai.training.loop import LoopSettings

LOOP = LoopSettings(
    steps=6, learning_rate=1e-3, ema_decay=0.9, clip_norm=0.0, log_every=1, checkpoint_every=2, validate_every=3
)
# The target below any r_t lets p rise, so that a resume has it to restore.
LITE = gan.GanSettings(
    size=32,
    latent=8,
    generator_width=4,
    discriminator_width=4,
    batch_size=4,
    r1_every=2,
    ada_target=-1.0,
    ada_pictures=40,
    samples=2,
    loop=LOOP,
)
DCGAN = replace(LITE, model="dcgan", r1_gamma=0.0, augment=False, loop=replace(LOOP, ema_decay=0.0, beta1=0.5))
DDPM = ddpm.DdpmSettings(
    size=8,
    channels=(32,),
    layers=1,
    timesteps=20,
    augment=0.5,
    batch_size=3,
    samples=2,
    sampling=ddpm.DdpmSampling(steps=5),
    loop=LOOP,
)
TRAIN = {"lite": (gan.train_gan, LITE), "dcgan": (gan.train_gan, DCGAN), "ddpm": (ddpm.train_ddpm, DDPM)}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Uniform in [-1, 1]."""
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(folder) -> list[dict]:
    clocks = ("seconds", "steps_per_second", "peak_bytes")
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in clocks} for line in lines]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
