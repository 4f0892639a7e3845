"""Figures of the baselines' notebooks: samples over steps, the balance of two networks, memorisation, schedules."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import torch
from matplotlib.figure import Figure

from comics_genai.evaluation.statistics import hierarchical_bootstrap
from comics_genai.images import to_pictures
from comics_genai.plotting import figures
from comics_genai.run import STEP_PICTURES, step_in_name
from comics_genai.training import objective
from comics_genai.training.checkpoint import Log

from . import ddpm
from .samples import COLUMNS

Rows = Sequence[Mapping[str, Any]]
SHARES = ("accuracy_", "copied")  # how the names of figures in [0, 1] begin


def log(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's log."""
    return Log(Path(run)).rows()


def validated(rows: Rows) -> list[Mapping[str, Any]]:
    """The rows of the steps at which pictures were drawn and measured."""
    return [row for row in rows if "validation_diversity" in row]


def over_steps(run: Path, rows: int = 6, side: int = 96) -> PIL.Image.Image:
    """The real drawings, and below them samples from the same noise at some evenly chosen steps."""
    folder = Path(run) / "samples"
    paths = sorted(folder.glob(STEP_PICTURES))
    chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(rows, len(paths)))})
    shown = {"the drawings": _first_row(folder / "drawings.png")}
    shown |= {f"step {step_in_name(paths[i])}": _first_row(paths[i]) for i in chosen}
    return figures.labelled_grid(shown, side=side)


def _first_row(path: Path) -> list[PIL.Image.Image]:
    with PIL.Image.open(path) as sheet:
        side = sheet.width // COLUMNS
        return [sheet.crop((x, 0, x + side, side)) for x in range(0, sheet.width, side)]


def curves(
    rows: Rows,
    panels: Mapping[str, Mapping[str, str]],
    levels: Mapping[str, Mapping[str, float]] | None = None,
    logarithmic: Sequence[str] = (),
) -> Figure:
    """Plot figures of a log over the steps, with a panel for each title.

    panels: title -> {name in the log: label}. Figures of the validation are marked with dots; others are smoothed.
    levels: title -> {label: value} of dotted lines to compare with. logarithmic: titles of panels with a logarithmic
    axis.
    """
    with figures.style():
        figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 2.8), squeeze=False)
        for panel, (title, lines) in zip(axes[0], panels.items(), strict=True):
            for color, (name, label) in zip(figures.COLORS, lines.items(), strict=False):
                if name.startswith("validation_"):
                    known = [row for row in rows if row.get(name) is not None]
                    steps, values = [row["step"] for row in known], [row[name] for row in known]
                    panel.plot(steps, values, marker="o", markersize=3, color=color, label=label)
                else:
                    figures.smoothed_line(panel, rows, name, label, color)
            for (label, value), line in zip((levels or {}).get(title, {}).items(), (":", "--"), strict=False):
                panel.axhline(value, color=figures.GRAPHITE, linestyle=line, label=label)
            panel.set(xlabel="step", title=title, yscale="log" if title in logarithmic else "linear")
            if all(name.removeprefix("validation_").startswith(SHARES) for name in lines):
                panel.set_ylim(-0.03, 1.03)
            figures.legend_below(panel)
    plt.close(figure)
    return figure


def overfitting(runs: Mapping[str, Rows]) -> Figure:
    """Compare the discriminators of several runs: how often each takes training and held-out drawings for real.

    The last panel shows r_v, which puts the gap between the two on one scale (Karras et al. 2020).
    """
    with figures.style():
        figure, axes = plt.subplots(1, 1 + len(runs), figsize=(3.6 * (1 + len(runs)), 2.8), squeeze=False)
        *discriminated, last = axes[0]
        for panel, color, (name, rows) in zip(discriminated, figures.COLORS, runs.items(), strict=False):
            measured = [row for row in rows if row.get("validation_accuracy_held_out") is not None]
            steps = [row["step"] for row in measured]
            seen, unseen = (
                np.array([100 * row[f"validation_accuracy_{kind}"] for row in measured])
                for kind in ("drawings", "held_out")
            )
            panel.plot(steps, seen, color=color, label="the six drawings")
            panel.plot(steps, unseen, color=color, linestyle="--", label="held-out drawings")
            panel.fill_between(steps, unseen, seen, color=color, alpha=0.15)
            panel.set(xlabel="step", ylabel="taken for real, %", ylim=(-5, 105), title=name)
            figures.legend_below(panel)
            last.plot(steps, [row["validation_r_v"] for row in measured], color=color, marker="o", ms=3, label=name)
        for value in (0, 1):
            last.axhline(value, color=figures.GRAPHITE, linewidth=0.6, linestyle=":")
        # The axis is linear up to 1 and then logarithmic, where held-out drawings look falser than generated ones.
        last.set_yscale("symlog", linthresh=1)
        last.set(xlabel="step", ylabel="$r_v$", title="Overfitting: 0 none, 1 complete")
        figures.legend_below(last)
    plt.close(figure)
    return figure


def memorisation(rows: Rows, samples: int, levels: Mapping[str, float]) -> Figure:
    """Plot the copy rate over the steps, with 95 % intervals over `samples` pictures, and the samples' diversity.

    levels: label -> mean distance between other pictures, as dotted lines.
    """
    measured = validated(rows)
    steps = [row["step"] for row in measured]
    with figures.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(3, 2))
        if all(row.get("validation_copied") is not None for row in measured):
            copied = [round(samples * row["validation_copied"]) for row in measured]
            intervals = [hierarchical_bootstrap([1] * n + [0] * (samples - n), [], 2000) for n in copied]
            left.plot(steps, [100 * i.mean for i in intervals], marker="o", ms=4, color=figures.COLORS[1])
            low, high = ([100 * getattr(i, end) for i in intervals] for end in ("low", "high"))
            left.fill_between(steps, low, high, color=figures.COLORS[1], alpha=0.2, label="95 % over samples")
            left.axhline(1, color=figures.GRAPHITE, linestyle=":", label="true drawings in other poses: 1 %")
            figures.legend_below(left)
        left.set(xlabel="step", ylabel="copy rate, %", ylim=(-3, 103), title="Memorisation")
        right.plot(steps, [row["validation_diversity"] for row in measured], marker="o", ms=4)
        for (label, value), line in zip(levels.items(), (":", "--"), strict=False):
            right.axhline(value, color=figures.GRAPHITE, linestyle=line, label=label)
        figures.legend_below(right)
        right.set(xlabel="step", title="Mean distance between samples")
        right.set_ylim(bottom=0)
    plt.close(figure)
    return figure


def memorisation_in_words(rows: Rows) -> str:
    """When copies appear, and when half and all samples are copies, in Markdown; "not measured" without a threshold."""
    known = [row for row in validated(rows) if row.get("validation_copied") is not None]
    if not known:
        return "not measured."
    said = []
    for words, share in (("the first copy", 1e-9), ("half of the samples", 0.5), ("nine in ten", 0.9)):
        step = next((row["step"] for row in known if row["validation_copied"] >= share), None)
        said.append(f"{words} {'in no step' if step is None else f'by step {step}'}")
    return f"{', '.join(said)}; at the end, step {known[-1]['step']}, **{known[-1]['validation_copied']:.0%}**."


def schedules(kinds: Mapping[str, ddpm.DdpmSettings]) -> Figure:
    """Plot alpha_bar, the signal-to-noise ratio and the min-SNR weight of each kind of schedule."""
    with figures.style():
        figure, axes = plt.subplots(1, 3, figsize=(10.8, 2.8))
        for (name, settings), line in zip(kinds.items(), ("-", "--", "-.", ":"), strict=False):
            alpha_bar = ddpm.schedule(settings)
            t, snr = torch.arange(1, len(alpha_bar) + 1), objective.snr(alpha_bar)
            weight = objective.min_snr_weight(snr, settings.min_snr_gamma, "v_prediction")
            for panel, values in zip(axes, (alpha_bar, snr, weight), strict=True):
                panel.plot(t, values, linestyle=line, label=name)
        axes[0].set(xlabel="t", title=r"$\bar\alpha_t$, the picture's share")
        axes[1].set(xlabel="t", yscale="log", title=r"SNR $\bar\alpha_t/(1-\bar\alpha_t)$", ylim=(1e-10, 1e5))
        axes[2].set(xlabel="t", title="weight of the error of v", ylim=(0, 1.05))
        figures.legend_below(axes[0])
    plt.close(figure)
    return figure


def forward_process(
    pictures: torch.Tensor, settings: Mapping[str, ddpm.DdpmSettings], columns: int = 9, side: int = 96
) -> PIL.Image.Image:
    """A picture for each kind of schedule, (K, 3, size, size), noised step by step from t = 0 to t = T."""
    rows, times = {}, []
    for picture, (name, chosen) in zip(pictures, settings.items(), strict=True):
        alpha_bar = torch.cat([torch.ones(1), ddpm.schedule(chosen)])
        times = torch.linspace(0, chosen.timesteps, columns).round().long()
        noise = torch.randn(1, *picture.shape, generator=torch.Generator().manual_seed(0))
        noised = objective.add_noise(picture.expand(columns, -1, -1, -1), noise, alpha_bar[times])
        rows[name] = to_pictures(noised.clamp(-1, 1))
    return figures.labelled_grid(rows, [f"t = {t}" for t in times], side)
