"""Prepare a notebook with other parameters for Kaggle's client, and the package's wheel as a dataset.

    python -m comics_genai kaggle 4_finetuning/lora/LoRA.ipynb --user me --base sdxl
    kaggle datasets create -p 6_generated/kaggle/lora/wheel          the first time; then datasets version
    kaggle kernels push -p 6_generated/kaggle/lora/notebook

One step has to be done by hand, as the client cannot do it: in the notebook's editor, Add-ons > Secrets, tick HF_TOKEN.
"""

import argparse
import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.files import write_atomic
from comics_genai.planning.automatic import AUTO
from comics_genai.publishing import wheel

SHORTEST, LONGEST = 5, 50  # characters that Kaggle allows in a title
TWO_T4 = "NvidiaTeslaT4"  # Kaggle's name for a machine with two T4
USER = re.compile(r"[a-z0-9][a-z0-9_-]*", re.IGNORECASE)
DATASET = re.compile(r"[\w-]+/[\w-]{3,}(/\d+)?")
MODEL = re.compile(r"[\w-]+/[\w-]+/[\w-]+/[\w.-]+/\d+")
WHEEL_TITLE = "comics-genai-wheel"


@dataclass(frozen=True)
class Push:
    """The settings of a push to Kaggle, beside the notebook and its parameters."""

    user: str  # the user on Kaggle who owns the notebook and the wheel's dataset
    datasets: tuple[str, ...] = ()  # OWNER/NAME, attached read-only
    models: tuple[str, ...] = ()  # OWNER/MODEL/FRAMEWORK/VARIATION/VERSION
    internet: bool = True  # needed for secrets and the Hub
    gpu: bool = True

    def __post_init__(self) -> None:
        if not USER.fullmatch(self.user):
            raise UserError(
                f"The user {self.user!r} cannot be a name on Kaggle: give the one in the address of your profile."
            )
        for name, pattern, form in (
            *((name, DATASET, "OWNER/NAME") for name in self.datasets),
            *((name, MODEL, "OWNER/MODEL/FRAMEWORK/VARIATION/VERSION") for name in self.models),
        ):
            if not pattern.fullmatch(name):
                raise UserError(f"Kaggle has no source {name!r}: give {form}.")


def kernel_metadata(push: Push, notebook: str) -> dict[str, Any]:
    """The content of kernel-metadata.json for a notebook file, with the fields that Kaggle's client 2.2 reads."""
    title = slug(f"comics-genai-{Path(notebook).stem}")[:LONGEST].rstrip("-")
    return {
        "id": f"{push.user}/{title}",
        "title": title,  # the client warns if the id does not follow from the title
        "code_file": notebook,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": push.gpu,
        "enable_tpu": False,
        "enable_internet": push.internet,
        **({"machine_shape": TWO_T4} if push.gpu else {}),
        "dataset_sources": [f"{push.user}/{WHEEL_TITLE}", *push.datasets],
        "model_sources": list(push.models),
        "kernel_sources": [],
        "competition_sources": [],
        "keywords": [],
    }


def dataset_metadata(push: Push) -> dict[str, Any]:
    """The content of dataset-metadata.json for the wheel. The dataset is private unless it is created public."""
    return {"id": f"{push.user}/{WHEEL_TITLE}", "title": WHEEL_TITLE, "licenses": [{"name": "other"}]}


def slug(text: str) -> str:
    """The text as in Kaggle's addresses: in lower case, with dashes for all but letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def write(notebook: Path, parameters: Mapping[str, Any], push: Push, folder: Path | None = None) -> Path:
    """Write notebook/ and wheel/ into `folder`, by default 6_generated/kaggle/NAME; returns it.

    The notebook is written without outputs, with the given parameters in a cell of their own after the defaults. Raises
    UserError if there is no such notebook, or the folder holds files of others.
    """
    folder = folder or environment.generated() / "kaggle" / slug(notebook.stem)
    filled = load_notebook_node(str(notebook))
    if parameters:
        filled = parameterize_notebook(filled, dict(parameters))
    for cell in filled.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    places = (
        (folder / "notebook", "kernel-metadata.json", kernel_metadata(push, notebook.name)),
        (folder / "wheel", "dataset-metadata.json", dataset_metadata(push)),
    )
    for place, name, _ in places:
        if place.is_dir() and any(place.iterdir()) and not (place / name).exists():
            raise UserError(f"{place} holds something else than what `kaggle` writes: give another --folder.")
    written = folder / "notebook" / notebook.name
    write_atomic(written, nbformat.writes(filled).encode())
    new = {written, wheel.build(folder / "wheel")}
    for place, name, fields in places:
        write_atomic(place / name, (json.dumps(fields, indent=2) + "\n").encode())
        for old in {*place.glob("*.ipynb"), *place.glob("*.whl")} - new:
            old.unlink()  # a folder holds one notebook, and one wheel
    return folder


def parsed(arguments: Sequence[str], defaults: Mapping[str, Any]) -> tuple[Push, Path | None, dict[str, Any]]:
    """Parse the options after the notebook: the push, the folder, and the notebook's parameters that are given.

    defaults: the parameters of the notebook, which also say the type of each. Raises UserError for another type.
    """
    parser = argparse.ArgumentParser(prog="comics_genai kaggle NOTEBOOK", allow_abbrev=False)
    parser.add_argument("--user", required=True, help="your name on Kaggle")
    parser.add_argument("--folder", type=Path, help="where it goes; by default 6_generated/kaggle/NAME")
    parser.add_argument("--datasets", nargs="*", default=(), metavar="OWNER/NAME", help="to attach")
    parser.add_argument("--models", nargs="*", default=(), metavar="O/M/F/V/N", help="to attach")
    parser.add_argument("--no-internet", action="store_true", help="the wheel is all it has, and no secret is read")
    parser.add_argument("--no-gpu", action="store_true")
    group = parser.add_argument_group("parameters of the notebook")
    for name, value in defaults.items():
        group.add_argument(
            f"--{name.replace('_', '-')}", dest=f"parameter {name}", metavar=repr(value).replace("%", "")
        )
    given = vars(parser.parse_args(list(arguments)))
    texts = {name: given[f"parameter {name}"] for name in defaults if given[f"parameter {name}"] is not None}
    push = Push(given["user"], tuple(given["datasets"]), tuple(given["models"]), not given["no_internet"],
                not given["no_gpu"])  # fmt: skip
    return push, given["folder"], {name: value_of(name, text, defaults[name]) for name, text in texts.items()}


def value_of(name: str, text: str, default: Any) -> Any:
    """Read a text as a value of the parameter's type in the notebook. Raises UserError if it is of another type.

    A parameter that is "auto" in the notebook takes a number or a word.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if default == AUTO and isinstance(value, int | float):
        return value
    if isinstance(default, str):
        return text
    whole = isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)
    if whole or type(value) is type(default):
        return value
    raise UserError(f"--{name.replace('_', '-')} is {text!r}, but must be of the kind of {default!r}.")
