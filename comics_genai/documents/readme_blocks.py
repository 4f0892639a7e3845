"""Write the tables and findings in the README files from the files of the runs.

    python -m comics_genai tables

A block is between `<!-- from: KIND FILE ... -->` and `<!-- end -->`; FILEs are relative to the repository. Its content
is replaced, so no figure is typed by hand, and findings change with the runs. Kinds without FILEs have fixed ones
(`front_page`).
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from comics_genai.documents import front_page
from comics_genai.documents.run_scores import METHODS, TUNED, Scores, finding, percent, rows_of
from comics_genai.documents.sources import Sources
from comics_genai.errors import UserError
from comics_genai.files import write_atomic

BLOCK = re.compile(r"(<!-- from: ([^>\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def _head(columns: Mapping[str, str]) -> list[str]:
    return ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---|" * len(columns)]


def _line(name: str, row: Scores, columns: Mapping[str, str]) -> str:
    return f"| {name} | " + " | ".join(percent(row[key]) if row.get(key) else "-" for key in columns) + " |"


def scores_table(scores: Scores) -> list[str]:
    """All rows of one scores.json."""
    return _head(scores["columns"]) + [_line(row["name"], row, scores["columns"]) for row in scores["rows"]]


def methods_table(*runs: tuple[str, Scores]) -> list[str]:
    """The fine-tuned row of several runs, with a line for each method."""
    columns = runs[0][1]["columns"]
    return _head(columns) + [_line(METHODS.get(n, n), rows_of(scores)[TUNED], columns) for n, scores in runs]


def scratch_table(*runs: tuple[str, Scores]) -> list[str]:
    """Models from scratch, each above the true drawings at its size."""
    columns = runs[0][1]["columns"]
    return _head(columns) + [_line(row["name"], row, columns) for _, scores in runs for row in scores["rows"][:2]]


def card_table(evaluation: Mapping[str, Any]) -> list[str]:
    """The results of the miniature, as in its card."""
    from comics_genai.pretrain.evaluate import card

    return card(dict(evaluation))


KINDS: dict[str, Callable[..., list[str]]] = {
    "scores": lambda run: scores_table(run[1]),
    "methods": methods_table,
    "scratch": scratch_table,
    "finding": finding,
    "card": lambda run: card_table(run[1]),
}
FRONT_PAGE: dict[str, Callable[[Sources], list[str]]] = {
    "claim": front_page.claim,
    "comparison": front_page.comparison,
    "notebooks": front_page.notebooks,
    "gpus": front_page.gpus,
}


def filled(text: str, root: Path) -> str:
    """The text with every block written anew. Raises UserError for an unknown kind or a missing file."""

    def block(match: re.Match[str]) -> str:
        kind, *files = match[2].split()
        if kind in FRONT_PAGE:
            return match[1] + "\n" + "\n".join(FRONT_PAGE[kind](Sources(root))) + "\n\n" + match[3]
        if kind not in KINDS:
            raise UserError(f"A README asks for the table {kind!r}: there are {', '.join((*KINDS, *FRONT_PAGE))}.")
        runs = [(Path(file).parent.name, _read(root / file)) for file in files]
        return match[1] + "\n" + "\n".join(KINDS[kind](*runs)) + "\n\n" + match[3]

    return BLOCK.sub(block, text)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"A README shows {path}, which cannot be read ({error}): make that run again.") from error


def readmes(root: Path) -> list[Path]:
    """The README files that may hold blocks: the front page, those of the numbered folders and of the bases."""
    return sorted({*root.glob("README.md"), *root.glob("[0-9]_*/README.md"), *root.glob("[0-9]_*/*/README.md")})


def write(root: Path) -> list[Path]:
    """Write the blocks of all README files anew; the files that changed."""
    changed = []
    for path in readmes(root):
        before = path.read_text(encoding="utf-8")
        after = filled(before, root)
        if after != before:
            write_atomic(path, after.encode())
            changed.append(path)
    return changed
