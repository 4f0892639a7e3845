"""The pretraining set: scenes 0…N-1 of the comic world drawn once, their captions and factors recomputed when asked."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comics_genai import world
from comics_genai.progress import Progress

HELD_OUT_SEED = 10_000_000  # validation scenes are numbered from here; training scenes never reach it
CAPTIONS_A_PICTURE = 3


@dataclass(frozen=True)
class DatasetSettings:
    """pictures: how many scenes; size: pixels; workers: drawing processes."""

    pictures: int = 16_000
    size: int = 128
    workers: int = 2


def draw_scenes(seeds: range, size: int) -> np.ndarray:
    """Pictures of the scenes numbered `seeds`: uint8 (N, size, size, 3)."""
    return np.stack([np.asarray(world.draw(world.sample_scene(seed), size)) for seed in seeds])


def build(settings: DatasetSettings, folder: Path) -> Path:
    """Draws the set into `folder`/images.npy in chunks; whole chunks survive an interruption. Returns the file."""
    target = folder / "images.npy"
    if target.exists() and len(np.load(target, mmap_mode="r")) == settings.pictures:
        return target
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    chunk = 500
    starts = [s for s in range(0, settings.pictures, chunk) if not (parts / f"{s:08d}.npy").exists()]
    with ProcessPoolExecutor(settings.workers) as pool, Progress(len(starts), describe="drawing") as progress:
        for done, _ in enumerate(
            pool.map(_draw_part, starts, [min(chunk, settings.pictures - s) for s in starts],
                     [settings.size] * len(starts), [parts] * len(starts))
        ):  # fmt: skip
            progress.update(done + 1)
    shape = (settings.pictures, settings.size, settings.size, 3)
    temporary = folder / "images.partial.npy"
    images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, settings.pictures, chunk):
        part = np.load(parts / f"{start:08d}.npy")
        images[start : start + len(part)] = part[: settings.pictures - start]
    images.flush()
    os.replace(temporary, target)
    for part in parts.glob("*.npy"):
        part.unlink()
    return target


def _draw_part(start: int, count: int, size: int, parts: Path) -> None:
    temporary = parts / f"{start:08d}.partial.npy"
    np.save(temporary, draw_scenes(range(start, start + count), size))
    os.replace(temporary, parts / f"{start:08d}.npy")


def captions(seeds: range) -> list[list[str]]:
    """CAPTIONS_A_PICTURE sampled captions of each scene: mostly full, some partial, some class only."""
    rows = []
    for seed in seeds:
        scene, rng = world.sample_scene(seed), np.random.default_rng([11, seed])
        rows.append([world.sample_caption(scene, rng) for _ in range(CAPTIONS_A_PICTURE)])
    return rows
