"""Execute notebooks in a fresh kernel: in place, to be committed, or into another file with other parameters.

    python -m comics_genai notebook 4_finetuning/lora/LoRA.ipynb

Every committed notebook is made so. Its outputs are those of one run, without traces of time and place.
"""

import ast
import base64
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
import PIL.Image
from papermill.exceptions import PapermillExecutionError

from comics_genai import environment, hardware
from comics_genai.errors import UserError
from comics_genai.files import write_atomic

KEPT = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
KEPT |= {"language_info": {"name": "python"}}  # of a notebook's metadata; the rest would describe the machine
LARGE_PNG = 100_000  # base64 characters
PROGRESS = re.compile(r"(.+?): \d+/\d+ · ")  # a line of `progress.Progress`


def run(notebook: Path, executed: Path, parameters: Mapping[str, Any] | None = None) -> None:
    """Execute `notebook` in its own folder and write the file `executed` after each cell.

    Progress is shown as lines, here and in the file. Raises UserError if there is no such notebook, or if a cell fails;
    `executed` then shows where.
    """
    if not notebook.is_file():
        raise UserError(f"The notebook {notebook} is missing: check out a version of the repository that has it.")
    read(notebook)
    executed.parent.mkdir(parents=True, exist_ok=True)
    print(f"Executing {notebook.name} ...", flush=True)
    try:
        with _lines_of_progress():
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters=dict(parameters or {}),
                cwd=str(notebook.parent),
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
            )
    except PapermillExecutionError as error:
        raise UserError(
            f"The notebook stopped in cell {error.exec_count} ({error.ename}: {error.evalue}); {executed} shows where. "
            "Run the same command again to go on."
        ) from error


def read(notebook: Path) -> nbformat.NotebookNode:
    """A notebook's content. Raises UserError for a file that cannot be read or is no notebook."""
    try:
        found = nbformat.reads(notebook.read_text(encoding="utf-8"), as_version=4)
        if not all(isinstance(cell.source, str) and cell.metadata.get("tags", []) is not None for cell in found.cells):
            raise ValueError("a cell has no source")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{notebook} is damaged, or no notebook ({reason[:150]}): restore it.") from error
    return found


def parameters_of(notebook: Path) -> dict[str, Any]:
    """Names and values in the cell tagged "parameters", which assigns literals. Raises UserError if there is none."""
    cells = read(notebook).cells if notebook.is_file() else []
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if not sources:
        raise UserError(f"{notebook} is missing or has no cell tagged parameters: restore it with git.")
    values: dict[str, Any] = {}
    try:
        for statement in ast.parse(sources[0]).body:
            assigned, value = statement.targets[0], ast.literal_eval(statement.value)
            if isinstance(assigned, ast.Tuple):
                values |= zip([name.id for name in assigned.elts], value, strict=True)
            else:
                values[assigned.id] = value
    except (SyntaxError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"The cell tagged parameters of {notebook} holds more than names and their plain values: move the rest "
            "into another cell."
        ) from error
    return values


@contextmanager
def _lines_of_progress() -> Iterator[None]:
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # the kernel's progress bars would not reach this terminal, but its lines do
    try:
        yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before


def execute_in_place(notebook: Path) -> str:
    """Execute a notebook with its own parameters, and replace it by the result if every cell has run.

    Returns a text to print. `committable` cleans the result. If a cell fails, the file is not changed.
    """
    running, start = environment.cached() / "notebooks" / f"{notebook.stem}.running.ipynb", time.monotonic()
    before = os.times()
    run(notebook.absolute(), running)
    done = committable(nbformat.read(running, as_version=4))
    write_atomic(notebook, nbformat.writes(done).rstrip("\n").encode() + b"\n")
    running.unlink()
    _record_time(notebook.absolute(), before, time.monotonic() - start)
    minutes, size = (time.monotonic() - start) / 60, notebook.stat().st_size / 1e6
    return f"{notebook} ran to its end in {minutes:.1f} minutes and takes {size:.2f} MB."


def timing_file(notebook: Path, root: Path) -> Path:
    """The file with the times of a committed notebook's last execution, which the front page shows."""
    return root / "5_documents" / "benchmarks" / "notebooks" / f"{notebook.stem}.json"


def _record_time(notebook: Path, before: os.times_result, seconds: float) -> None:
    """Record how long a notebook of the repository took, by the clock and in time of one core.

    Other work on the machine delays the latter less.
    """
    root = environment.root()
    if not notebook.is_relative_to(root):
        return
    after = os.times()  # the kernel is a child process
    core_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    record = {"notebook": notebook.relative_to(root).as_posix(), "seconds": round(seconds, 1)}
    record |= {"core_seconds": round(core_seconds, 1), "cores": hardware.available_cores()}
    write_atomic(timing_file(notebook, root), (json.dumps(record, indent=1) + "\n").encode())


def committable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without traces of time and place: no times, no widgets, and only the last line of each progress."""
    notebook.metadata = nbformat.from_dict(KEPT)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": tags} if (tags := cell.metadata.get("tags")) else {})
        if cell.cell_type == "code":
            cell.outputs = [_smaller(output) for output in _merged(cell.outputs)]
    return notebook


def _smaller(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The output with its large PNG as a JPEG of full colour resolution, which takes a fifth of the bytes.

    Its changes of colour are invisible, unlike those of a palette.
    """
    png = output.get("data", {}).get("image/png")
    if png is None or len(png) < LARGE_PNG:
        return output
    picture, jpeg = PIL.Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    picture.save(jpeg, "JPEG", quality=88, subsampling=0, optimize=True)
    data = {kind: value for kind, value in output.data.items() if kind != "image/png"}
    output.data = nbformat.from_dict({"image/jpeg": base64.b64encode(jpeg.getvalue()).decode(), **data})
    return output


def _merged(outputs: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs, in which neighbouring pieces of one stream are joined."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and merged and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = _last_of_each_progress(output.text)
    return merged


def _last_of_each_progress(text: str) -> str:
    lines = text.splitlines(keepends=True)
    tasks = [match[1] if (match := PROGRESS.match(line)) else None for line in lines]
    following = [*tasks[1:], None]
    return "".join(
        line for line, task, then in zip(lines, tasks, following, strict=True) if task is None or task != then
    )
