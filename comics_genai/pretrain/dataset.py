"""The pretraining set: scenes 0 to N-1 of the comic world, drawn once with their semantic maps.

Captions are sampled when they are needed.
"""

import errno
import io
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.files import write_atomic
from comics_genai.progress import Progress

from . import semantics

HELD_OUT_SEED = 10_000_000  # validation scenes are numbered from here; training scenes never reach it
CAPTIONS_A_PICTURE = 3
CHUNK = 500  # pictures in a part: an interruption loses at most one part of each worker


@dataclass(frozen=True)
class DatasetSettings:
    """pictures: how many scenes; size: pixels; workers: drawing processes."""

    pictures: int = 60_000
    size: int = 128
    workers: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.pictures <= HELD_OUT_SEED:
            raise UserError(
                f"pictures is {self.pictures}, but must be 2 to {HELD_OUT_SEED}: later scenes are held out."
            )


def draw_scenes(seeds: Sequence[int], size: int) -> np.ndarray:
    """Pictures of the scenes numbered `seeds`: uint8 (N, size, size, 3)."""
    return np.stack([np.asarray(world.draw(world.sample_scene(seed), size)) for seed in seeds])


IMAGES, MAPS = "images.npy", "semantics.npy"


def draw_maps(seeds: Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of scenes, uint8 (N, size, size, 3), and their semantic maps, float16 (N, C, h, w)."""
    pictures, maps = zip(*(semantics.draw(world.sample_scene(seed), size) for seed in seeds), strict=True)
    return np.stack(pictures), np.stack(maps).astype(np.float16)


def is_built(settings: DatasetSettings, folder: Path) -> bool:
    """Whether `folder` holds the whole set of these settings."""
    shapes = _shapes(settings)
    files = [folder / name for name in shapes]
    return all(f.exists() and np.load(f, mmap_mode="r").shape == shapes[f.name] for f in files)


def build(settings: DatasetSettings, folder: Path) -> Path:
    """Draw the set into `folder` and return it: images.npy, uint8 (N, size, size, 3), and semantics.npy, float16
    (N, C, 16, 16).

    Whole chunks survive an interruption and are not drawn again. Raises UserError on a full disk.
    """
    parts = folder / "parts"
    if is_built(settings, folder):
        return folder
    chunks = [range(s, min(s + CHUNK, settings.pictures)) for s in range(0, settings.pictures, CHUNK)]
    parts.mkdir(parents=True, exist_ok=True)
    files = [parts / f"{chunk.start:08d}-{chunk.stop:08d}-{settings.size}.npz" for chunk in chunks]
    absent = [(chunk, file) for chunk, file in zip(chunks, files, strict=True) if not file.exists()]
    with (
        ProcessPoolExecutor(settings.workers) as pool,
        Progress(len(chunks), len(chunks) - len(absent), "drawing") as progress,
    ):
        drawn = pool.map(_draw_part, *zip(*absent, strict=True), [settings.size] * len(absent)) if absent else ()
        for _ in drawn:
            progress.update(progress.done + 1)
    for name, shape in _shapes(settings).items():
        _join(files, folder / name, shape)
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
    return folder


def _shapes(settings: DatasetSettings) -> dict[str, tuple[int, ...]]:
    n, size, side = settings.pictures, settings.size, semantics.SIDE
    return {IMAGES: (n, size, size, 3), MAPS: (n, len(semantics.CHANNELS), side, side)}


def _draw_part(seeds: range, file: Path, size: int) -> None:
    content = io.BytesIO()
    np.savez(content, **dict(zip((IMAGES, MAPS), draw_maps(seeds, size), strict=True)))
    write_atomic(file, content.getvalue())


def _join(files: list[Path], target: Path, shape: tuple[int, ...]) -> None:
    """Join all parts in one array file. It is written in order: on a full disk, a memory map would kill the process."""
    partial = target.with_name(f".{target.name}.partial")
    header = {"descr": "|u1" if target.name == IMAGES else "<f2", "fortran_order": False, "shape": shape}
    try:
        with open(partial, "wb") as joined:
            np.lib.format.write_array_header_1_0(joined, header)
            for file in files:
                joined.write(np.load(file)[target.name].tobytes())
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        megabytes = np.prod(shape) / 1e6
        raise UserError(f"{target} ({megabytes:.0f} million numbers) cannot be written: {reason}.") from error


def captions(seeds: Sequence[int]) -> list[list[str]]:
    """CAPTIONS_A_PICTURE sampled captions of each scene: mostly full, some partial, some class only."""
    return [
        [world.sample_caption(scene, np.random.default_rng([seed, k])) for k in range(CAPTIONS_A_PICTURE)]
        for seed, scene in ((seed, world.sample_scene(seed)) for seed in seeds)
    ]
