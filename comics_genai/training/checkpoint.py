"""What training writes into a run folder as it goes: the log and the checkpoints.

folder/log.jsonl                            one row per logged step, append-only
folder/checkpoints/step_000100.safetensors  everything needed to go on from step 100; the last two are kept
"""

import json
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from comics_genai.errors import UserError
from comics_genai.files import cannot_write, load_tensors, save_tensors, write_atomic

CHECKPOINTS_KEPT = 2
NAME = re.compile(r"step_(\d{6,})\.safetensors")


class Checkpoints:
    """The checkpoints of one run folder: saved whole or not at all, the last two kept."""

    def __init__(self, folder: Path):
        self.folder = folder / "checkpoints"

    def paths(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        # Not the copies that browsers and file managers make, such as "step_000050 (1).safetensors".
        whole = [path for path in self.folder.glob("step_*.safetensors") if NAME.fullmatch(path.name)]
        return sorted(whole, key=self.step_of)

    @staticmethod
    def step_of(path: Path) -> int:
        """The step that a checkpoint's name tells."""
        return int(NAME.fullmatch(path.name)[1])

    def save(self, step: int, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
        """Write the checkpoint of `step` (steps done), then drop those beyond the last two."""
        path = self.folder / f"step_{step:06d}.safetensors"
        save_tensors(path, tensors, {"step": step, **record})
        for old in self.paths()[:-CHECKPOINTS_KEPT]:
            old.unlink()
        return path

    def latest(self) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
        """Path, tensors and record of the newest checkpoint that can be read; None when there is none."""
        for path in reversed(self.paths()):
            try:
                return path, *load_tensors(path)
            except UserError as error:
                warnings.warn(f"{path} is damaged and is passed over: {error}", stacklevel=2)
        return None


class Log:
    """log.jsonl: one JSON object a line, in order of `step`; figures that are not finite are written as null."""

    def __init__(self, folder: Path):
        self.path = folder / "log.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows; a line torn by a crash, or of someone else, is left out."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict) and isinstance(row.get("step"), int):
                    rows.append(row)
        return rows

    def truncate(self, step: int) -> None:
        """Drop the rows after `step`: those steps are about to be taken again."""
        kept = [json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step]
        write_atomic(self.path, "".join(kept).encode())

    def append(self, row: Mapping[str, Any]) -> None:
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        line = (json.dumps(finite) + "\n").encode()
        try:
            # Unbuffered and in one write: a killed process leaves the whole row or none.
            with open(self.path, "ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            raise cannot_write(self.path, error, len(line)) from error
