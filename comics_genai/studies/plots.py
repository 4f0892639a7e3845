"""Figures of a study's table, in the one style."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from comics_genai import world
from comics_genai.evaluation.statistics import Interval
from comics_genai.plotting import figures
from comics_genai.studies.summary import OF_A_SET, SHARES, Group

Points = Mapping[Any, Group]
DOT = 5  # pixels from the middle of a point to its edge
# Where a name may stand beside its point, in points from it, and the end of the name that is there.
SIDES = (((6, 4), "left"), ((-6, 4), "right"), ((6, -11), "left"), ((-6, -11), "right"), ((6, 14), "left"))


def curves(
    curve: Mapping[str, Points],
    xlabel: str,
    measures: Sequence[str] = ("identity", "pose", "joint_success", "copied"),
    log: bool = True,
    columns: int = 0,
) -> Figure:
    """A panel for each measure with a line for each method. columns: panels side by side, 0 = all.

    Shares have 95 % bands; measures of a whole run, such as "prior_drift", have none.
    """
    with figures.style():
        columns = columns or len(measures)
        rows = -(-len(measures) // columns)
        figure, axes = plt.subplots(rows, columns, figsize=(3.1 * columns, 2.6 * rows + 0.6), squeeze=False)
        for axis, measure in zip(axes.flat, measures, strict=False):
            for method, points in curve.items():
                _line(axis, points, measure, method)
            axis.set(xlabel=xlabel, title=SHARES.get(measure) or OF_A_SET.get(measure, (measure,))[0])
            if log:
                values = sorted({value for points in curve.values() for value in points})
                axis.set_xscale("log")
                axis.set_xticks(values, [f"{value:g}" for value in values])
                axis.minorticks_off()
                axis.tick_params(axis="x", labelrotation=45 if len(values) > 5 else 0)
        axes[0][0].set_ylabel("percent")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1), frameon=False)
        figure.set_layout_engine("constrained")
    return figure


def _line(axis: Any, points: Points, measure: str, label: str) -> None:
    if measure in SHARES:
        found = [(value, group.intervals[measure]) for value, group in points.items() if measure in group.intervals]
        values = [value for value, _ in found]
        (line,) = axis.plot(values, [100 * i.mean for _, i in found], marker="o", markersize=3, label=label)
        low, high = ([100 * getattr(i, end) for _, i in found] for end in ("low", "high"))
        axis.fill_between(values, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
        return
    found = [(value, group.mean_of(measure)) for value, group in points.items()]
    found = [(value, mean) for value, mean in found if mean is not None]
    axis.plot([v for v, _ in found], [mean for _, mean in found], marker="o", markersize=3, label=label)


def heat_map(groups: Mapping[tuple[Any, Any], Group], across: str, down: str, measure: str = "joint_success") -> Figure:
    """A heat map of a measure in percent over two settings. groups: {(value across, value down): group}."""
    columns, rows = (sorted({pair[i] for pair in groups}) for i in (0, 1))
    values = np.full((len(rows), len(columns)), np.nan)
    for (column, row), group in groups.items():
        values[rows.index(row), columns.index(column)] = 100 * group.intervals[measure].mean
    with figures.style():
        figure, axis = plt.subplots(figsize=(1.1 * len(columns) + 2, 0.7 * len(rows) + 1.4))
        image = axis.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                axis.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 60 else "black")
        axis.set_xticks(range(len(columns)), [f"{column:g}" for column in columns])
        axis.set_yticks(range(len(rows)), [f"{row:g}" for row in rows])
        axis.set(xlabel=across, ylabel=down, title=f"{SHARES[measure]}, percent")
        axis.grid(False)
        figure.colorbar(image, ax=axis)
    return figure


def _errors(interval: Interval) -> list[list[float]]:
    """Distances of an interval's ends from its mean, in percent; where all values are equal, rounding may put the mean
    beyond an end."""
    return [[max(0.0, 100 * (interval.mean - interval.low))], [max(0.0, 100 * (interval.high - interval.mean))]]


def identity_against_pose(groups: Mapping[str, Group]) -> Figure:
    """Identity and pose of each group with 95 % bars, and its copy rate as colour; those without poses are left out."""
    shown = {name: group for name, group in groups.items() if "pose" in group.intervals}
    with figures.style():
        figure, axis = plt.subplots(figsize=(6, 4.4))
        for group in shown.values():
            x, y = group.intervals["pose"], group.intervals["identity"]
            bars = {
                "xerr": _errors(x),
                "yerr": _errors(y),
            }
            axis.errorbar(100 * x.mean, 100 * y.mean, **bars, color="0.75", linewidth=1, zorder=1)
        points = axis.scatter(
            [100 * group.intervals["pose"].mean for group in shown.values()],
            [100 * group.intervals["identity"].mean for group in shown.values()],
            c=[100 * group.intervals["copied"].mean for group in shown.values()],
            cmap="plasma", vmin=0, vmax=100, zorder=2, edgecolors="0.3",
        )  # fmt: skip
        axis.set(xlabel="pose, percent of its factors", ylabel="identity, percent of her attributes")
        figure.colorbar(points, ax=axis, label="copy rate, percent")
        _name_points(axis, dict(zip(shown, points.get_offsets(), strict=True)))
    return figure


def _name_points(axis: Axes, points: Mapping[str, Any]) -> None:
    """Write each name beside its point, on the first side where it covers no name and no point, or else on the last."""
    axis.figure.canvas.draw()  # settles the layout, so that the places of names are known
    places = axis.transData.transform(list(points.values()))
    taken = [Bbox([place - DOT, place + DOT]) for place in places]
    for name, point in points.items():
        for place, side in SIDES:
            words = axis.annotate(name, point, place, textcoords="offset points", ha=side, fontsize=8)
            box = words.get_window_extent()
            if (place, side) == SIDES[-1] or not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            words.remove()


def by_attribute(groups: Mapping[str, Group]) -> Figure:
    """How often each attribute of identity is right, with a row for each attribute and a column for each group."""
    names = [a.name for a in world.ATTRIBUTES if all(a.name in group.intervals for group in groups.values())]
    values = np.array([[100 * group.intervals[name].mean for group in groups.values()] for name in names])
    labels = [n.replace("_", " ") + ("" if next(a for a in world.ATTRIBUTES if a.name == n).named else " (no word)")
              for n in names]  # fmt: skip
    with figures.style():
        figure, axis = plt.subplots(figsize=(0.8 * len(groups) + 2.6, 0.3 * len(names) + 1.6))
        image = axis.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
        axis.set_xticks(range(len(groups)), list(groups), rotation=35, ha="right")
        axis.set_yticks(range(len(names)), labels)
        axis.grid(False)
        figure.colorbar(image, ax=axis, label="percent right")
    return figure
