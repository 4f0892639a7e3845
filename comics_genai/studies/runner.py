"""Run a study: every cell of its grid that is not in its table yet, with one base in one process.

    python -m comics_genai study 4_finetuning/studies/comparison.toml

If it is killed, the same command resumes it. Several processes with the same file share the work: each takes cells on
which no other process works.
"""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import filelock
import torch

from comics_genai import environment
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.reader_digest import reader_digest
from comics_genai.studies.cast import Subject, means
from comics_genai.studies.grid import BOUNDS, FINETUNED, SCRATCH, Cell, Grid, cell_id
from comics_genai.studies.kept import keep_pictures, kept_folder, tell_kept, wanted
from comics_genai.studies.methods import Trained, Workbench
from comics_genai.studies.table import Row, Table, columns_of


@dataclass(frozen=True)
class StudyResult:
    """How many of the grid's cells are in the table now, and a sentence."""

    done: int
    cells: int
    message: str


def run_study(
    path: Path,
    runs: Path = Path("runs/studies"),
    device: str | torch.device = "cpu",
    reader: AttributeReader | None = None,
    table: Path | None = None,
) -> StudyResult:
    """Run the missing cells. The table is NAME.jsonl beside the file; weights and pictures go to `runs`/NAME.

    A cell is also missing if its row was made with another base or reader. Raises UserError if the file is not a study,
    and KeyboardInterrupt if a signal stopped a training.
    """
    grid, path = Grid.read(path), Path(path)
    for cell in grid.cells():
        kept_folder(grid, cell)  # a place that is refused is said before anything is trained
    rows = Table(table or path.with_suffix(".jsonl"))
    study = _Study(grid, Path(runs) / grid.name, device, reader)
    cells = grid.cells()
    missing = [cell for cell in cells if not study.is_done(cell, rows.rows())]
    print(f"{grid.name}: {len(cells)} runs, {len(cells) - len(missing)} of them done before.", flush=True)
    clock = _Clock(grid, [row for row in rows.rows() if row.get("seconds")])
    for i, cell in enumerate(missing):
        with _claimed(study.folder, cell_id(grid, cell)) as mine:
            if not mine or study.is_done(cell, rows.rows()):
                continue
            print(f"{grid.name} {len(cells) - len(missing) + i + 1}/{len(cells)}: {cell.named()}"
                  f"{clock.left(missing[i:])}", flush=True)  # fmt: skip
            row = study.row(cell)
            rows.append(row)
            clock.rows.append(row)
    done = sum(study.is_done(cell, rows.rows()) for cell in cells)
    return StudyResult(done, len(cells), f"{grid.name}: {done} of {len(cells)} runs are in {rows.path}.")


class _Study:
    """A grid with the base and the reader that its cells share."""

    def __init__(self, grid: Grid, folder: Path, device: str | torch.device, reader: AttributeReader | None):
        self.grid, self.folder = grid, folder
        self.bench = Workbench(grid, folder, device)
        self.reader = reader or AttributeReader.load()
        self.digests = {"base": self.bench.base.digest(), "reader": reader_digest(self.reader)}
        self.keep = wanted(grid)
        self._subject: Subject | None = None

    def is_done(self, cell: Cell, rows: Sequence[Row]) -> bool:
        wanted = {"cell": cell_id(self.grid, cell), **self.digests}
        return any(all(row.get(name) == value for name, value in wanted.items()) for row in rows)

    def subject(self, number: int) -> Subject:
        """The character. Only the last one is cached, because cells are sorted by character."""
        if self._subject is None or self._subject.number != number:
            self._subject = Subject(number, self.grid, self.bench.base.size, self.reader, self.folder / "drawings")
        return self._subject

    def row(self, cell: Cell) -> Row:
        """Train, draw and score one cell."""
        subject, bench, clock = self.subject(cell.character), self.bench, [time.monotonic()]
        trained = bench.train(cell, subject) if cell.trains else None
        clock.append(time.monotonic())
        pictures = bench.draw(cell, subject, trained)
        drift = bench.drift(cell, subject, trained) if trained else None
        clock.append(time.monotonic())
        noise = len(pictures) // len(subject.scenes)
        records = subject.records(pictures, noise, asked=cell.kind not in SCRATCH)
        scores = means(records) | subject.set_scores(pictures, noise) | {"prior_drift": drift}
        clock.append(time.monotonic())
        self._keep_pictures(cell, trained, subject, records)
        return {
            "cell": cell_id(self.grid, cell),
            "method": cell.method,
            "kind": cell.kind,
            "variant": cell.variant,
            "character": cell.character,
            "seed": cell.seed,
            "settings": cell.settings,
            "steps": steps_of(self.grid, cell),
            "parameters": trained.parameters if trained else 0,
            "half": self.grid.half,
            **self.digests,
            "commit": commit(),
            "device": machine(bench.device),
            "seconds": {
                "train": trained.seconds if trained else 0.0,
                "draw": clock[2] - clock[1],
                "score": clock[3] - clock[2],
            },
            "scores": scores,
            "pictures": columns_of(records),
        }

    def _keep_pictures(
        self, cell: Cell, trained: Trained | None, subject: Subject, records: list[dict[str, Any]]
    ) -> None:
        target = kept_folder(self.grid, cell)
        if target is None or cell.kind in BOUNDS:
            return
        keep_pictures(self.bench.pictures_folder(cell, trained), target, self.keep["prompts"], self.keep["noise"])
        prompts = [] if cell.kind in SCRATCH else subject.prompts(self.bench.subject(cell, subject))
        tell_kept(self.grid, cell, target, subject, prompts, records)


def steps_of(grid: Grid, cell: Cell) -> int:
    """The optimizer steps of the cell's training; 0 if nothing is trained."""
    if cell.kind in FINETUNED:
        return cell.finetuning(grid.base, "").steps
    return cell.baseline().loop.steps if cell.kind in SCRATCH else 0


class _claimed:
    """Claim a cell for this process; False if another one works on it. The claim ends with the process."""

    def __init__(self, folder: Path, cell: str):
        (folder / "claims").mkdir(parents=True, exist_ok=True)
        self.lock = filelock.FileLock(folder / "claims" / f"{cell}.lock", blocking=False)

    def __enter__(self) -> bool:
        try:
            self.lock.acquire()
        except filelock.Timeout:
            return False
        return True

    def __exit__(self, *exception: object) -> None:
        self.lock.release()


class _Clock:
    """Estimates the remaining time from the runs so far: by the mean of the same method, or of all."""

    def __init__(self, grid: Grid, rows: list[Row]):
        self.grid, self.rows = grid, list(rows)

    def left(self, cells: Sequence[Cell]) -> str:
        if not self.rows:
            return ""
        seconds = [(row["method"], row["steps"], sum(row["seconds"].values())) for row in self.rows]
        overall = sum(s for *_, s in seconds) / len(seconds)
        left = 0.0
        for cell in cells:
            own = [s for method, steps, s in seconds if method == cell.method and steps == steps_of(self.grid, cell)]
            own = own or [s for method, _, s in seconds if method == cell.method]
            left += sum(own) / len(own) if own else overall
        return f"; about {timedelta(seconds=round(left))} left"


def commit() -> str:
    """The commit of the code, with a + if files differ from it; "" outside a repository."""

    def git(*words: str) -> str:
        try:
            done = subprocess.run(["git", *words], cwd=environment.root(), capture_output=True, text=True, timeout=30)
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "comics_genai")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def machine(device: torch.device) -> str:
    """The machine that a run was timed on: the GPU's name, or the number of cores that torch used."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
