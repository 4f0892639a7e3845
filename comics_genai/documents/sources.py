"""Read the files of the runs for the documents, and remember which files were read, so that this can be checked.

    sources = Sources(environment.root())
    scores = sources.json("6_generated/lora/scores.json")
    study = sources.study("comparison")
    sources.used            # both paths
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import PIL.Image

from comics_genai.errors import UserError
from comics_genai.sampling.records import read_image
from comics_genai.studies.grid import Grid
from comics_genai.studies.summary import Group, grouped
from comics_genai.studies.table import Row, Table

STUDIES = "4_finetuning/studies"
MINIATURE = "1_data/mini_sdxl"


@dataclass(frozen=True)
class StudyTable:
    """A study's grid and the rows of its table. smoke: only the short rehearsal was run."""

    name: str
    grid: Grid
    rows: tuple[Row, ...]
    smoke: bool

    @cached_property
    def groups(self) -> dict[str, Group]:
        """The rows by method and variant, with intervals."""
        return grouped(self.rows)

    @property
    def whole(self) -> bool:
        """Whether every run of the grid was done."""
        return not self.smoke and len(self.rows) >= len(self.grid.cells())


@dataclass
class Sources:
    """The repository at `root`; `used`: paths, relative to it, of all files read so far."""

    root: Path
    used: set[str] = field(default_factory=set)
    _studies: dict[str, StudyTable] = field(default_factory=dict)

    def path(self, path: str) -> Path:
        """The path of a file, which is added to `used`. Raises UserError if it is missing."""
        if not (self.root / path).is_file():
            raise UserError(f"The documents show {path}, which is not there: make the run that writes it.")
        self.used.add(path)
        return self.root / path

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def json(self, path: str) -> Any:
        return json.loads(self.path(path).read_text(encoding="utf-8"))

    def lines(self, path: str) -> list[dict[str, Any]]:
        """The records of a file with one JSON object in each line."""
        return [json.loads(line) for line in self.path(path).read_text(encoding="utf-8").splitlines() if line.strip()]

    def csv(self, path: str) -> list[dict[str, str]]:
        with open(self.path(path), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def picture(self, path: str) -> PIL.Image.Image:
        """The picture, RGB."""
        return read_image(self.path(path)).convert("RGB")

    def pictures(self, folder: str) -> list[tuple[Mapping[str, Any], PIL.Image.Image]]:
        """The records in a folder's metadata.jsonl with their pictures; [] if there is no such file."""
        if not self.exists(f"{folder}/metadata.jsonl"):
            return []
        rows = self.lines(f"{folder}/metadata.jsonl")
        return [(row, self.picture(f"{folder}/{row['file_name']}")) for row in rows]

    def study(self, name: str) -> StudyTable:
        """The study's table, or that of its rehearsal if no run was done."""
        if name not in self._studies:
            for folder, smoke in ((STUDIES, False), (f"{STUDIES}/smoke", True)):
                table = f"{folder}/{name}.jsonl"
                if self.exists(table) and (rows := Table(self.root / table).rows()):
                    grid = Grid.read(self.path(f"{folder}/{name}.toml"))
                    self.path(table)
                    self._studies[name] = StudyTable(name, grid, tuple(rows), smoke)
                    break
            else:
                raise UserError(f"The study {name} has no run: start it by `python -m comics_genai study FILE`.")
        return self._studies[name]
