"""The front page shows what is there; tests/documents/test_readme_blocks.py compares its figures with their files."""

import re
from pathlib import Path

import yaml

from comics_genai import environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_file_that_the_readme_links_or_shows_exists():
    named = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README) + re.findall(r'src="([^":]+)"', README)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_numbered_folder_says_what_it_holds():
    folders = [path for path in ROOT.glob("[0-9]_*") if path.is_dir()]
    assert len(folders) == 6
    assert [folder.name for folder in folders if not (folder / "README.md").is_file()] == []


def test_the_citation_has_what_the_format_asks_for_and_credits_the_thesis():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys() and citation["cff-version"] == "1.2.0"
    assert citation["repository-code"] == environment.address()
    (thesis,) = citation["references"]
    assert [author["family-names"] for author in thesis["authors"]] == ["Boudier", "Beltrán", "Michelangelo"]
