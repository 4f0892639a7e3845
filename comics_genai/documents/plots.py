"""The plots among the figures, each made from one committed file of a run."""

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from diffusers import DDIMScheduler
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from comics_genai import world
from comics_genai.baselines import scaling as scaling_curve
from comics_genai.describe import hsv_plots, overview_plots, palette, palette_plots, studies
from comics_genai.documents import findings
from comics_genai.documents.run_scores import titled
from comics_genai.documents.sources import MINIATURE, Sources
from comics_genai.evaluation.statistics import clopper_pearson
from comics_genai.plotting import figures
from comics_genai.run import LOG_FILE
from comics_genai.studies import plots as study_plots
from comics_genai.studies import summary


def identity_palette(sources: Sources) -> Figure:
    """The colours of the character, and how much of each drawing has them."""
    girl = _drawn(sources)
    return palette_plots.identity(palette.character_colors(girl), [study.label for study in girl])


def hue_roses(sources: Sources) -> Figure:
    """The hues of every drawing."""
    figure = hsv_plots.hue_roses({study.label: study.colors.reshape(-1, 3) for study in _drawn(sources)}, columns=3)
    return _resized(figure, 6.0, 4.6)


def framing(sources: Sources) -> Figure:
    """Where the character is in the square of each drawing."""
    return _resized(overview_plots.framing(_drawn(sources)), 8.4, 1.9)


def _resized(figure: Figure, width: float, height: float) -> Figure:
    """The figure at a smaller size, so that its words are as large as the text on paper."""
    figure.set_size_inches(width, height)
    return figure


def _drawn(sources: Sources) -> list[studies.Study]:
    for row in sources.lines("1_data/unicorn_girl/train/metadata.jsonl"):
        sources.path(f"1_data/unicorn_girl/train/{row['file_name']}")
    return studies.load(sources.root / "1_data" / "unicorn_girl")


def noise_schedule(sources: Sources) -> Figure:
    """The signal-to-noise ratio of the miniature's schedule."""
    folder = f"{MINIATURE}/scheduler"
    sources.path(f"{folder}/scheduler_config.json")
    return figures.snr_curve(DDIMScheduler.from_pretrained(sources.root / folder))


def trials(sources: Sources) -> Figure:
    """Attributes and pose of each trial of the tokenizer, in its order."""
    rows = sources.csv(f"{MINIATURE}/pretraining/trials.csv")
    with figures.style():
        figure, axes = plt.subplots(figsize=(6.4, 3.6))
        places = np.arange(len(rows))[::-1]
        for offset, name, color in ((0.2, "attributes", figures.COLORS[0]), (-0.2, "pose", figures.COLORS[2])):
            axes.barh(places + offset, [100 * float(row[name]) for row in rows], 0.36, color=color, label=name)
        labels = [f"{row['latents']}\n{int(row['samples']):,} samples" for row in rows]
        axes.set_yticks(places, labels, fontsize=7)
        axes.set(xlabel="percent right", xlim=(0, 100))
        figure.legend(loc="outside lower center", ncols=2)
    plt.close(figure)
    return figure


def pretraining_losses(sources: Sources) -> Figure:
    """The tokenizer's and the UNet's loss over their steps."""
    panels = {"vae": ("reconstruction", "semantic"), "unet": ("v_error", "semantic_error")}
    titles = {"vae": "tokenizer", "unet": "UNet"}
    with figures.style():
        figure, every = plt.subplots(1, 2, figsize=(6.6, 2.8))
        for axes, (stage, names) in zip(every, panels.items(), strict=True):
            rows = sources.lines(f"{MINIATURE}/pretraining/{stage}/{LOG_FILE}")
            for color, name in zip(figures.COLORS, names, strict=False):
                figures.smoothed_line(axes, rows, name, name.replace("_", " "), color)
            axes.set(xlabel="step", title=titles[stage], yscale="log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.legend(fontsize=8)
        every[0].set_ylabel("loss")
    plt.close(figure)
    return figure


def followed(sources: Sources) -> Figure:
    """How often the base follows each factor of full captions, compared with reconstructions of true drawings."""
    record = sources.json(f"{MINIATURE}/evaluation.json")
    names = [a.name for a in world.ATTRIBUTES if a.named] + list(world.POSE_FACTORS)
    with figures.style():
        figure, axes = plt.subplots(figsize=(6.6, 3))
        places = np.arange(len(names))
        sides = ((-0.2, "drawn", "drawn by the base"), (0.2, "ceiling", "true drawings through its tokenizer"))
        for (offset, key, label), color in zip(sides, figures.COLORS[::2], strict=False):
            axes.bar(places + offset, [100 * record[key][name] for name in names], 0.36, label=label, color=color)
        axes.set_xticks(places, [name.replace("_", " ") for name in names], rotation=40, ha="right", fontsize=7)
        axes.set(ylabel="percent right", ylim=(0, 103))
        figure.legend(loc="outside lower center", ncols=2)
    plt.close(figure)
    return figure


def none_of_n(sources: Sources) -> Figure:
    """The largest share that is plausible if none of n pictures succeeded: the upper end of the exact interval."""
    counts = np.arange(1, 121)
    with figures.style():
        figure, axes = plt.subplots(figsize=(5.2, 2.4))
        axes.plot(counts, [100 * clopper_pearson(0, int(n)).high for n in counts])
        axes.plot([24], [100 * clopper_pearson(0, 24).high], "o", color=figures.COLORS[1])
        axes.annotate("24 pictures", (24, 100 * clopper_pearson(0, 24).high), (8, 6), textcoords="offset points")
        axes.set(xlabel="pictures, none of which succeeded", ylabel="upper end, percent", ylim=(0, 100))
    plt.close(figure)
    return figure


def scaling(sources: Sources) -> Figure:
    return _resized(scaling_curve.plot(sources.json("6_generated/scaling/scaling.json")), 7.6, 2.8)


def run_bars(sources: Sources) -> Figure:
    """The rows of the committed DreamBooth+LoRA run."""
    return figures.score_bars(sources.json("6_generated/dreambooth_lora/scores.json"))


def training_steps(sources: Sources) -> Figure:
    curve = summary.curve_of(sources.study("training_steps").rows, "finetune.steps")
    return study_plots.curves(_titled(curve), "training steps", columns=2)


def learning_rate(sources: Sources) -> Figure:
    """Identity by learning rate and rank, with DreamBooth+LoRA or the adapter method that the table has."""
    rows = sources.study("learning_rate").rows
    pairs = [summary.pairs_of(rows, m, "finetune.learning_rate", "finetune.rank") for m in ("dreambooth_lora", "lora")]
    chosen = next(found for found in pairs if found)
    return study_plots.heat_map(chosen, "learning rate", "rank", "identity")


def inference_steps(sources: Sources) -> Figure:
    curve = findings.sampler_curve(sources.study("inference_steps"))
    return study_plots.curves(curve, "inference steps", columns=2)


def identity_against_pose(sources: Sources) -> Figure:
    return study_plots.identity_against_pose(_titled(sources.study("comparison").groups))


def _titled(named: Mapping[str, Any]) -> dict[str, Any]:
    return {titled(name): value for name, value in named.items()}


def by_attribute(sources: Sources) -> Figure:
    return _resized(study_plots.by_attribute(_titled(sources.study("comparison").groups)), 6.2, 5.2)


def speed(sources: Sources) -> Figure:
    """Steps a second of the engine and of diffusers' script."""
    measurements = sources.json("5_documents/benchmarks/finetuning_cpu.json")["measurements"]
    with figures.style():
        figure, every = plt.subplots(1, len(measurements), figsize=(3.3 * len(measurements), 2.2), sharex=True)
        for axes, one in zip(np.atleast_1d(every), measurements, strict=True):
            rows = one["rows"][::-1]
            colors = [figures.GRAPHITE if "script" in row["name"] else figures.COLORS[0] for row in rows]
            axes.barh([row["name"] for row in rows], [row["steps_per_second"] for row in rows], color=colors)
            axes.set(xlabel="steps a second", title=one["work"]["precision"])
    plt.close(figure)
    return figure


def memory(sources: Sources) -> Figure:
    """The memory that each fine-tuning needs on some GPUs, and the memory that these have."""
    plans = sources.json("5_documents/benchmarks/plans.json")
    gpus = {plan["name"]: plan["memory_gib"] for plan in plans}
    jobs = list(dict.fromkeys((plan["base"], plan["method"]) for plan in plans))
    with figures.style():
        figure, axes = plt.subplots(figsize=(6.6, 2.9))
        width = 0.8 / len(gpus)
        for i, (name, has) in enumerate(gpus.items()):
            needs = [next(p["needs_gib"] for p in plans if (p["base"], p["method"], p["name"]) == (*job, name))
                     for job in jobs]  # fmt: skip
            places = np.arange(len(jobs)) + (i - (len(gpus) - 1) / 2) * width
            axes.bar(places, needs, width * 0.9, label=f"{name}, {has:.0f} GiB", color=figures.COLORS[i])
            axes.hlines([has] * len(jobs), places - width / 2, places + width / 2, color=figures.INK, linewidth=1)
        axes.set_xticks(range(len(jobs)), [f"{base}\n{method}" for base, method in jobs], fontsize=8)
        axes.set(ylabel="GiB at the peak")
        figure.legend(loc="outside lower center", ncols=len(gpus), fontsize=8)
    plt.close(figure)
    return figure


PLOTS: Mapping[str, Callable[[Sources], Figure]] = {
    one.__name__: one
    for one in (
        *(identity_palette, hue_roses, framing, noise_schedule, trials, pretraining_losses, followed, none_of_n),
        *(scaling, run_bars, training_steps, learning_rate, inference_steps, identity_against_pose, by_attribute),
        *(speed, memory),
    )
}
