"""The pretraining set: scenes 0 to N-1 of the comic world, drawn once; their captions are sampled when asked for."""

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

HELD_OUT_SEED = 10_000_000  # validation scenes are numbered from here; training scenes never reach it
CAPTIONS_A_PICTURE = 3
CHUNK = 500  # pictures a part: what an interruption loses at most, for each worker


@dataclass(frozen=True)
class DatasetSettings:
    """pictures: how many scenes; size: pixels; workers: drawing processes."""

    pictures: int = 60_000
    size: int = 64
    workers: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.pictures <= HELD_OUT_SEED:
            raise UserError(
                f"pictures is {self.pictures}, but must be 2 to {HELD_OUT_SEED}: later scenes are held out."
            )


def draw_scenes(seeds: Sequence[int], size: int) -> np.ndarray:
    """Pictures of the scenes numbered `seeds`: uint8 (N, size, size, 3)."""
    return np.stack([np.asarray(world.draw(world.sample_scene(seed), size)) for seed in seeds])


def is_built(settings: DatasetSettings, folder: Path) -> bool:
    """Whether `folder` holds the whole set of these settings."""
    target = folder / "images.npy"
    return target.exists() and np.load(target, mmap_mode="r").shape == _shape(settings)


def build(settings: DatasetSettings, folder: Path) -> Path:
    """Draw the set into `folder`/images.npy, uint8 (N, size, size, 3), and return that file.

    Whole chunks survive an interruption and are not drawn again. Raises UserError on a full disk.
    """
    target, parts = folder / "images.npy", folder / "parts"
    if is_built(settings, folder):
        return target
    chunks = [range(s, min(s + CHUNK, settings.pictures)) for s in range(0, settings.pictures, CHUNK)]
    parts.mkdir(parents=True, exist_ok=True)
    files = [parts / f"{chunk.start:08d}-{chunk.stop:08d}-{settings.size}.npy" for chunk in chunks]
    absent = [(chunk, file) for chunk, file in zip(chunks, files, strict=True) if not file.exists()]
    with (
        ProcessPoolExecutor(settings.workers) as pool,
        Progress(len(chunks), len(chunks) - len(absent), "drawing") as progress,
    ):
        drawn = pool.map(_draw_part, *zip(*absent, strict=True), [settings.size] * len(absent)) if absent else ()
        for _ in drawn:
            progress.update(progress.done + 1)
    _join(files, target, _shape(settings))
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
    return target


def _shape(settings: DatasetSettings) -> tuple[int, int, int, int]:
    return settings.pictures, settings.size, settings.size, 3


def _draw_part(seeds: range, file: Path, size: int) -> None:
    content = io.BytesIO()
    np.save(content, draw_scenes(seeds, size))
    write_atomic(file, content.getvalue())


def _join(files: list[Path], target: Path, shape: tuple[int, ...]) -> None:
    """One array file of all parts. Written in order, not mapped: on a full disk a mapping would kill the process."""
    partial = target.with_name(f".{target.name}.partial")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with open(partial, "wb") as joined:
            np.lib.format.write_array_header_1_0(joined, header)
            for file in files:
                joined.write(np.load(file).tobytes())
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise UserError(f"{target} ({np.prod(shape) / 1e6:.0f} MB) cannot be written: {reason}.") from error


def captions(seeds: Sequence[int]) -> list[list[str]]:
    """CAPTIONS_A_PICTURE sampled captions of each scene: mostly full, some partial, some class only."""
    return [
        [world.sample_caption(scene, np.random.default_rng([seed, k])) for k in range(CAPTIONS_A_PICTURE)]
        for seed, scene in ((seed, world.sample_scene(seed)) for seed in seeds)
    ]
