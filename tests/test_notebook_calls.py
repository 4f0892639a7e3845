"""Every call of the package in a notebook fits what is called, also in branches that no execution here enters."""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from comics_genai.notebooks import opening

PACKAGE = "comics_genai"


def calls(source: str) -> Iterator[tuple[ast.Call, Callable]]:
    """Calls of what `source` imports from the package, each with what is called; those with *arguments are left out."""
    tree = ast.parse(source)
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            module = importlib.import_module(node.module)
            for name in node.names:
                found = getattr(module, name.name, None)
                known[name.asname or name.name] = found or importlib.import_module(f"{node.module}.{name.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not any(isinstance(one, ast.Starred) for one in node.args):
            called = _called(node.func, known)
            if callable(called) and all(keyword.arg for keyword in node.keywords):
                yield node, called


def _called(node: ast.expr, known: dict[str, object]) -> object:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _called(node.value, known)
        return getattr(owner, node.attr) if isinstance(owner, ModuleType | type) else None
    return None


def misfits(source: str) -> list[str]:
    """Calls whose arguments the function that is called does not take."""
    found = []
    for node, called in calls(source):
        try:
            inspect.signature(called).bind(*node.args, **{keyword.arg: keyword.value for keyword in node.keywords})
        except TypeError as error:
            found.append(f"{ast.unparse(node)}: {error}")
    return found


def code_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", opening.notebooks(), ids=lambda path: path.stem)
def test_every_call_of_the_package_fits_its_function(path):
    assert misfits(code_of(path)) == []
    assert next(calls(code_of(path)), None) is not None


def test_a_call_that_lacks_an_argument_or_has_one_too_many_is_found():
    source = "from comics_genai.hub import runs\nfrom comics_genai.hub.runs import put_in_place as put\n"
    assert misfits(source + "put(a, b, c)\nruns.run_folder(run=a)") == []
    found = misfits(source + "put(a, b)\nruns.run_folder(a, b)\nput(*a)")
    assert found == [
        "put(a, b): missing a required argument: 'settings'",
        "runs.run_folder(a, b): too many positional arguments",
    ]
