"""Every notebook opens with its own badges and the one set-up cell, and there is one place for the address."""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.notebooks import opening

ROOT = Path(__file__).parent.parent.parent


def targets(text: str) -> list[str]:
    """Addresses that the badges in a text lead to."""
    return re.findall(r"\[!\[Open in \w+\]\([^)]+\)\]\(([^)]+)\)", text)


@pytest.mark.parametrize("path", opening.notebooks(), ids=lambda path: path.stem)
def test_each_badge_opens_its_own_notebook(path):
    cells = nbformat.read(path, as_version=4).cells
    found = targets(cells[0].source)
    repository = environment.address().removeprefix("https://github.com/")
    place = f"{repository}/blob/main/{path.relative_to(ROOT).as_posix()}"
    assert found == [
        f"https://colab.research.google.com/github/{place}",
        f"https://kaggle.com/kernels/welcome?src=https://github.com/{place}",
    ]
    assert not any(targets(cell.source) for cell in cells[1:])


def test_the_readmes_badges_open_a_notebook_that_is_there():
    found = targets((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(found) == 2
    for target in found:
        assert (ROOT / target.partition("/blob/main/")[2]).is_file(), target


def test_the_address_stands_in_pyproject_and_else_only_where_it_was_written_from_there():
    address = environment.address()
    assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+", address)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kinds = (".py", ".toml", ".md", ".txt", ".jinja", ".js", ".cff")
    texts = [ROOT / name for name in listed.splitlines() if name.endswith(kinds)]
    holding = {p.relative_to(ROOT).as_posix() for p in texts if p.is_file() and address in p.read_text("utf-8")}
    assert holding == {"pyproject.toml", "README.md", "CITATION.cff"}


def test_openings_are_written_into_a_new_notebook_once_and_its_outputs_stay(tmp_path, monkeypatch):
    folder = tmp_path / "4_finetuning"
    folder.mkdir()
    (tmp_path / "comics_genai").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "README.md").write_text("# Title\n\nText.\n")
    output = nbformat.v4.new_output("stream", text="said\n")
    cells = [
        nbformat.v4.new_markdown_cell("# New\n\n[![Open in Colab](x.svg)](https://old/place/New.ipynb)\n\n* **Model**"),
        nbformat.v4.new_code_cell("old()", outputs=[output]),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "New.ipynb")
    monkeypatch.setattr(environment, "root", lambda: tmp_path)
    assert opening.write_openings() == [folder / "New.ipynb", tmp_path / "README.md"]
    title, code = nbformat.read(folder / "New.ipynb", as_version=4).cells
    assert title.source == f"# New\n\n{opening.badges('4_finetuning/New.ipynb')}\n\n* **Model**"
    assert code.source == opening.setup_cell() and code.outputs == [output]
    assert (tmp_path / "README.md").read_text() == f"# Title\n\n{opening.badges(opening.FIRST)}\n\nText.\n"
    assert opening.write_openings() == []
    nbformat.write(nbformat.v4.new_notebook(cells=cells[1:]), folder / "New.ipynb")
    with pytest.raises(UserError, match="does not begin with a title"):
        opening.write_openings()
