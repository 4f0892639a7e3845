"""The front page shows what is there; tests/documents/test_readme_blocks.py compares its figures with their files."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_file_that_the_readme_links_or_shows_exists():
    named = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
