"""Measure how many drawings training from scratch needs: the same model and budget with more and more drawings.

    curve = measure(Path("runs/scaling"), Path("6_generated/scaling"), {"GAN version 2": 500, "DDPM 32": 600})
    plot(curve)

Every set contains the six drawings and all smaller sets, so that only the number differs.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import torch
from matplotlib.figure import Figure

from comics_genai import world
from comics_genai.evaluation import metrics
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.files import write_atomic
from comics_genai.images import to_pictures
from comics_genai.plotting import figures
from comics_genai.progress import Progress

from . import ddpm, gan
from .data import prepare
from .measure import summarise_samples
from .runs import lasting
from .study import CEILING, TEST_SEED, Study, records_of

COUNTS = (6, 60, 600, 6000)  # drawings
SIZE = 32  # pixels each way, for both models
GAN = replace(gan.VERSION_2, size=SIZE)
# With patches of 2 px and half the weights it sees twice as many pictures a minute, so that eight runs are possible.
DDPM = replace(
    ddpm.SETTINGS_32_CPU,
    patch=2,
    channels=(64, 128),
    batch_size=12,
    loop=replace(ddpm.SETTINGS_32_CPU.loop, learning_rate=1e-3),
)
MODELS = {"GAN version 2": GAN, "DDPM 32": DDPM}
DRAWN, CURVE, SHEET, FIGURE = "drawings.npy", "scaling.json", "samples.png", "scaling.png"
SHOWN = 10  # number of samples of each point on the sheet


def scenes_of(character: world.Character, count: int) -> list[world.Scene]:
    """The six drawings' scenes, then random poses in random places. A smaller count gives a prefix."""
    rng, scenes = np.random.default_rng(12), list(world.reference_scenes(character))[:count]
    while len(scenes) < count:
        scenes.append(world.Scene(character, world.sample_pose(rng), world.sample_setting(rng)))
    return scenes


def drawings_of(character: world.Character, count: int, folder: Path) -> list[PIL.Image.Image]:
    """`count` drawings of SIZE px, which are drawn once and kept in `folder`."""
    path = Path(folder) / DRAWN
    if path.exists() and len(kept := np.load(path)) >= count:
        return [PIL.Image.fromarray(picture) for picture in kept[:count]]
    drawn = []
    with Progress(count, describe="drawing") as progress:
        for scene in scenes_of(character, count):
            drawn += to_pictures(prepare([world.draw(scene, 2 * SIZE)], SIZE))
            progress.update(len(drawn))
    content = io.BytesIO()
    np.save(content, np.stack([np.asarray(picture) for picture in drawn]))
    write_atomic(path, content.getvalue())
    return drawn


def trainings(steps: Mapping[str, int], counts: Sequence[int] = COUNTS) -> list[gan.GanSettings | ddpm.DdpmSettings]:
    """The settings of every training of `measure`."""
    return [lasting(MODELS[model], taken, validate_every=0) for model, taken in steps.items() for _ in counts]


def samples_of(
    model: str, study: Study, folder: Path, steps: int, count: int, device: torch.device | str = "cpu"
) -> list[PIL.Image.Image]:
    """Train one of MODELS on the study's drawings in `folder`, unless that is done, and draw `count` pictures."""
    settings = lasting(MODELS[model], steps, validate_every=0)
    if isinstance(settings, gan.GanSettings):
        gan.train_gan(settings, study.drawings, folder, device=device)
        return gan.generate(gan.load(folder), gan.latents(count, settings.latent, TEST_SEED))
    ddpm.train_ddpm(settings, study.drawings, folder, device=device)
    return ddpm.sample(ddpm.load(folder), count, TEST_SEED)


def measure(
    runs: Path,
    folder: Path,
    steps: Mapping[str, int],
    counts: Sequence[int] = COUNTS,
    pictures: int = 96,
    character: world.Character = world.UNICORN_GIRL,
    device: torch.device | str = "cpu",
    reader: AttributeReader | None = None,
) -> dict[str, Any]:
    """Train every model on every number of drawings, in folders of `runs`; score their samples; the curve, JSON-able.

    {"size", "pictures", "steps": {model: int}, "ceiling": {...}, "points": [{"model", "drawings", ...}]}; each measured
    with identity, copied and novel as {"mean", "low", "high"} (95 % over pictures), diversity, pose_coverage; a
    point also with `threshold`, of the copy test against its own drawings. Written to `folder`: scaling.json, a figure
    and a sheet of samples. A training that is finished is not repeated, so scores are renewed in minutes.
    """
    reader = reader or AttributeReader.load()
    drawn = drawings_of(character, max(counts), runs)
    studies = {count: Study.about(drawn[:count], character, SIZE) for count in counts}
    first = studies[min(counts)]
    points, shown = [], {CEILING: to_pictures(first.held_out)[:SHOWN]}
    for model, taken in steps.items():
        for count, study in studies.items():
            run = Path(runs) / f"{model.lower().replace(' ', '_')}_{count}"
            made = samples_of(model, study, run, taken, pictures, device)
            row = _row(study, made, reader)
            points.append({"model": model, "drawings": count, "threshold": study.threshold, **row})
            shown[f"{model}, {count}"] = made[:SHOWN]
    curve = {"size": SIZE, "pictures": pictures, "steps": dict(steps), "points": points}
    curve["ceiling"] = _row(first, to_pictures(first.held_out), reader)
    write_atomic(Path(folder) / CURVE, (json.dumps(curve, indent=2) + "\n").encode())
    figures.save_picture(figures.labelled_grid(shown, side=2 * SIZE), Path(folder) / SHEET)
    figures.save_figure(plot(curve), Path(folder) / FIGURE)
    return curve


def sheet(folder: Path) -> PIL.Image.Image:
    """A sheet with the samples of all points that `measure` wrote."""
    with PIL.Image.open(Path(folder) / SHEET) as picture:
        return picture.convert("RGB")


def _row(study: Study, pictures: Sequence[PIL.Image.Image], reader: AttributeReader) -> dict[str, Any]:
    records = records_of(study, pictures, reader)
    intervals, summary = metrics.summarise(records, more=("novel",)), summarise_samples(records, pictures)
    return {
        **{name: asdict(intervals[name]) for name in ("identity", "copied", "novel")},
        **{name: summary[name] for name in ("identity_right", "diversity", "pose_coverage")},
    }


def plot(curve: Mapping[str, Any]) -> Figure:
    """Copy rate, new pictures of her and identity against the number of drawings, with 95 % intervals."""
    panels = {"copied": "copy rate", "novel": "new pictures of her", "identity": "identity"}
    with figures.style():
        figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3))
        for panel, (key, label) in zip(axes, panels.items(), strict=True):
            for color, model in zip(figures.COLORS, curve["steps"], strict=False):
                points = [point for point in curve["points"] if point["model"] == model]
                counts = [point["drawings"] for point in points]
                mean, low, high = ([100 * point[key][end] for point in points] for end in ("mean", "low", "high"))
                panel.plot(counts, mean, marker="o", ms=4, color=color, label=model)
                panel.fill_between(counts, low, high, color=color, alpha=0.15)
            best = 100 * curve["ceiling"][key]["mean"]
            panel.axhline(best, color=figures.GRAPHITE, linestyle=":", label="true drawings at this size")
            panel.set(xscale="log", xlabel="drawings", ylabel="%", ylim=(-3, 103), title=label)
            panel.set_xticks(counts, [f"{count:,}" for count in counts])
            panel.minorticks_off()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(curve["steps"]) + 1)
    plt.close(figure)
    return figure


def conclusion(curve: Mapping[str, Any]) -> str:
    """The conclusion in Markdown: a table, and for each model where copying ends and new drawings begin."""
    keys = {"copied": "copy rate", "novel": "new pictures of her", "identity": "identity"}
    lines = ["| | drawings | " + " | ".join(keys.values()) + " | diversity |", "| :-- | --: | --: | --: | --: | --: |"]
    rows = [*curve["points"], {"model": CEILING, "drawings": "", **curve["ceiling"]}]
    for row in rows:
        cells = [
            "{mean:.0f} [{low:.0f}, {high:.0f}]".format(**{e: 100 * v for e, v in row[key].items()}) for key in keys
        ]
        lines.append(f"| {row['model']} | {row['drawings']} | " + " | ".join(cells) + f" | {row['diversity']:.3f} |")
    return "\n".join([*lines, "", *(_in_words(curve, model) for model in curve["steps"])])


def _in_words(curve: Mapping[str, Any], model: str) -> str:
    points = [point for point in curve["points"] if point["model"] == model]
    first, last = points[0], points[-1]
    best = max(points, key=lambda point: point["novel"]["mean"])
    reached = (
        "no number of drawings brings new pictures of her"
        if best["novel"]["mean"] == 0
        else f"new pictures of her are most, {best['novel']['mean']:.0%}, with {best['drawings']:,} drawings"
    )
    unlearnt = [p for p in points if p["identity"]["mean"] < curve["ceiling"]["identity"]["mean"] / 2]
    short = (
        f" With {' and '.join(format(p['drawings'], ',') for p in unlearnt)} drawings less than half of what true "
        "drawings show of her is there: for so many these steps are too few, and no copy is no success."
    )
    return (
        f"- **{model}**, {curve['steps'][model]:,} steps: the copy rate goes from {first['copied']['mean']:.0%} with "
        f"{first['drawings']:,} drawings to {last['copied']['mean']:.0%} with {last['drawings']:,}, identity from "
        f"{first['identity']['mean']:.0%} to {last['identity']['mean']:.0%}; {reached} (true drawings at this size: "
        f"{curve['ceiling']['novel']['mean']:.0%})."
    ) + (short if unlearnt else "")
