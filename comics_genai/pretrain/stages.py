"""All stages of pretraining, in their order.

    python -m comics_genai pretrain [STAGE ...] [--preset gpu] [--minutes 30] [--unet.loop.steps 5000]

A finished stage is skipped, an interrupted one goes on. Each is a folder in runs/pretrain: delete it to train it anew.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from comics_genai import environment, hardware
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import FOLDER as READER
from comics_genai.ranges import refuse_renamed
from comics_genai.training.loop import LoopSettings
from comics_genai.training.stage import is_finished, stage_weights

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
from .redrawn import cached_redrawn
from .settings import PRESETS, STAGES, PretrainSettings, Stage
from .unet_inputs import cached_latents

NEEDS: dict[Stage, tuple[Stage, ...]] = {
    "dataset": (),
    "tokenizer": (),
    "clip": ("dataset", "tokenizer"),
    "vae": ("dataset",),
    "reader": ("dataset", "vae"),
    "unet": ("dataset", "tokenizer", "clip", "vae"),
    "decoder": ("dataset", "tokenizer", "clip", "vae", "unet"),  # the VAE's decoder learns on, latents stay
    "legibility": (),  # on the assembled base, whose own pictures the reader then sees
    "assemble": (),  # from what is there, the newest checkpoints of unfinished stages included
}


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
