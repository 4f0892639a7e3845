"""Tables of numbers, as text and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(scores: Mapping[str, Any]) -> str:
    """A table of scores.json as text, in percent with 95 % intervals, with - for what does not apply."""
    columns: Mapping[str, str] = scores["columns"]
    lines = [["", *columns.values()]]
    lines += [[row["name"], *(_percent(row.get(key)) for key in columns)] for row in scores["rows"]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(f"{line[0]:<{widths[0]}}" + _right(line[1:], widths[1:]) for line in lines)


def _right(cells: list[str], widths: list[int]) -> str:
    return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _percent(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "-"
    value, low, high = (100 * figure[key] for key in ("mean", "low", "high"))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows with equal keys, which are its head; numbers are right-aligned."""
    if not rows:
        return ""
    names = list(rows[0])
    is_number = [all(isinstance(row[name], int | float) for row in rows) for name in names]
    lines = [names, ["--:" if number else ":--" for number in is_number]]
    lines += [[str(row[name]).replace("|", "\\|").replace("\n", " ") for name in names] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
