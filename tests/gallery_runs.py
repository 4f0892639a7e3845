"""Made-up runs: pictures of random colours with records."""

import json
from pathlib import Path

import numpy as np
import PIL.Image

PROMPTS = ("a drawing of Ann, a girl, jumping, on the beach", "a drawing of Ann, a girl, sitting, in a room")


def save_picture(path: Path, seed: int, side: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).resize((side, side), PIL.Image.Resampling.NEAREST).save(path)


def save_run(folder: Path, records: list[dict], side: int = 32) -> None:
    """A folder of pictures with their records."""
    for i, record in enumerate(records):
        save_picture(folder / record["file_name"], hash_of(folder.name, i), side)
    write_lines(folder / "metadata.jsonl", records)


def hash_of(name: str, i: int) -> int:
    return sum(map(ord, name)) * 1000 + i


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def record(name: str, prompt: str, seed: int, **more) -> dict:
    common = {"steps": 25, "guidance": 4.0, "scheduler": "DDIMScheduler", "base": "mini", "size": 32}
    return {"file_name": name, "prompt": prompt, "seed": seed, **common, **more}
