"""The front page's tables: what notebooks ask and take, and which GPU holds what."""

import json
from pathlib import Path

import pytest

from comics_genai.documents import front_page
from comics_genai.documents.sources import Sources

PLAN = {"base": "sdxl", "method": "lora", "memory_gib": 14.6, "needs_gib": 12.5, "seconds": {"training": 600.0}}


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository with one notebook that was timed and one plan for each GPU, of which one does not fit."""
    first = "# LoRA\n\n[![badge](x)](y)\n\n* **Model**: a base.\n* **Question**: some say\n  so. is it so? Yes."
    cells = [{"source": [first]}]
    (tmp_path / "4_finetuning").mkdir()
    (tmp_path / "4_finetuning" / "LoRA.ipynb").write_text(json.dumps({"cells": cells}))
    times = tmp_path / "5_documents" / "benchmarks" / "notebooks"
    times.mkdir(parents=True)
    (times / "LoRA.json").write_text(json.dumps({"core_seconds": 250.0}))
    plans = [PLAN | {"gpu": gpu, "name": gpu.upper(), "fits": gpu != "rtx3060"} for gpu in front_page.GPUS]
    (tmp_path / front_page.PLANS).write_text(json.dumps(plans))
    return tmp_path


def test_a_notebook_says_its_question_its_minutes_and_the_plan_for_a_t4(root):
    line = front_page.notebooks(Sources(root))[2]
    assert line.startswith("| [LoRA](4_finetuning/LoRA.ipynb) | Some say so. is it so? | 4 min | 10 min | <a href=")
    assert line.count("<img src=") == 2 and "[![" not in line


def test_a_notebook_that_was_never_timed_has_no_time(root):
    (root / "5_documents" / "benchmarks" / "notebooks" / "LoRA.json").unlink()
    assert " |  | 10 min | " in front_page.notebooks(Sources(root))[2]


def test_what_does_not_fit_says_what_it_would_need(root):
    head, _, line = front_page.gpus(Sources(root))
    assert head.startswith("| | T4, 15 GiB | RTX3060")
    assert line.startswith("| LoRA, SDXL") and "| 10 min, 12.5 GiB | does not fit, 12.5 GiB |" in line
