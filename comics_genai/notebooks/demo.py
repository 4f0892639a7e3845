"""The demonstration: execute the DreamBooth-LoRA notebook and print its scores as one short table.

    python -m comics_genai demo

The notebook writes into the folder 6_generated/<run>/, `run` being a parameter of its tagged cell:
    scores.json       {"columns": {key: label}, "rows": [{"name": ..., key: {"mean", "low", "high"} or null}],
                       "contact_sheet": file name}; figures are fractions
    contact_sheet.png the drawings above the new poses
"""

import json
import os
import time
from pathlib import Path

import papermill

from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.notebooks import execute
from comics_genai.plotting.tables import table

NOTEBOOK = Path("4_finetuning/dreambooth_lora/DreamBooth-LoRA.ipynb")
RUN = "dreambooth_lora_demo"


def demo() -> str:
    """Execute the notebook into 6_generated/dreambooth_lora_demo/ unless that was done before; returns a text to print.

    Raises UserError if the notebook is missing or stops with an error.
    """
    return run_notebook(environment.root() / NOTEBOOK, environment.generated() / RUN)


def run_notebook(notebook: Path, folder: Path) -> str:
    """Execute `notebook` with its parameter `run` set to the folder's name; returns the summary of `folder`."""
    executed, scores = folder / notebook.name, folder / "scores.json"
    if executed.exists() and scores.exists():
        return f"The demonstration was run before; delete {folder} to run it anew.\n\n" + summary(folder, notebook.name)
    if notebook.exists() and "run" not in papermill.inspect_notebook(str(notebook)):
        raise UserError(
            f"The notebook {notebook} has no parameter run in a cell tagged parameters: restore it with git."
        )
    # It gets its final name only after every cell has run.
    running = folder / f"{notebook.stem}.running.ipynb"
    start = time.monotonic()
    execute.run(notebook, running, {"run": folder.name})
    if not scores.exists():
        raise UserError(f"The notebook {notebook} ran but wrote no {scores}: restore it with git.")
    os.replace(running, executed)
    return f"Done in {(time.monotonic() - start) / 60:.1f} minutes.\n\n" + summary(folder, notebook.name)


def summary(folder: Path, notebook_name: str) -> str:
    """The table of scores.json, and the paths of the contact sheet and the executed notebook."""
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return "\n".join(
        [
            table(scores),
            "",
            f"The six drawings above the new poses: {folder / scores['contact_sheet']}",
            f"The notebook as executed: {folder / notebook_name}",
        ]
    )
