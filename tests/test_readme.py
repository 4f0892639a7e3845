"""The README's figures are those that the committed notebook's run wrote."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCORES = json.loads((ROOT / "6_generated/dreambooth_lora/scores.json").read_text(encoding="utf-8"))


def markdown(scores: dict) -> list[str]:
    """The table of scores.json as lines of Markdown: percent, with 95 % intervals."""
    columns = scores["columns"]
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---|" * len(columns)]
    for row in scores["rows"]:
        cells = [f"{100 * row[k]['mean']:.0f} [{100 * row[k]['low']:.0f}, {100 * row[k]['high']:.0f}]" for k in columns]
        lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
    return lines


@pytest.mark.parametrize("line", markdown(SCORES))
def test_every_line_of_the_scores_stands_in_the_readme(line):
    assert line in README.splitlines()


def test_the_files_the_readme_names_exist():
    for path in ("6_generated/dreambooth_lora/contact_sheet.png", "4_finetuning/dreambooth_lora/DreamBooth-LoRA.ipynb"):
        assert path in README and (ROOT / path).exists()
