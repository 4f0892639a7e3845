"""Evaluate the miniature on held-out scenes: its autoencoder, its reader, how it follows prompts, and its speed.

    python -m comics_genai.pretrain.evaluate [--prompts 500]

Writes evaluation.json beside the base's model card, and prints the lines of the card.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comics_genai import environment, hardware, world
from comics_genai.bases.base import Base
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.readings import Readings, compare
from comics_genai.files import write_atomic
from comics_genai.finetuning.presets import usual_sampling
from comics_genai.images import to_tensor
from comics_genai.progress import Progress
from comics_genai.sampling.generate import Sampling, sample
from comics_genai.world.color_difference import ciede2000, lab_of_srgb

from .dataset import HELD_OUT_SEED, draw_scenes
from .vae_loss import psnr

AT_ONCE = 8  # pictures drawn together
FIRST = HELD_OUT_SEED + 100_000  # scenes that no stage's validation has looked at


@dataclass(frozen=True)
class EvaluationSettings:
    """The settings of an evaluation."""

    base: str = "mini"
    prompts: int = 500
    """held-out full captions to draw"""
    reconstructions: int = 500
    """held-out scenes to encode and decode"""
    sampling: Sampling = field(default_factory=lambda: usual_sampling("mini"))
    reader: Path | None = None
    """folder of the attribute reader; by default the miniature's"""
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
    """Measure everything; returns a JSON-able record, which is also written to `settings.target`."""
    base = Base.load(settings.base, hardware.device(), hardware.precision(hardware.device()))
    reader = AttributeReader.load(settings.reader)
    scenes = [world.sample_scene(FIRST + i) for i in range(max(settings.prompts, settings.reconstructions))]
    drawn = draw_scenes(range(FIRST, FIRST + settings.reconstructions), base.size)
    kept = np.concatenate(
        [base.decode(base.encode_images(part)) for part in np.array_split(drawn, len(drawn) // 16 + 1)]
    )
    kept_scenes = scenes[: settings.reconstructions]
    reconstructed = reader.read(kept)
    read = compare(reconstructed, Readings.of(kept_scenes))
    record = {
        "sampling": {"steps": settings.sampling.steps, "guidance": settings.sampling.guidance},
        "vae_psnr": psnr(to_tensor(kept), to_tensor(drawn)).mean().item(),
        "unicorn_girl_ciede2000": figure_color_error(base),
        "reader_on_reconstructions": {name: float(right.mean()) for name, right in read.items()},
    }
    chosen = scenes[: settings.prompts]
    pictures, seconds = draw_prompts(base, [world.caption(scene) for scene in chosen], settings.sampling)
    record |= {
        "prompts": settings.prompts,
        "drawn": _shares(followed(reader.read(pictures), chosen)),
        "ceiling": _shares(followed(reconstructed, kept_scenes)),
        "seconds_a_picture": seconds,
        "threads": torch.get_num_threads(),
    }
    target = settings.target or environment.data() / "mini_sdxl" / "evaluation.json"
    write_atomic(target, (json.dumps(record, indent=2) + "\n").encode())
    return record


def card(record: dict) -> list[str]:
    """The record as lines of the model card: the measure, its target, and the result."""
    read = record["reader_on_reconstructions"]
    worst = min(read, key=read.__getitem__)
    sampling = record["sampling"]
    drawn = f"{record['prompts']} unseen full captions, {sampling['steps']} steps, guidance {sampling['guidance']:g}"

    def share(of: str, name: str) -> str:
        return f"{100 * record[of][name]:.1f} %"

    rows = [
        ("VAE: PSNR on held-out scenes", "", f"{record['vae_psnr']:.1f} dB"),
        ("VAE: CIEDE2000 over UnicornGirl's figure", "", f"{record['unicorn_girl_ciede2000']:.1f}"),
        ("attribute reader on reconstructions: mean", "", f"{100 * np.mean(list(read.values())):.1f} %"),
        (f"attribute reader on reconstructions: worst ({worst})", "≥ 98 %", f"{100 * read[worst]:.1f} %"),
        (f"attributes followed ({drawn})", "≥ 96 %", share("drawn", "attributes")),
        ("the same on reconstructions of true drawings", "", share("ceiling", "attributes")),
        ("legs (the same prompts)", "≥ 95 %", share("drawn", "legs")),
        ("left arm", "≥ 95 %", share("drawn", "left_arm")),
        ("right arm", "≥ 95 %", share("drawn", "right_arm")),
        ("facing", "≥ 95 %", share("drawn", "facing")),
        ("expression", "≥ 80 %", share("drawn", "expression")),
        ("every named attribute and every pose factor", "≥ 50 %", share("drawn", "everything")),
        ("the same on reconstructions of true drawings", "", share("ceiling", "everything")),
        (f"seconds a picture, {record['threads']} threads", "≤ 0.6 s", f"{record['seconds_a_picture']:.2f} s"),
    ]
    return ["| measured | bar | reached |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def asked_and_right(readings: Readings, scenes: Sequence[world.Scene]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Whether the full captions of scenes ask for a factor, and whether pictures show it.

    Bool (N,) each, for each named attribute and pose factor.

    A colour is right if the caption's word for it is the nearest one, since only the word was asked for. A colour
    without a word was not asked for. A caption without an accessory asks for none. An illegible picture shows nothing.
    """
    said = [world.said(scene, world.caption(scene)) for scene in scenes]
    factors = {}
    for name, values in world.POSE_FACTORS.items():
        shown = [values[i] for i in readings.pose[name]]
        right = [words[name] == value for words, value in zip(said, shown, strict=True)]
        factors[name] = np.ones(len(scenes), bool), np.array(right, bool) & readings.legible
    for a in filter(lambda a: a.named, world.ATTRIBUTES):
        read = readings.attributes[a.name]
        shown = [a.classes[i] for i in read] if a.kind == "class" else world.nearest_name(read, a.name == "skin")
        asked = [words.get(a.name, "none" if a.name == "accessory" else None) for words in said]
        right = [word == value for word, value in zip(asked, shown, strict=True)]
        factors[a.name] = np.array([word is not None for word in asked]), np.array(right, bool) & readings.legible
    return factors


def followed(readings: Readings, scenes: Sequence[world.Scene]) -> dict[str, np.ndarray]:
    """Whether pictures show what full captions ask for, bool, for each factor; pictures not asked for it are left out.

    "everything" (N,): whether a picture shows all that its caption asks for.
    """
    factors = asked_and_right(readings, scenes)
    everything = np.all([right | ~asked for asked, right in factors.values()], axis=0)
    return {name: right[asked] for name, (asked, right) in factors.items()} | {"everything": everything}


def _shares(right: dict[str, np.ndarray]) -> dict:
    """Share right of every factor, and their means."""
    shares = {name: float(values.mean()) if len(values) else None for name, values in right.items()}
    named = [a.name for a in world.ATTRIBUTES if a.named]
    attributes = [shares[name] for name in named if shares[name] is not None]
    poses = [shares[name] for name in world.POSE_FACTORS]
    return shares | {"attributes": float(np.mean(attributes)), "pose": float(np.mean(poses))}


def draw_prompts(base: Base, prompts: list[str], sampling: Sampling) -> tuple[list[Image.Image], float | None]:
    """Pictures of the prompts, and the seconds of one in a full batch (median)."""
    pictures, times, n = [], [], sampling.batch_size or AT_ONCE
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
