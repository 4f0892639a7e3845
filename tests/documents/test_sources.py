"""What documents read is remembered, and a rehearsal stands in where a study was not run."""

import shutil
from pathlib import Path

import pytest

from comics_genai.documents.sources import STUDIES, Sources
from comics_genai.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copied(tmp_path) -> Path:
    shutil.copytree(ROOT / STUDIES / "smoke", tmp_path / STUDIES / "smoke", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path


def test_without_the_full_table_the_rehearsal_is_read_and_marked(copied):
    sources = Sources(copied)
    study = sources.study("comparison")
    assert study.smoke and not study.whole and len(study.rows) > 5
    assert sources.used == {f"{STUDIES}/smoke/comparison.{kind}" for kind in ("toml", "jsonl")}


def test_the_full_table_takes_its_place_as_soon_as_it_has_a_row(copied):
    for kind in ("toml", "jsonl"):
        shutil.copy(copied / STUDIES / "smoke" / f"comparison.{kind}", copied / STUDIES)
    study = Sources(copied).study("comparison")
    assert not study.smoke and study.whole
    lines = (copied / STUDIES / "comparison.jsonl").read_text().splitlines(keepends=True)
    (copied / STUDIES / "comparison.jsonl").write_text(lines[0])
    assert not Sources(copied).study("comparison").whole


def test_a_missing_file_and_a_study_without_runs_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="show 6_generated/x/scores.json, which is not there"):
        Sources(tmp_path).json("6_generated/x/scores.json")
    with pytest.raises(UserError, match="study comparison has no run"):
        Sources(tmp_path).study("comparison")
