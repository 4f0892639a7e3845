"""What training writes into a run's folder as it goes: the log and the checkpoints, under the names of `run`."""

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from comics_genai.errors import UserError
from comics_genai.files import cannot_write, load_tensors, save_tensors, write_atomic
from comics_genai.run import LOG_FILE, checkpoint_file, checkpoint_files

CHECKPOINTS_KEPT = 2


class Checkpoints:
    """The checkpoints of one run folder: saved whole or not at all, the last two kept."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, step: int, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
        """Write the checkpoint of `step` (steps done), then drop those beyond the last two."""
        path = checkpoint_file(self.folder, step)
        save_tensors(path, tensors, {"step": step, **record})
        for old in checkpoint_files(self.folder)[:-CHECKPOINTS_KEPT]:
            old.unlink()
        return path

    def latest(self) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
        """Path, tensors and record of the newest checkpoint that can be read; None when there is none."""
        for path in reversed(checkpoint_files(self.folder)):
            try:
                return path, *load_tensors(path)
            except UserError as error:
                warnings.warn(f"{path} is damaged and is passed over: {error}", stacklevel=2)
        return None


class Log:
    """The log: one JSON object a line, in order of `step`; a figure that is not finite is written as null."""

    def __init__(self, folder: Path):
        self.path = folder / LOG_FILE

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows. A line that a crash cut off, or that something else wrote, is left out."""
        rows = []
        if self.path.exists():
            for line in self._text().split("\n"):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict) and isinstance(row.get("step"), int):
                    rows.append(row)
        return rows

    def truncate(self, step: int) -> None:
        """Drop the rows after `step`: training is about to take those steps again."""
        kept = [json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step]
        write_atomic(self.path, "".join(kept).encode())

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror}): restore it or delete it.") from error

    def append(self, row: Mapping[str, Any]) -> None:
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        line = (json.dumps(finite) + "\n").encode()
        try:
            # Unbuffered and in one write: a killed process leaves the whole row or none.
            with open(self.path, "ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            raise cannot_write(self.path, error, len(line)) from error
