"""A notebook executed in place is what gets committed: one fresh run, nothing of the machine, or nothing at all."""

import nbformat
import pytest

from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.notebooks.execute import committable, execute_in_place, parameters_of
from tests.notebooks.test_demo import notebook

LINES = """
import sys
for i in range(1, 4):
    print(f"drawing: {i}/3 · 1.0 steps/s", flush=True)
    print("", end="", file=sys.stderr, flush=True)
print("drawn", number)
"""


def test_it_is_executed_in_place_and_keeps_nothing_of_the_machine(tmp_path, capfd):
    path = notebook(tmp_path / "job.ipynb", "number = 7", LINES)
    assert main(["notebook", str(path)]) == 0
    assert "job.ipynb ran to its end in" in capfd.readouterr().out
    done = nbformat.read(path, 4)
    nbformat.validate(done)
    assert [cell.execution_count for cell in done.cells] == [1, 2]
    assert [dict(cell.metadata) for cell in done.cells] == [{"tags": ["parameters"]}, {}]
    assert set(done.metadata) == {"kernelspec", "language_info"} and done.metadata.language_info == {"name": "python"}
    assert [dict(output) for output in done.cells[1].outputs] == [
        {"output_type": "stream", "name": "stdout", "text": "drawing: 3/3 · 1.0 steps/s\ndrawn 7\n"}
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["job.ipynb"]


def test_executed_twice_it_is_the_same_file(tmp_path):
    path = notebook(tmp_path / "job.ipynb", "number = 7", "number")
    execute_in_place(path)
    first = path.read_bytes()
    execute_in_place(path)
    assert path.read_bytes() == first


def test_where_a_cell_fails_the_notebook_stays_as_it_was(tmp_path):
    path = notebook(tmp_path / "failing_job.ipynb", "number = 7", "raise ValueError('no drawings')")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"stopped in cell 2 \(ValueError: no drawings\)"):
        execute_in_place(path)
    assert path.read_bytes() == before


def test_a_missing_notebook_is_one_sentence(tmp_path, capsys):
    assert main(["notebook", str(tmp_path / "absent.ipynb")]) == 2
    assert "absent.ipynb is missing" in capsys.readouterr().err


DAMAGED = ["", "{}", "[]", "null", '{"nbformat": 4}', "<html>", '{"cells": 5, "nbformat": 4}']
DAMAGED += ['{"cells": [{}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_notebook_is_one_sentence_and_stays(tmp_path, capsys, content):
    path = tmp_path / "damaged.ipynb"
    path.write_text(content)
    for command in (["notebook", str(path)], ["kaggle", str(path), "--user", "ann"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "damaged.ipynb is damaged, or no notebook" in said and said.count("\n") == 1
    assert path.read_text() == content


@pytest.mark.parametrize("source", ["a = b", "import os", "a = (", "a, b = 1", "print(1)"])
def test_parameters_that_are_no_plain_values_are_one_sentence(tmp_path, source):
    with pytest.raises(UserError, match="holds more than names and their plain values"):
        parameters_of(notebook(tmp_path / "job.ipynb", source))


def test_progress_of_two_tasks_keeps_the_last_line_of_each():
    text = "a: 1/2 · x\na: 2/2 · x\nb: 1/2 · x\nsaid\nb: 2/2 · x\n"
    cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("stream", name="stdout", text=text)])
    done = committable(nbformat.v4.new_notebook(cells=[cell]))
    assert done.cells[0].outputs[0].text == "a: 2/2 · x\nb: 1/2 · x\nsaid\nb: 2/2 · x\n"


def test_parameters_are_read_as_literals(tmp_path):
    path = notebook(tmp_path / "job.ipynb", "a, b = 1, 'x'  # two\nc = (0.5, 2)\nd = {'k': [1]}")
    assert parameters_of(path) == {"a": 1, "b": "x", "c": (0.5, 2), "d": {"k": [1]}}
    with pytest.raises(UserError, match="absent.ipynb is missing or has no cell tagged parameters"):
        parameters_of(tmp_path / "absent.ipynb")
