"""Text, tables and macros as LaTeX."""

import re
from collections.abc import Mapping, Sequence

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "−": r"$-$",
    "‑": "-",
    "“": "``",
    "”": "''",
    "<": r"$<$",
    ">": r"$>$",
}
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def escaped(text: str) -> str:
    """Text with nothing in it that TeX would take for a command."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def from_markdown(text: str) -> str:
    """Sentences in Markdown, **bold**, `code` and lists of lines with "- ", as LaTeX."""
    lines, found, listed = text.strip().splitlines(), [], False
    for line in lines:
        item = line.startswith("- ")
        if item != listed:
            found.append(r"\begin{itemize}" if item else r"\end{itemize}")
            listed = item
        found.append((r"\item " + _inline(line[2:])) if item else _inline(line))
    return "\n".join([*found, *([r"\end{itemize}"] if listed else [])])


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", re.sub(r"`(.+?)`", r"\\texttt{\1}", escaped(text)))
    return re.sub(r"\b(p) (=|\$<\$)", r"$p$ \2", text)


def name_of(words: str) -> str:
    """The macro's name of words, letters alone: "unet.samples 2" gives UnetSamplesTwo."""
    letters = "".join(DIGITS[int(sign)] if sign.isdigit() else sign for sign in words)
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z]+", letters))


def macros(values: Mapping[str, str]) -> str:
    r"""A file of \newcommand, one a value; the values are LaTeX already."""
    lines = [rf"\newcommand{{\{name_of(name)}}}{{{value}}}" for name, value in values.items()]
    return "% Written by `make report` from what runs left behind.\n" + "\n".join(lines) + "\n"


def table(rows: Sequence[Mapping[str, str]], align: str = "") -> str:
    """A table in the style of booktabs from rows with the same keys; the first column to the left, the others to the
    right, or as `align` says. A row of one key, "rule", is a thin line."""
    heads = list(next(row for row in rows if "rule" not in row))
    align = align or "l" + "r" * (len(heads) - 1)
    lines = [rf"\begin{{tabular}}{{@{{}}{align}@{{}}}}", r"\toprule", _row(heads), r"\midrule"]
    lines += [r"\midrule" if "rule" in row else _row([str(row[head]) for head in heads]) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"
