"""Summarise a study's table: groups of runs with intervals, tests between methods, and whether the claim holds.

    rows = Table(path).rows()
    groups = grouped(rows)                                      # one for each method and variant
    print(markdown(lines_of(groups)))
    tests = paired_tests(groups, "dreambooth_lora")
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comics_genai.errors import UserError
from comics_genai.evaluation.metrics import summarise
from comics_genai.evaluation.statistics import Interval, cohens_d, holm, sign_flip_test, tost
from comics_genai.studies.grid import Grid
from comics_genai.studies.table import Row, records_of

SHARES = {  # measures of a picture, in percent
    "identity": "identity",
    "identity_named": "named",
    "identity_unnamed": "unnamed",
    "rank_one": "rank 1 of 200",
    "pose": "pose",
    "joint_success": "joint success",
    "copied": "copy rate",
    "copy_pasted": "copy-paste",
}
OF_A_SET = {  # measures of all pictures of a run together, with their decimals
    "palette_distance": ("palette", 1),
    "diversity": ("diversity", 3),
    "kernel_distance": ("kernel distance", 2),
    "prior_drift": ("prior drift", 2),
}
REHEARSAL = (
    "**Rehearsal only.** The full study is not in the repository yet. What stands here comes from the smoke setting, "
    "minutes long, which proves that the machinery runs: its numbers say nothing about the methods."
)
CHANCE = ("base", "other_characters")  # kinds without any training
CAREFUL = "careful_prompt"


@dataclass(frozen=True)
class Group:
    """The runs of one line of the summary: their rows, and every measure with its interval."""

    name: str
    rows: tuple[Row, ...]
    intervals: Mapping[str, Interval]

    @property
    def kind(self) -> str:
        return self.rows[0]["kind"]

    def mean_of(self, measure: str) -> float | None:
        """The mean over runs of a score, or of "train", "draw" or "parameters"; None if no run has it."""
        rows = [row["scores"] | row["seconds"] | {"parameters": row["parameters"]} for row in self.rows]
        found = [row[measure] for row in rows if row.get(measure) is not None]
        return float(np.mean(found)) if found else None

    def by_character(self, measure: str) -> dict[int, float]:
        """The mean of each character, with equal weights for its training seeds. Tests compare these means."""
        found: dict[int, list[float]] = {}
        for row in self.rows:
            if (value := row["scores"].get(measure)) is not None:
                found.setdefault(row["character"], []).append(value)
        return {character: float(np.mean(values)) for character, values in found.items()}


def name_of(row: Row) -> str:
    """The method, and the variant if it is one."""
    return ", ".join(filter(None, (row["method"].replace("_", " "), row["variant"])))


def grouped(rows: Sequence[Row], key: Callable[[Row], str] = name_of) -> dict[str, Group]:
    """The groups by name, in the order of the rows. Raises UserError for a table without rows."""
    if not rows:
        raise UserError("The table of this study holds no run yet: start it by `python -m comics_genai study FILE`.")
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return {name: Group(name, tuple(some), _intervals(some)) for name, some in found.items()}


def _intervals(rows: Sequence[Row]) -> dict[str, Interval]:
    records = [record for row in rows for record in records_of(row)]
    return summarise(records, more=(*SHARES, "palette_distance"))


def setting_of(row: Row, setting: str) -> Any:
    """A setting of a row's run, such as "finetune.rank"; None if the grid does not set it."""
    section, _, name = setting.partition(".")
    return row["settings"].get(section, {}).get(name)


def curve_of(rows: Sequence[Row], setting: str, by: str = "") -> dict[str, dict[Any, Group]]:
    """The groups of each value of a setting, ascending: {method: {value: group}}.

    by: another setting that takes the place of the method.
    """

    def name(row: Row) -> str:
        return f"{by.rpartition('.')[2]} {setting_of(row, by)}" if by else name_of(row)

    own = [row for row in rows if setting_of(row, setting) is not None]
    found: dict[str, dict[Any, list[Row]]] = {}
    for row in sorted(own, key=lambda row: setting_of(row, setting)):
        found.setdefault(name(row), {}).setdefault(setting_of(row, setting), []).append(row)
    return {
        line: {value: Group(line, tuple(some), _intervals(some)) for value, some in points.items()}
        for line, points in found.items()
    }


def lines_of(groups: Mapping[str, Group]) -> list[dict[str, Any]]:
    """The lines of the table: shares in percent with 95 % intervals, then measures of whole runs; "-" for none."""
    lines = []
    for name, group in groups.items():
        pictures = sum(len(row["pictures"]["prompt"]) for row in group.rows)
        line: dict[str, Any] = {"": name, "runs": len(group.rows), "pictures": pictures}
        line |= {label: percent(group.intervals.get(measure)) for measure, label in SHARES.items()}
        for measure, (label, digits) in OF_A_SET.items():
            value = group.mean_of(measure)
            line[label] = "-" if value is None else f"{value:.{digits}f}"
        line["trained"] = f"{group.mean_of('parameters') or 0:,.0f}"
        line["training"] = f"{group.mean_of('train') or 0:,.0f} s"
        lines.append(line)
    return lines


def percent(interval: Interval | None) -> str:
    """ "46 [38, 55]", or "-" for None."""
    if interval is None:
        return "-"
    return f"{100 * interval.mean:.0f} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def paired_tests(
    groups: Mapping[str, Group], reference: str, measure: str = "joint_success"
) -> dict[str, dict[str, float]]:
    """Compare every other group with `reference`, over the characters that both have.

    Each test has the mean paired difference, its effect size d_z, the p value of the sign-flip test, and the p value
    adjusted for the number of tests (Holm 1979).
    """
    ours, found = groups[reference].by_character(measure), {}
    for name, group in groups.items():
        theirs = group.by_character(measure)
        differences = [theirs[c] - ours[c] for c in ours if c in theirs]
        if name != reference and differences:
            found[name] = {
                "characters": len(differences),
                "difference": float(np.mean(differences)),
                "effect": cohens_d(differences),
                "p": sign_flip_test(differences),
            }
    adjusted = holm({name: test["p"] for name, test in found.items()})
    return {name: test | {"p_holm": adjusted[name]} for name, test in found.items()}


def equivalent_from(points: Mapping[Any, Group], margin: float, measure: str = "joint_success") -> Any:
    """The smallest value from which on all values are equivalent to the largest value.

    Equivalent means |difference| < margin with p < 0.05, by two one-sided tests over characters. None if there is no
    such value, or there are too few characters.
    """
    values = sorted(points)
    best, found = points[values[-1]].by_character(measure), None
    for value in reversed(values[:-1]):
        there = points[value].by_character(measure)
        differences = [there[c] - best[c] for c in best if c in there]
        if not differences or tost(differences, margin) >= 0.05:
            break
        found = value
    return found


def claim(groups: Mapping[str, Group], ours: str, times: float = 2.5) -> dict[str, Any]:
    """Check the claim: the joint success of `ours` is at least `times` that of a careful prompt and of chance.

    The intervals must not overlap, and the copy rate must be below 5 %. Returns the figures, and whether identity or
    pose is weaker.
    """
    bars = {name: group for name, group in groups.items() if group.kind in (CAREFUL, *CHANCE)}
    if not bars:
        raise UserError("The study has neither a careful prompt nor chance to compare with: add careful_prompt to it.")
    bar = max(bars, key=lambda name: bars[name].intervals["joint_success"].mean)
    joint, other = groups[ours].intervals["joint_success"], bars[bar].intervals["joint_success"]
    copied = groups[ours].intervals["copied"]
    parts = {part: groups[ours].intervals[f"{part}_right"].mean for part in ("identity", "pose")}
    return {
        "ours": joint,
        "bar": bar,
        "bar_interval": other,
        "copied": copied,
        "parts": parts,
        "weaker": min(parts, key=parts.__getitem__),
        "holds": joint.mean >= times * other.mean and joint.low > other.high and copied.mean < 0.05,
    }


def told(found: Mapping[str, Any], ours: str, characters: int) -> str:
    """Whether the claim holds, in Markdown."""
    verdict = "**holds**" if found["holds"] else "**does not hold**"
    parts = found["parts"]
    return (
        f"The claim {verdict} on {characters} character{'s' * (characters != 1)}: joint success of {ours} on unseen "
        f"poses is {percent(found['ours'])} %, against {percent(found['bar_interval'])} % for the better of chance and "
        f"the careful prompt (here: {found['bar']}). The copy rate is {percent(found['copied'])} %. The character is "
        f"right in {parts['identity']:.0%} of the pictures and the pose in {parts['pose']:.0%}, so the "
        f"{found['weaker']} is the weaker part."
    )


def _seconds(rows: Sequence[Row]) -> float:
    """What all rows took. Rows that differ only in sampling share a training, which counts once."""
    trainings, rest = {}, 0.0
    for row in rows:
        trained = {name: settings for name, settings in row["settings"].items() if name != "sampling"}
        run = (row["kind"], row["character"], row["seed"], json.dumps(trained, sort_keys=True))
        trainings[run] = row["seconds"]["train"]
        rest += row["seconds"]["draw"] + row["seconds"]["score"]
    return sum(trainings.values()) + rest


def about(grid: Grid, rows: Sequence[Row], rehearsal: bool = False) -> str:
    """What the table contains, in Markdown: how much of the grid, which base, which machine, and how long it took.

    rehearsal: whether the table is only a smoke setting's. Then the first sentence says so.
    """
    if not rows:
        raise UserError(f"The study {grid.name} has no run yet: start it by `python -m comics_genai study FILE`.")
    characters = {row["character"] for row in rows}
    hours = _seconds(rows) / 3600
    pictures = sum(len(row["pictures"]["prompt"]) for row in rows)
    machines = " and ".join(sorted({row["device"] for row in rows}))
    of = f" of {len(grid.cells())}" if len(rows) < len(grid.cells()) else ""
    warning = f"{REHEARSAL} " if rehearsal else ""
    return warning + (
        f"{len(rows)}{of} runs, {len(characters)} character{'s' * (len(characters) != 1)}, {pictures:,} pictures of "
        f"the {grid.half} half; {hours:.1f} hours on {machines}; base {rows[-1]['base']}, reader {rows[-1]['reader']}, "
        f"commit {rows[-1]['commit'] or 'unknown'}."
    )


def lines_of_tests(tests: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """The tests as lines of a table, with differences of joint success in percentage points."""
    return [
        {
            "": name,
            "characters": test["characters"],
            "difference": f"{100 * test['difference']:+.0f}",
            "effect d_z": f"{test['effect']:.2f}" if np.isfinite(test["effect"]) else "-",
            "p": f"{test['p']:.3f}",
            "p (Holm)": f"{test['p_holm']:.3f}",
        }
        for name, test in tests.items()
    ]


def pairs_of(rows: Sequence[Row], method: str, across: str, down: str) -> dict[tuple[Any, Any], Group]:
    """The groups of one method by two settings, {(value across, value down): group}; {} if it has none."""
    own = [row for row in rows if row["method"] == method and setting_of(row, across) is not None]
    pairs = sorted({(setting_of(row, across), setting_of(row, down)) for row in own})
    of = {pair: [row for row in own if (setting_of(row, across), setting_of(row, down)) == pair] for pair in pairs}
    return {pair: next(iter(grouped(some).values())) for pair, some in of.items()}


def best_of(curve: Mapping[str, Mapping[Any, Group]], setting: str, measure: str = "joint_success") -> str:
    """The best value of a setting for each method, and the values with overlapping intervals, in Markdown."""
    lines = []
    for method, points in curve.items():
        best = max(points, key=lambda value: points[value].intervals[measure].mean)
        top = points[best].intervals[measure]
        others = {value: group.intervals[measure] for value, group in points.items() if value != best}
        alike = [f"{value:g}" for value, interval in others.items() if interval.high >= top.low]
        told_apart = f"; its interval overlaps those of {', '.join(alike)}" if alike else "; no other interval overlaps"
        if others and all(interval.mean == top.mean for interval in others.values()):
            lines.append(f"- **{method}**: {SHARES[measure]} is {percent(top)} % at every {setting}.")
            continue
        lines.append(
            f"- **{method}**: {SHARES[measure]} is highest at {setting} {best:g}, {percent(top)} %, where identity is "
            f"{percent(points[best].intervals['identity'])} %, pose {percent(points[best].intervals['pose'])} %, the "
            f"copy rate {percent(points[best].intervals['copied'])} %{told_apart}."
        )
    return "\n".join(lines)


def seconds_of(curve: Mapping[str, Mapping[Any, Group]]) -> list[dict[str, Any]]:
    """The seconds for a picture, with a line for each number of steps and a column for each sampler."""
    lines = []
    for value in sorted({value for points in curve.values() for value in points}):
        line: dict[str, Any] = {"steps": value}
        for name, points in curve.items():
            some = points[value].rows if value in points else ()
            drawn = sum(len(row["pictures"]["prompt"]) for row in some)
            line[name] = f"{sum(row['seconds']['draw'] for row in some) / drawn:.2f}" if drawn else "-"
        lines.append(line)
    return lines


def plateaus(curve: Mapping[str, Mapping[Any, Group]], margin: float) -> str:
    """For each sampler, the number of steps from which on more steps gain nothing, in Markdown."""
    lines = []
    for name, points in curve.items():
        most, found = max(points), equivalent_from(points, margin)
        count = len(points[most].by_character("joint_success"))
        verdict = (
            f"from {found} steps on within {100 * margin:.0f} points of {most} steps"
            if found is not None
            else f"nowhere shown to be within {100 * margin:.0f} points of {most} steps"
        )
        few = "; fewer than 5 characters can show none" if count < 5 else ""
        lines.append(f"- **{name}**: {verdict} (p < 0.05, {count} character{'s' * (count != 1)}{few}).")
    return "\n".join(lines)


def best_variant(groups: Mapping[str, Group], default: str, tests: Mapping[str, Mapping[str, float]]) -> str:
    """The variant with the highest joint success, and whether it differs from the default, in Markdown."""
    variants = {name: group for name, group in groups.items() if group.kind == groups[default].kind}
    best = max(variants, key=lambda name: variants[name].intervals["joint_success"].mean)
    top, base = (percent(variants[name].intervals["joint_success"]) for name in (best, default))
    if best == default:
        return f"No variant has a higher joint success than the default recipe, {base} %."
    p = tests[best]["p_holm"]
    shown = "which the test shows" if p < 0.05 else "which these characters are too few or too varied to show"
    return (
        f"The highest joint success has **{best}**, {top} %, against {base} % of the default: a difference of "
        f"{100 * tests[best]['difference']:+.0f} points, {shown} (p = {p:.3f} after Holm)."
    )
