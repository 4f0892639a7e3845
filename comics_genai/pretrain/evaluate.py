"""How good the miniature is, on held-out scenes: its autoencoder, its scorer, how it follows prompts, and how fast.

    python -m comics_genai.pretrain.evaluate [--prompts 500]

Writes evaluation.json beside the base's model card, and prints the lines of the card.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comics_genai import where, world
from comics_genai.base import Base
from comics_genai.checkpoint import write_atomic
from comics_genai.color_difference import ciede2000, lab_of_srgb
from comics_genai.generate import Sampling, sample
from comics_genai.progress import Progress
from comics_genai.scorer import Readings, Scorer, compare

from .dataset import HELD_OUT_SEED, draw_scenes
from .vae import psnr, to_tensor

FIRST = HELD_OUT_SEED + 100_000  # scenes that no stage's validation has looked at


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured."""

    base: str = "mini"
    prompts: int = 500
    """held-out full captions to draw"""
    reconstructions: int = 500
    """held-out scenes to encode and decode"""
    sampling: Sampling = Sampling()
    scorer: Path | None = None
    """by default the miniature's"""
    target: Path | None = None
    """file to write; by default evaluation.json beside the miniature's weights"""


def figure_color_error(base: Base, character: world.Character = world.UNICORN_GIRL) -> float:
    """Mean CIEDE2000 over the figure between the six drawings of a character and what the VAE keeps of them."""
    scenes = world.reference_scenes(character)
    drawn = np.stack([np.asarray(world.draw(scene, base.size)) for scene in scenes])
    kept = base.decode(base.encode_images(drawn))
    mask = np.stack([world.figure_mask(scene, base.size) for scene in scenes])
    return float(ciede2000(lab_of_srgb(kept[mask]), lab_of_srgb(drawn[mask])).mean())


def evaluate(settings: EvaluationSettings) -> dict:
    """All figures as one JSON-able record, also written to `settings.target`."""
    base = Base.load(settings.base, where.device(), where.precision(where.device()))
    scorer = Scorer.load(settings.scorer or where.data() / "mini_sdxl" / "scorer")
    scenes = [world.sample_scene(FIRST + i) for i in range(max(settings.prompts, settings.reconstructions))]
    drawn = draw_scenes(range(FIRST, FIRST + settings.reconstructions), base.size)
    kept = np.concatenate(
        [base.decode(base.encode_images(part)) for part in np.array_split(drawn, len(drawn) // 16 + 1)]
    )
    truth = Readings.of(scenes[: settings.reconstructions])
    read = compare(scorer.read(kept), truth)
    record = {
        "sampling": {"steps": settings.sampling.steps, "guidance": settings.sampling.guidance},
        "vae_psnr": psnr(to_tensor(kept), to_tensor(drawn)).mean().item(),
        "unicorn_girl_ciede2000": figure_color_error(base),
        "scorer_on_reconstructions": {name: float(right.mean()) for name, right in read.items()},
    }
    chosen = scenes[: settings.prompts]
    pictures, seconds = _draw(base, [world.caption(scene) for scene in chosen], settings.sampling)
    followed = compare(scorer.read(pictures), Readings.of(chosen))
    named = {a.name: _share_said(a, chosen, followed[a.name]) for a in world.ATTRIBUTES if a.named}
    pose = {name: float(followed[name].mean()) for name in world.POSE_FACTORS}
    record |= {
        "prompts": settings.prompts,
        "attributes_followed": named,
        "pose_followed": pose,
        "mean_attribute_accuracy": float(np.mean([share for share in named.values() if share is not None])),
        "mean_pose_accuracy": float(np.mean(list(pose.values()))),
        "seconds_a_picture": seconds,
        "threads": torch.get_num_threads(),
    }
    target = settings.target or where.data() / "mini_sdxl" / "evaluation.json"
    write_atomic(target, (json.dumps(record, indent=2) + "\n").encode())
    return record


def card(record: dict) -> list[str]:
    """The record as lines of the model card: what was measured, its bar, what is reached."""
    read = record["scorer_on_reconstructions"]
    worst = min(read, key=read.__getitem__)
    sampling = record["sampling"]
    drawn = f"{record['prompts']} unseen full captions, {sampling['steps']} steps, guidance {sampling['guidance']:g}"
    rows = [
        ("VAE: PSNR on held-out scenes", "≥ 28 dB", f"{record['vae_psnr']:.1f} dB"),
        ("VAE: CIEDE2000 over UnicornGirl's figure", "≤ 5", f"{record['unicorn_girl_ciede2000']:.1f}"),
        ("scorer on reconstructions: mean", "", f"{100 * np.mean(list(read.values())):.1f} %"),
        (f"scorer on reconstructions: worst ({worst})", "≥ 99 %", f"{100 * read[worst]:.1f} %"),
        (f"attributes followed ({drawn})", "≥ 95 %", f"{100 * record['mean_attribute_accuracy']:.1f} %"),
        ("pose factors followed (the same)", "≥ 90 %", f"{100 * record['mean_pose_accuracy']:.1f} %"),
        (f"seconds a picture, {record['threads']} threads", "≤ 0.6 s", f"{record['seconds_a_picture']:.2f} s"),
    ]
    return ["| measured | bar | reached |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def _share_said(attribute: world.Attribute, scenes: list[world.Scene], right: np.ndarray) -> float | None:
    """Share right among the scenes whose caption says the attribute: a colour without a word was not asked for."""
    said = np.array([world.is_said(scene.character, attribute.name) for scene in scenes])
    return float(right[said].mean()) if said.any() else None


def _draw(base: Base, prompts: list[str], sampling: Sampling) -> tuple[list[Image.Image], float | None]:
    """Pictures of the prompts, and the seconds of one in a full batch (median)."""
    pictures, times, n = [], [], sampling.batch_size
    negative = base.unconditional()
    with Progress(len(prompts), describe="drawing prompts") as progress:
        for i in range(0, len(prompts), n):
            part = prompts[i : i + n]
            start = time.perf_counter()
            drawn = sample(base, base.encode_prompts(part), negative, list(range(i, i + len(part))), sampling)
            times += [(time.perf_counter() - start) / n] * (len(part) == n)
            pictures += [Image.fromarray(picture) for picture in drawn]
            progress.update(len(pictures))
    return pictures, float(np.median(times)) if times else None


if __name__ == "__main__":
    import tyro

    print("\n".join(card(evaluate(tyro.cli(EvaluationSettings)))))
