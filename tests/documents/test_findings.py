"""Sentences say what the tables say, and change with them."""

import json
import shutil
from pathlib import Path

import pytest

from comics_genai.documents import findings
from comics_genai.documents.sources import STUDIES, Sources

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copied(tmp_path) -> Path:
    """The rehearsals' tables, two of them in the place of full studies."""
    shutil.copytree(ROOT / STUDIES / "smoke", tmp_path / STUDIES / "smoke", ignore=shutil.ignore_patterns("*.png"))
    for kind in ("toml", "jsonl"):
        shutil.copy(tmp_path / STUDIES / "smoke" / f"comparison.{kind}", tmp_path / STUDIES)
    return tmp_path


def changed(path: Path, method: str, measure: str, value: int) -> None:
    """Give every picture of a method this value of a measure."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["method"] == method:
            row["pictures"][measure] = [value] * len(row["pictures"][measure])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_rehearsal_is_said_to_be_one_and_a_study_is_not(copied):
    sources = Sources(copied)
    assert findings.about(sources.study("learning_rate")).startswith("**Rehearsal.** ")
    assert findings.of_study(sources.study("learning_rate")) == ""
    assert "Rehearsal" not in findings.about(sources.study("comparison"))
    told = findings.of_rehearsals(sources)
    assert "rehearsed so far:** training steps, learning rate, inference steps and ablations." in told
    (copied / STUDIES / "comparison.jsonl").unlink()
    rehearsed = Sources(copied)
    assert findings.of_study(rehearsed.study("comparison")) == findings.NOTHING
    assert "far:** comparison, training steps" in findings.of_rehearsals(rehearsed)


def test_the_claim_follows_the_comparison(copied):
    table = copied / STUDIES / "comparison.jsonl"
    assert "The claim **does not hold** on 2 characters" in findings.of_study(Sources(copied).study("comparison"))
    changed(table, "dreambooth_lora", "joint_success", 1)
    told = findings.of_study(Sources(copied).study("comparison"))
    assert "joint success of DreamBooth+LoRA on unseen poses is 100 [" in told


def test_copies_from_scratch_are_told(copied):
    assert "are copies" not in findings.of_study(Sources(copied).study("comparison"))
    changed(copied / STUDIES / "comparison.jsonl", "gan_v2", "copied", 1)
    told = findings.of_study(Sources(copied).study("comparison"))
    assert "More than half of what GAN version 2 draw are copies of a training drawing." in told


def test_a_loop_that_was_not_run_claims_nothing(copied):
    assert "has **not been run**" in findings.of_loop(Sources(copied))
    for kind in ("toml", "jsonl"):
        shutil.copy(copied / STUDIES / f"comparison.{kind}", copied / STUDIES / f"{findings.LOOP}.{kind}")
    assert "not been run" not in findings.of_loop(Sources(copied))


def test_the_trials_are_compared_by_their_figures(tmp_path):
    file = tmp_path / "1_data" / "mini_sdxl" / "pretraining" / "trials.csv"
    file.parent.mkdir(parents=True)
    head = "latents,samples,attributes,pose,remark\n"
    file.write_text(head + "sharp,1000,.3,.4,28 dB\nsoft,1000,.5,.6,24 dB\n")
    assert "led to 30 % of the attributes, latents of soft (24 dB) to 50 %" in findings.of_trials(Sources(tmp_path))
    file.write_text(head + "sharp,1000,.5,.4,28 dB\nsoft,1000,.3,.6,24 dB\n")
    assert "is no better to draw with" in findings.of_trials(Sources(tmp_path))
