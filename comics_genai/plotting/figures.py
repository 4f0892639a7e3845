"""Every figure in one style: contact sheets and grids of pictures, loss curves, bars with intervals."""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import ImageDraw, ImageFont

from comics_genai.files import write_atomic
from comics_genai.run import STEP_PICTURES, VALIDATION, step_in_name

INK, GRAPHITE, PAPER = "#2b2733", "#7d7887", "#ffffff"
COLORS = ("#7b4fa3", "#e0795b", "#3f8f8a", "#d9a53a", "#5b76b8", "#b0557f")
STYLE = {
    "figure.dpi": 120,
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRAPHITE,
    "axes.labelcolor": INK,
    "axes.prop_cycle": plt.cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "xtick.color": GRAPHITE,
    "ytick.color": GRAPHITE,
    "legend.frameon": False,
    "savefig.bbox": "tight",
}
GAP = 12  # pixels between pictures
STEP = 5  # of 255: colours are rounded to multiples, so none is off by more than 2, which no eye sees
SMALL = 256  # side in pixels up to which pictures are enlarged by whole factors
LINES = ("identity_named", "identity_unnamed", "pose", "copied")  # columns of a table of scores that are shown as lines
ENDS = ("mean", "low", "high")


@contextmanager
def style() -> Iterator[None]:
    """A context in which plots have the common style."""
    with plt.rc_context(STYLE):
        yield


def grid(pictures: Sequence[PIL.Image.Image], columns: int = 0, side: int = 0) -> PIL.Image.Image:
    """Pictures row by row, each about `side` px (see `shown_side`). With 0 columns the grid is about square."""
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    side = shown_side(pictures, side)
    sheet = PIL.Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side), PAPER)
    for i, picture in enumerate(pictures):
        sheet.paste(_fitted(picture, side), (i % columns * side, i // columns * side))
    return sheet


def shown_side(pictures: Sequence[PIL.Image.Image], side: int = 0) -> int:
    """The side at which pictures are shown if about `side` px are wanted (0 = the side of the first one).

    Small pictures are enlarged by a whole factor, so that each of their pixels stays a square.
    """
    smallest = min((max(picture.size) for picture in pictures), default=0)
    if side and 0 < smallest <= SMALL:
        return max(1, int(side / smallest + 0.5)) * smallest if side > smallest / 2 else side
    return side or pictures[0].width


def show(picture: PIL.Image.Image | None) -> None:
    """Show a sheet in a notebook, in full colour; None shows nothing."""
    from IPython.display import display

    if picture is not None:
        display(lean(picture))


def lean(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Round each channel to multiples of 5, so that a PNG takes about half the bytes.

    A palette of 256 colours would replace colours by others. Here none is off by more than 2, and white stays white.
    """
    pixels = np.asarray(picture.convert("RGB")).astype(np.uint16)
    return PIL.Image.fromarray(((pixels + STEP // 2) // STEP * STEP).astype(np.uint8))


def contact_sheet(
    drawings: Sequence[PIL.Image.Image],
    pictures: Sequence[PIL.Image.Image],
    captions: Sequence[str] = (),
    drawing_captions: Sequence[str] = (),
    titles: tuple[str, str] = ("The drawings", "New poses"),
    columns: int = 6,
    side: int = 192,
) -> PIL.Image.Image:
    """The drawings above the new poses, in the same geometry, each with its caption underneath.

    side: the approximate side of a picture in pixels, see `shown_side`. Captions are wrapped and shown whole.
    """
    side = shown_side([*drawings, *pictures], side)
    sections = [(titles[0], drawings, drawing_captions), (titles[1], pictures, captions)]
    blocks = [_section(title, images, texts, columns, side) for title, images, texts in sections if len(images)]
    sheet = PIL.Image.new("RGB", (blocks[0].width, sum(block.height for block in blocks) + GAP), PAPER)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _section(
    title: str, images: Sequence[PIL.Image.Image], captions: Sequence[str], columns: int, side: int
) -> PIL.Image.Image:
    title_font, font = ImageFont.load_default(side / 9), ImageFont.load_default(side / 12)
    # Letters differ in width; this many average ones fill a line with some room to spare.
    letters = int(0.95 * side / font.getlength("average letter") * len("average letter"))
    texts = [textwrap.fill(caption, letters) for caption in captions] + [""] * (len(images) - len(captions))
    line, head = side / 9.5, int(side / 5)
    rows = [range(i, min(i + columns, len(images))) for i in range(0, len(images), columns)]
    room = [int(line * max(texts[i].count("\n") + 1 if texts[i] else 0 for i in row)) + GAP for row in rows]
    size = (columns * (side + GAP) + GAP, head + sum(side + GAP // 2 + below for below in room))
    sheet = PIL.Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, head / 4), title, INK, title_font)
    top = head
    for row, below in zip(rows, room, strict=True):
        for column, i in enumerate(row):
            left = GAP + column * (side + GAP)
            sheet.paste(_fitted(images[i], side), (left, top))
            draw.rectangle((left - 1, top - 1, left + side, top + side), outline=GRAPHITE)
            draw.text((left, top + side + GAP // 2), texts[i], INK, font, spacing=line - side / 12)
        top += side + GAP // 2 + below
    return sheet


def _fitted(picture: PIL.Image.Image, side: int) -> PIL.Image.Image:
    """The whole picture, centred in a square of paper of `side` px."""
    scale = side / max(picture.size)
    size = tuple(max(1, round(length * scale)) for length in picture.size)
    square = PIL.Image.new("RGB", (side, side), PAPER)
    # Enlarged pixels stay visible: smoothing would suggest a resolution that the picture does not have.
    method = PIL.Image.Resampling.NEAREST if scale >= 1 else PIL.Image.Resampling.LANCZOS
    small = picture.convert("RGB").resize(size, method)
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def labelled_grid(
    rows: Mapping[str, Sequence[PIL.Image.Image]], columns: Sequence[str] = (), side: int = 128
) -> PIL.Image.Image:
    """A row of pictures for each label, below the columns' labels if there are any. Pictures are about `side` px."""
    side = shown_side([picture for pictures in rows.values() for picture in pictures], side)
    font = ImageFont.load_default(max(11, side / 9))
    letters = int(0.9 * side / font.getlength("average letter") * len("average letter"))
    heads = [textwrap.fill(label, letters) for label in columns]
    lines = max((head.count("\n") + 1 for head in heads if head), default=0)
    head = lines and side // 4 + (lines - 1) * int(1.2 * font.size)
    count = max(map(len, rows.values()))
    sheet = PIL.Image.new("RGB", ((count + 1) * side, head + len(rows) * side), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(heads):
        draw.multiline_text(((column + 1) * side + GAP // 2, side // 16), label, INK, font, spacing=1)
    for row, (label, pictures) in enumerate(rows.items()):
        top = head + row * side
        draw.multiline_text((GAP // 2, top + GAP), textwrap.fill(label, letters), INK, font)
        for column, picture in enumerate(pictures):
            sheet.paste(_fitted(picture, side), ((column + 1) * side, top))
    return sheet


def save_grid(pictures: Sequence[PIL.Image.Image], path: Path, columns: int = 0) -> Path:
    """Write `grid` as a PNG, atomically."""
    return save_picture(grid(pictures, columns), path)


def save_picture(picture: PIL.Image.Image, path: Path) -> Path:
    """Write a PNG, atomically."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write_atomic(Path(path), buffer.getvalue())
    return Path(path)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a plot atomically, in the format of the path's suffix (.png, .pdf, .svg)."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=Path(path).suffix.removeprefix("."))
    write_atomic(Path(path), buffer.getvalue())
    return Path(path)


def legend_below(axes: Axes, columns: int = 1) -> None:
    """A legend below the axes, where it covers no curve; the layout makes room for it."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=columns, fontsize=7)


def smoothed_line(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, label: str, color: str) -> None:
    """Plot a figure of log.jsonl over the steps: thin as logged, thick as means over a tenth of the rows."""
    logged = [row for row in rows if row.get(name) is not None]
    steps, values = [row["step"] for row in logged], np.array([row[name] for row in logged])
    width = max(1, len(values) // 10)
    # At both ends the mean is over fewer rows.
    weight = np.convolve(np.ones_like(values), np.ones(width), "same")
    axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
    axes.plot(steps, np.convolve(values, np.ones(width), "same") / weight, color=color, label=label)


def loss_curve(rows: Sequence[Mapping[str, Any]], names: Sequence[str] = ("loss",), title: str = "") -> Figure:
    """A plot with a `smoothed_line` for each of several figures of log.jsonl."""
    labels = {"loss": "whole loss", "loss_drawings": "on the drawings", "loss_prior": "prior preservation"}
    with style():
        figure, axes = plt.subplots(figsize=(6, 3))
        for color, name in zip(COLORS, names, strict=False):
            smoothed_line(axes, rows, name, labels.get(name, name), color)
        axes.set(xlabel="step", ylabel="loss", title=title)
        axes.set_ylim(bottom=0)
        if len(names) > 1:
            figure.legend(loc="outside lower center", ncols=len(names))
    plt.close(figure)
    return figure


def snr_curve(scheduler: Any) -> Figure:
    """Plot the signal-to-noise ratio alpha_bar / (1 - alpha_bar) of a scheduler's training steps, logarithmically."""
    from comics_genai.training import objective  # imports torch, which the other figures do not need

    ratio = objective.snr(objective.alpha_bar(scheduler)).numpy()
    with style():
        figure, axes = plt.subplots(figsize=(6, 2.4))
        axes.plot(np.arange(len(ratio)), np.where(ratio > 0, ratio, np.nan))
        axes.axhline(1, color=GRAPHITE, linestyle=":", linewidth=0.8)
        axes.set(xlabel="training step t", ylabel="signal / noise", yscale="log")
        axes.set_title("How much of the drawing is left")
    plt.close(figure)
    return figure


def validation_curve(rows: Sequence[Mapping[str, Any]], chosen: int | None = None) -> Figure:
    """Plot identity, pose, copy rate and score of the validations in log.jsonl; the chosen step is marked."""
    names = {"identity": "identity", "pose": "pose", "copied": "copy rate", "score": "score"}
    measured = [row for row in rows if "validation_score" in row]
    with style():
        figure, axes = plt.subplots(figsize=(6, 3))
        for name, label in names.items():
            values = [100 * row[f"validation_{name}"] for row in measured]
            axes.plot([row["step"] for row in measured], values, marker="o", markersize=3, label=label)
        if chosen is not None:
            axes.axvline(chosen, color=GRAPHITE, linewidth=0.8, linestyle=":")
            axes.annotate("chosen", (chosen, 100), (3, 0), textcoords="offset points", color=GRAPHITE, va="top")
        axes.set(xlabel="step", ylabel="%", ylim=(0, 105), title="Validation poses, over the steps")
        figure.legend(loc="outside lower center", ncols=len(names))
    plt.close(figure)
    return figure


def validation_strip(run: Path, rows: int = 6, side: int = 96) -> PIL.Image.Image | None:
    """The validation pictures of a run, each time from the same noise: a row for each of some evenly chosen steps.

    None if the run was stopped before its first validation.
    """
    paths = sorted((Path(run) / VALIDATION).glob(STEP_PICTURES))
    if not paths:
        return None
    shown = [paths[i] for i in sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(rows, len(paths)))})]
    lines: list[PIL.Image.Image] = []
    with PIL.Image.open(paths[0]) as first:
        side = shown_side([first.crop((0, 0, first.height, first.height))], side)
    for path in shown:
        label = PIL.Image.new("RGB", (side, side), PAPER)
        step = step_in_name(path)
        ImageDraw.Draw(label).text((GAP, side * 0.4), f"step {step}", INK, ImageFont.load_default(side / 6))
        with PIL.Image.open(path) as row:
            lines += [label, *(row.crop((x, 0, x + row.height, row.height)) for x in range(0, row.width, row.height))]
    return grid(lines, columns=len(lines) // len(shown), side=side)


def comparison_bars(
    rows: Mapping[str, Mapping[str, tuple[float, float, float] | None]], columns: Mapping[str, str], title: str = ""
) -> Figure:
    """A bar chart with a group for each column and, in each group, a bar with its interval for each row.

    rows: name -> column -> (value, low, high) as fractions, or None if it does not apply. columns: key -> label.
    """
    with style():
        figure, axes = plt.subplots(figsize=(1.1 + 1.1 * len(columns), 3))
        width = 0.8 / max(len(rows), 1)
        for i, (name, figures) in enumerate(rows.items()):
            known = [(j, figures[key]) for j, key in enumerate(columns) if figures.get(key) is not None]
            left = [j + (i - (len(rows) - 1) / 2) * width for j, _ in known]
            value, low, high = (100 * np.array([v[k] for _, v in known]) for k in range(3))
            errors = np.maximum([value - low, high - value], 0)  # by rounding, a mean may lie just outside its interval
            axes.bar(left, value, width * 0.92, label=name, yerr=errors, ecolor=INK, capsize=2)
        axes.set_xticks(range(len(columns)), [textwrap.fill(label, 14) for label in columns.values()])
        axes.set(ylabel="%", ylim=(0, 105), title=title)
        figure.legend(loc="outside lower center", ncols=len(rows))
    plt.close(figure)
    return figure


def score_lines(scores: Mapping[str, Any], xlabel: str, title: str = "", columns: Sequence[str] = LINES) -> Figure:
    """Plot the columns of a table of scores (`metrics.table`) over the numbers that name its rows, with intervals."""
    x = [float(row["name"]) for row in scores["rows"]]
    with style():
        figure, axes = plt.subplots(figsize=(6, 3))
        for key in columns:
            mean, low, high = (100 * np.array([row[key][end] for row in scores["rows"]]) for end in ENDS)
            axes.plot(x, mean, marker="o", markersize=3, label=scores["columns"][key])
            axes.fill_between(x, low, high, alpha=0.12, linewidth=0)
        axes.set(xlabel=xlabel, ylabel="%", ylim=(0, 105), title=title, xticks=x)
        figure.legend(loc="outside lower center", ncols=len(columns))
    plt.close(figure)
    return figure


def score_families(
    families: Mapping[str, Mapping[str, Any]], xlabel: str, columns: Sequence[str] = ("identity", "pose")
) -> Figure:
    """Plot several tables like those of `score_lines`: a panel for each column, and in it a line for each table."""
    with style():
        figure, every_axes = plt.subplots(1, len(columns), figsize=(3.6 * len(columns), 3), sharey=True, squeeze=False)
        for axes, key in zip(every_axes[0], columns, strict=True):
            for name, scores in families.items():
                x = [float(row["name"]) for row in scores["rows"]]
                axes.plot(x, [100 * row[key]["mean"] for row in scores["rows"]], marker="o", markersize=3, label=name)
            axes.set(xlabel=xlabel, ylim=(0, 105), title=scores["columns"][key], xticks=x)
        every_axes[0, 0].set_ylabel("%")
        figure.legend(*every_axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(families))
    plt.close(figure)
    return figure


def score_bars(scores: Mapping[str, Any], title: str = "") -> Figure:
    """`comparison_bars` of a table of scores (`metrics.table`)."""
    columns = scores["columns"]
    rows = {
        row["name"]: {key: tuple(row[key].values()) if row[key] else None for key in columns} for row in scores["rows"]
    }
    return comparison_bars(rows, columns, title)
