"""All stages of pretraining in their order, and the presets for two CPU cores, a GPU, and a test.

    python -m comics_genai pretrain [STAGE ...] [--preset gpu] [--minutes 30] [--unet.loop.steps 5000]

A finished stage is skipped, an interrupted one goes on. Each is a folder in runs/pretrain: delete it to train it anew.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import tyro

from comics_genai import environment, hardware
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import FOLDER as READER
from comics_genai.evaluation.attribute_reader import AttributeReaderConfig
from comics_genai.ranges import refuse_renamed
from comics_genai.sampling.generate import Sampling
from comics_genai.training.loop import LoopSettings

from . import (
    assemble,
    attribute_reader,
    clip,
    dataset,
    legibility,
    semantics,
    tokenizer,
    unet,
    unet_training,
    vae,
    vae_training,
)
from .attribute_reader import ReaderSettings
from .clip import ClipSettings
from .dataset import DatasetSettings
from .legibility import LegibilitySettings
from .redrawn import RedrawnSettings, cached_redrawn
from .stage import is_finished, stage_weights
from .tokenizer import TokenizerSettings
from .unet import UnetSettings
from .unet_inputs import cached_latents
from .vae import VaeSettings

Stage = Literal["dataset", "tokenizer", "clip", "vae", "reader", "unet", "decoder", "assemble", "legibility"]
STAGES: tuple[Stage, ...] = get_args(Stage)
NEEDS: dict[Stage, tuple[Stage, ...]] = {
    "dataset": (),
    "tokenizer": (),
    "clip": ("dataset", "tokenizer"),
    "vae": ("dataset",),
    "reader": ("dataset", "vae"),
    "unet": ("dataset", "tokenizer", "clip", "vae"),
    "decoder": ("dataset", "tokenizer", "clip", "vae", "unet"),  # goes on with the VAE's decoder alone: latents stay
    "legibility": (),  # on the assembled base, whose own pictures the reader then sees
    "assemble": (),  # from what is there, the newest checkpoints of unfinished stages included
}


# The decoder goes on alone, against a discriminator, with the momentum that adversarial training takes (Radford 2016).
DECODER = VaeSettings(
    decoder_only=True,
    adversarial=0.7,
    redrawn_detail=0.3,
    at_joints=0.85,
    strong_noise=0.1,
    pooled_share=0.0,
    loop=replace(VaeSettings().loop, steps=6000, learning_rate=6e-4, beta1=0.5),
)


@dataclass(frozen=True)
class PretrainSettings:
    """Train the miniature base from nothing; what is finished is skipped, what was interrupted goes on."""

    stages: tyro.conf.Positional[tuple[Stage | Literal["all"], ...]] = ("all",)
    """which, whatever their order here"""
    preset: Literal["cpu2", "gpu", "smoke"] = "cpu2"
    """all numbers below: for two CPU cores (about five hours, 10 GB of memory), for a GPU (wider, more of all), or
    tiny ones that only show that it runs"""
    minutes: float = 0.0
    """stop a stage, and what would follow it, after so many; 0 = train to the end"""
    folder: Path | None = None
    """of the stages; by default runs/pretrain"""
    base: Path | None = None
    """where the assembled base goes; by default 1_data/mini_sdxl"""
    start: Path | None = None
    """an assembled base: its tokenizer, CLIP, VAE and attribute reader are kept, the UNet goes on from its weights"""
    device: str = ""
    """cpu, cuda; by default the best there is"""
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    """of every stage's arithmetic; by default the fastest that the device computes in hardware"""
    compile: bool = False
    """compile the networks: a minute or two before the first step, then faster steps"""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    clip: ClipSettings = field(default_factory=ClipSettings)
    vae: VaeSettings = field(default_factory=VaeSettings)
    decoder: VaeSettings = field(default_factory=lambda: DECODER)
    redrawn: RedrawnSettings = RedrawnSettings()
    reader: ReaderSettings = field(default_factory=ReaderSettings)
    legibility: LegibilitySettings = LegibilitySettings()
    unet: UnetSettings = field(default_factory=UnetSettings)


def _presets() -> dict[str, PretrainSettings]:
    cpu2 = PretrainSettings()

    def longer(settings: Any, steps: int, **changes: Any) -> Any:
        return replace(settings, loop=replace(settings.loop, steps=steps), **changes)

    def tiny(settings: Any, **changes: Any) -> Any:
        loop = replace(settings.loop, steps=4, warmup_steps=1, log_every=2, checkpoint_every=0, validate_every=4)
        return replace(settings, loop=loop, **changes)

    gpu = replace(
        cpu2,
        preset="gpu",
        compile=True,
        dataset=DatasetSettings(pictures=100_000, workers=8),
        clip=longer(cpu2.clip, 4000, size=128, widths=(128, 192), tower=48, batch_pairs=256),
        vae=longer(cpu2.vae, 30_000, batch_size=64),
        decoder=longer(cpu2.decoder, 30_000, batch_size=64),
        reader=longer(
            cpu2.reader,
            15_000,
            network=AttributeReaderConfig(128, (32, 64, 128, 192), (0, 2, 2, 1), 64, (48, 96, 192, 256), 256),
            batch_size=128,
        ),
        unet=longer(cpu2.unet, 40_000, widths=(128, 192, 256), batch_size=256, captions_in_memory=False),
    )
    smoke = replace(
        cpu2,
        preset="smoke",
        dataset=DatasetSettings(pictures=32),
        tokenizer=TokenizerSettings(scenes=32, pieces=256),
        clip=tiny(cpu2.clip, widths=(32, 64), layers=2, dimension=32, batch_pairs=4),
        vae=tiny(cpu2.vae, channels=8, batch_size=4),
        reader=tiny(
            cpu2.reader,
            network=AttributeReaderConfig(128, (8, 8, 8, 8), (1, 1, 1, 1), 8, (8, 8, 8, 8), 8, 8),
            batch_size=8,
            illegible_pictures=8,
            held_out=4,
        ),
        decoder=tiny(cpu2.decoder, channels=8, batch_size=4),
        redrawn=RedrawnSettings(pictures=4, steps=2),
        legibility=LegibilitySettings(
            drawings=6, drawn=6, samplings=(Sampling(steps=2),), dcgan_steps=(2,), samples=6, steps=2
        ),
        unet=tiny(cpu2.unet, widths=(32, 32, 64), batch_size=4),
    )
    return {"cpu2": cpu2, "gpu": gpu, "smoke": smoke}


PRESETS = _presets()


def pretrain(settings: PretrainSettings) -> bool:
    """Run the stages chosen, in order; prints a sentence on each. False if one was stopped before its end.

    Raises UserError where a stage needs another that is not finished.
    """
    folder = settings.folder or environment.root() / "runs" / "pretrain"
    _check_sizes(settings)
    if settings.start:
        assemble.disassemble(settings.start, folder)
    chosen = [stage for stage in STAGES if stage in settings.stages or "all" in settings.stages]
    for stage in chosen:
        if _is_done(stage, folder, settings):
            place = _place(stage, folder)
            print(f"{stage}: finished before, in {place}; delete that folder to make it anew.", flush=True)
            continue
        for needed in NEEDS[stage]:
            if not _is_done(needed, folder, settings):
                raise UserError(
                    f"The stage {stage} needs the stage {needed}, which is not finished in {folder}: run "
                    f"`python -m comics_genai pretrain {needed}` first."
                )
        message, finished = RUN[stage](settings, folder)
        print(f"{stage}: {message}", flush=True)
        if not finished:
            return False
    return True


def _check_sizes(settings: PretrainSettings) -> None:
    """UserError where the pictures of two stages do not fit together."""
    size = settings.dataset.size
    if size != semantics.SIDE * 2 ** (settings.vae.levels - 1):
        raise UserError(
            f"dataset.size is {size}, but {settings.vae.levels} levels of the VAE make latents of {semantics.SIDE} x "
            f"{semantics.SIDE} cells from pictures of {semantics.SIDE * 2 ** (settings.vae.levels - 1)} px: give that."
        )
    if size != settings.reader.network.size or size % settings.clip.size:
        raise UserError(
            f"dataset.size, clip.size and reader.network.size are {size}, {settings.clip.size} and "
            f"{settings.reader.network.size}: give the dataset and the attribute reader the same size, and "
            "clip that size or half of it."
        )


def _place(stage: Stage, folder: Path) -> Path:
    return folder / (READER if stage == "reader" else stage)  # folders are called as in the assembled base


def _is_done(stage: Stage, folder: Path, settings: PretrainSettings) -> bool:
    own = _place(stage, folder)
    if stage == "dataset":
        return dataset.is_built(settings.dataset, own)
    if stage == "tokenizer":
        return tokenizer.is_trained(own)
    if stage == "reader":
        return (own / assemble.EXPORT / "config.json").exists()
    return stage != "assemble" and is_finished(own)


def _dataset(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    built = dataset.build(settings.dataset, folder / "dataset")
    return f"{settings.dataset.pictures} pictures and their maps are in {built}.", True


def _tokenizer(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    texts = [text for variants in dataset.captions(range(settings.tokenizer.scenes)) for text in variants]
    trained = tokenizer.train_tokenizer(texts, folder / "tokenizer", settings.tokenizer.pieces)
    return f"{len(trained)} pieces are in {folder / 'tokenizer'}.", True


def _clip(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    words = tokenizer.load(folder / "tokenizer")
    run = clip.train_clip(
        _timed(settings, settings.clip), words, _images(folder), folder / "clip", _device(settings), settings.compile
    )
    return run.message, run.finished


def _vae(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    run = vae_training.train_vae(
        _timed(settings, settings.vae),
        _images(folder),
        _maps(folder),
        folder / "vae",
        _device(settings),
        settings.compile,
    )
    return run.message, run.finished


def _decoder(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    device, images = _device(settings), _images(folder)
    trained_vae, words = vae.load(folder / "vae").to(device), tokenizer.load(folder / "tokenizer")
    towers = clip.load(folder / "clip", words).to(device)
    latents = cached_latents(trained_vae, images, folder / "unet" / "latents")[: settings.redrawn.pictures]
    network = unet.load(folder / "unet", trained_vae, towers).to(device)
    drawn = cached_redrawn(settings.redrawn, network, towers, words, latents, images.shape[1], folder / "decoder")
    run = vae_training.train_vae(
        _timed(settings, settings.decoder),
        images,
        _maps(folder),
        folder / "decoder",
        device,
        settings.compile,
        stage_weights(folder / "vae"),
        drawn / trained_vae.config.scaling_factor,
    )
    return run.message, run.finished


def _reader(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    chosen = _timed(settings, settings.reader)
    chosen = replace(chosen, compile=chosen.compile or settings.compile)
    trained_vae = vae.load(folder / "vae")
    run = attribute_reader.train_reader(chosen, _images(folder), folder / READER, trained_vae, _device(settings))
    return run.message, run.finished


def _unet(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    if settings.start:
        assemble.remember(settings.start, folder / "unet")
    words = tokenizer.load(folder / "tokenizer")
    run = unet_training.train_unet(
        _timed(settings, settings.unet),
        vae.load(folder / "vae"),
        clip.load(folder / "clip", words),
        words,
        _images(folder),
        folder / "unet",
        _device(settings),
        settings.compile,
        folder / assemble.START if settings.start else None,
    )
    return run.message, run.finished


def _assemble(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    target = assemble.assemble(folder, _base(settings))
    return f"the base is in {target}.", True


def _legibility(settings: PretrainSettings, folder: Path) -> tuple[str, bool]:
    measured = legibility.train_legibility(settings.legibility, _base(settings), folder / "legibility")
    if (folder / READER).exists():  # a later `assemble` takes the reader from there
        shutil.copytree(_base(settings) / READER, folder / READER / assemble.EXPORT, dirs_exist_ok=True)
    worst = max(measured["illegible"].values())
    return f"of the illegible pictures of a kind, {100 * worst:.0f} % at most are called legible.", True


def _base(settings: PretrainSettings) -> Path:
    return settings.base or environment.data() / "mini_sdxl"


RUN: dict[Stage, Callable[[PretrainSettings, Path], tuple[str, bool]]] = {
    "dataset": _dataset,
    "tokenizer": _tokenizer,
    "clip": _clip,
    "vae": _vae,
    "reader": _reader,
    "unet": _unet,
    "decoder": _decoder,
    "assemble": _assemble,
    "legibility": _legibility,
}


def _images(folder: Path) -> np.ndarray:
    return np.load(folder / "dataset" / dataset.IMAGES, mmap_mode="r")


def _maps(folder: Path) -> np.ndarray:
    return np.load(folder / "dataset" / dataset.MAPS, mmap_mode="r")


def _device(settings: PretrainSettings) -> torch.device:
    return torch.device(settings.device) if settings.device else hardware.device()


def _timed(settings: PretrainSettings, stage_settings: Any) -> Any:
    """The settings of a stage, with the time budget and the precision that hold for all of them."""
    precision = settings.precision or hardware.precision(_device(settings))
    loop: LoopSettings = replace(stage_settings.loop, max_minutes=settings.minutes, precision=precision)
    return replace(stage_settings, loop=loop)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line says; numbers it does not name are those of its --preset."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    refuse_renamed(arguments, {"--scorer": "--reader"})
    if "scorer" in takewhile(lambda argument: not argument.startswith("-"), arguments):
        raise UserError("The stage scorer is called reader now: write reader.")
    preset = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    preset.add_argument("--preset", default="cpu2")
    name = preset.parse_known_args(arguments)[0].preset
    # An unknown name is refused by tyro, which lists those there are.
    default = PRESETS.get(name, PRESETS["cpu2"])
    pretrain(tyro.cli(PretrainSettings, args=arguments, default=default, prog="comics_genai pretrain"))
