"""What a study's table says: groups of runs with intervals, tests between methods, and whether the claim holds.

    rows = Table(path).rows()
    groups = grouped(rows)                                      # one a method and variant
    print(markdown(lines_of(groups)))
    tests = tests_against(groups, "dreambooth_lora")
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comics_genai.errors import UserError
from comics_genai.evaluation.metrics import summarise
from comics_genai.evaluation.statistics import Interval, cohens_d, holm, sign_flip_test, tost
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
OF_A_SET = {  # measures of a run's pictures together: digits behind the point
    "palette_distance": ("palette", 1),
    "diversity": ("diversity", 3),
    "kernel_distance": ("kernel distance", 2),
    "prior_drift": ("prior drift", 2),
}
CHANCE = ("base", "other_characters")  # kinds: what they score was learnt by nobody
CAREFUL = "careful_prompt"


@dataclass(frozen=True)
class Group:
    """Runs that are one line of a table: their rows, and every measure with its interval."""

    name: str
    rows: tuple[Row, ...]
    intervals: Mapping[str, Interval]

    @property
    def kind(self) -> str:
        return self.rows[0]["kind"]

    def mean_of(self, measure: str) -> float | None:
        """The mean over runs of a score, or of "train", "draw" and "parameters"; None where no run has it."""
        rows = [row["scores"] | row["seconds"] | {"parameters": row["parameters"]} for row in self.rows]
        found = [row[measure] for row in rows if row.get(measure) is not None]
        return float(np.mean(found)) if found else None

    def by_character(self, measure: str) -> dict[int, float]:
        """The mean of each character, its training seeds weighing the same: what tests are made of."""
        found: dict[int, list[float]] = {}
        for row in self.rows:
            if (value := row["scores"].get(measure)) is not None:
                found.setdefault(row["character"], []).append(value)
        return {character: float(np.mean(values)) for character, values in found.items()}


def name_of(row: Row) -> str:
    """The method, and the variant if it is one."""
    return ", ".join(filter(None, (row["method"].replace("_", " "), row["variant"])))


def grouped(rows: Sequence[Row], key: Callable[[Row], str] = name_of) -> dict[str, Group]:
    """Groups by name, in the order of the rows. Raises UserError for a table without rows."""
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
    """A setting of a row's run, "finetune.rank"; None where the grid does not set it."""
    section, _, name = setting.partition(".")
    return row["settings"].get(section, {}).get(name)


def curve_of(rows: Sequence[Row], setting: str) -> dict[str, dict[Any, Group]]:
    """{method: {value of the setting: its group}}, values ascending."""
    found: dict[str, dict[Any, Group]] = {}
    for method, group in grouped([row for row in rows if setting_of(row, setting) is not None]).items():
        values = sorted({setting_of(row, setting) for row in group.rows})
        points = {value: [row for row in group.rows if setting_of(row, setting) == value] for value in values}
        found[method] = {value: grouped(some)[method] for value, some in points.items()}
    return found


def lines_of(groups: Mapping[str, Group]) -> list[dict[str, Any]]:
    """The table: shares in percent with 95 % intervals, then what runs have as a whole; "-" where none applies."""
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


def tests_against(
    groups: Mapping[str, Group], reference: str, measure: str = "joint_success"
) -> dict[str, dict[str, float]]:
    """For every other group: the mean paired difference to `reference` over the characters both have, its effect size
    d_z, p of the sign-flip test, and p adjusted for all of them (Holm 1979)."""
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
    """The smallest value from which on every one is equivalent to the largest: |difference| < margin with p < 0.05, by
    two one-sided tests over characters. None where the characters are too few, or it is so from nowhere on."""
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
    """Whether the joint success of `ours` is at least `times` the higher of the careful prompt and chance, intervals
    apart, with a copy rate below 5 %; the figures, and which part, identity or pose, is weaker."""
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
    """The claim's verdict in Markdown."""
    verdict = "**holds**" if found["holds"] else "**does not hold**"
    parts = found["parts"]
    return (
        f"The claim {verdict} on {characters} character{'s' * (characters != 1)}: joint success of {ours} on unseen "
        f"poses is {percent(found['ours'])} %, of what it is held against, {found['bar']}, "
        f"{percent(found['bar_interval'])} %; the copy rate is {percent(found['copied'])} %. Identity alone is "
        f"right in {parts['identity']:.0%} of the pictures, the pose alone in {parts['pose']:.0%}: the weaker part is "
        f"the {found['weaker']}."
    )
