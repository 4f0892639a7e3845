"""The table of a study: a JSON object in each line for each run. Lines are only ever added.

    table = Table(Path("4_finetuning/studies/comparison.jsonl"))
    table.append(row)
    table.rows()          # the newest row of each cell

A row's "pictures" has a list for each measure with one value for each picture, so that the table suffices to compute
intervals.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from comics_genai.errors import UserError
from comics_genai.files import cannot_write

Row = dict[str, Any]
DIGITS = 5  # significant digits of a measure that is not a share


class Table:
    """The rows in one file, to which several processes may add in turn."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def rows(self) -> list[Row]:
        """The newest row of each cell, in the order in which the cells were first done.

        Lines that a crash cut off are left out. Raises UserError if the file holds other text.
        """
        newest: dict[str, Row] = {}
        for line in self._lines():
            try:
                row = json.loads(line)
                newest[row["cell"]] = row
            except ValueError:
                continue
            except (KeyError, TypeError) as error:
                raise UserError(f"{self.path} holds a line that is not a row of a study: give another.") from error
        return list(newest.values())

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row. If the process is killed, the row is whole or does not count."""
        line = json.dumps(_finite(row), separators=(",", ":")) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock")):
            torn = bool(self._text()) and not self._text().endswith("\n")
            try:
                with open(self.path, "ab", buffering=0) as file:
                    file.write((("\n" if torn else "") + line).encode())
            except OSError as error:
                raise cannot_write(self.path, error, len(line)) from error

    def _lines(self) -> list[str]:
        return [line for line in self._text().splitlines() if line.strip()]

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""


def _finite(value: Any) -> Any:
    """The value for JSON: NaN becomes null, and numbers are rounded to DIGITS."""
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def columns_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list]:
    """Records of pictures in the form of a row: a list for each measure, with 0 and 1 for truth values.

    The values of a factor are joined to one text of 0 and 1.
    """
    if not records:
        return {}
    names = [name for name in records[0] if name != "right" and not isinstance(records[0][name], str)]
    columns: dict[str, Any] = {
        name: [int(value) if isinstance(value := record[name], bool) else value for record in records]
        for name in names
    }
    columns["right"] = {
        name: "".join("01"[bool(record["right"][name])] for record in records) for name in records[0]["right"]
    }
    return columns


def records_of(row: Row) -> list[dict[str, Any]]:
    """The records of a row's pictures, with the groups of the bootstrap: character, training_seed, prompt."""
    columns = {name: values for name, values in row["pictures"].items() if name != "right"}
    right = row["pictures"].get("right", {})
    count = len(next(iter(columns.values()), []))
    return [
        {
            "character": row["character"],
            "training_seed": row["seed"],
            **{name: values[i] for name, values in columns.items()},
            "right": {name: values[i] == "1" for name, values in right.items()},
        }
        for i in range(count)
    ]
