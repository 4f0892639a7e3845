"""The front page shows what is there; tests/publishing/test_readme_blocks.py compares its figures with their files."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHODS = ("dreambooth", "lora", "dreambooth_lora")


def test_the_three_methods_were_asked_the_same():
    asked = []
    for run in METHODS:
        lines = (ROOT / "6_generated" / run / "finetuned" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        asked.append(
            sorted((row["prompt"], row["seed"], row["steps"], row["guidance"]) for row in map(json.loads, lines))
        )
    scores = json.loads((ROOT / "6_generated" / METHODS[0] / "scores.json").read_text(encoding="utf-8"))
    assert asked[0] == asked[1] == asked[2] and len(asked[0]) == scores["rows"][0]["pictures"]


def test_every_file_that_the_readme_links_or_shows_exists():
    named = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
