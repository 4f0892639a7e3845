"""How every notebook opens: badges under its title that open it on Colab and Kaggle, and the set-up cell.

    make badges

The repository's address, which both hold, comes from pyproject.toml.
"""

import re
from pathlib import Path

import nbformat

from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.files import write_atomic

SERVICES = {
    "Open in Colab": (
        "https://colab.research.google.com/assets/colab-badge.svg",
        "https://colab.research.google.com/github/{repository}/blob/main/{path}",
    ),
    "Open in Kaggle": (
        "https://kaggle.com/static/images/open-in-kaggle.svg",
        "https://kaggle.com/kernels/welcome?src=https://github.com/{repository}/blob/main/{path}",
    ),
}
BADGE = re.compile(r"\[!\[Open in \w+\]\([^)]*\)\]\([^)]*?/([\w/.-]+\.ipynb)\)")
BADGES = re.compile(rf"(?:{BADGE.pattern}[ \n]*)+")
FIRST = "4_finetuning/dreambooth_lora/DreamBooth-LoRA.ipynb"  # where the README begins


def setup_cell() -> str:
    """The source of the set-up cell, the same in every notebook."""
    template = (Path(__file__).parent / "setup_cell.py").read_text(encoding="utf-8")
    return template.replace("{{ address }}", environment.address()).strip()


def badges(path: str) -> str:
    """Badges, as Markdown, that open the notebook at `path` of the repository on each service."""
    return " ".join(f"[![{text}]({picture})]({link(text, path)})" for text, (picture, _) in SERVICES.items())


def link(service: str, path: str) -> str:
    """The address that opens the notebook at `path` of the repository on one of SERVICES."""
    repository = environment.address().removeprefix("https://github.com/")
    return SERVICES[service][1].format(repository=repository, path=path)


def notebooks() -> list[Path]:
    """Every notebook of the repository's numbered folders."""
    found = sorted(environment.root().glob("[1-5]_*/**/*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def under_title(text: str, path: str) -> str:
    """The text with the badges of the notebook at `path` under its first line, and none elsewhere."""
    title, _, rest = BADGES.sub("", text).partition("\n")
    return f"{title}\n\n{badges(path)}\n\n{rest.lstrip()}".rstrip("\n")


def write_openings() -> list[Path]:
    """Give every notebook and the README their badges, and every notebook the set-up cell; returns what changed.
    Outputs stay. Raises UserError for a notebook that does not begin with a title and a cell of code."""
    root, changed = environment.root(), []
    for path in notebooks():
        text = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
        title = notebook.cells[0]
        first = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
        if title.cell_type != "markdown" or not title.source.startswith("# ") or first is None:
            raise UserError(f"{path} does not begin with a title and a cell of code: give it both.")
        title.source = under_title(title.source, path.relative_to(root).as_posix())
        first.source = setup_cell()
        changed += _write(path, text, nbformat.writes(notebook).rstrip("\n") + "\n")
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    return changed + _write(readme, text, under_title(text, FIRST) + "\n")


def _write(path: Path, before: str, after: str) -> list[Path]:
    if before == after:
        return []
    write_atomic(path, after.encode())
    return [path]
