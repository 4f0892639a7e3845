"""Plots show what their files hold."""

import csv
import json
from pathlib import Path

import pytest

from comics_genai.documents import plots
from comics_genai.documents.sources import Sources
from comics_genai.errors import UserError

ROOT = Path(__file__).parents[2]


def put(root: Path, path: str, content: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content, encoding="utf-8")


def test_bars_of_the_trials_are_those_of_the_file(tmp_path):
    sources = Sources(ROOT)
    (axes,) = plots.trials(sources).axes
    with open(ROOT / "1_data/mini_sdxl/pretraining/trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([100 * float(row[name]) for name in ("attributes", "pose") for row in rows])
    assert sources.used == {"1_data/mini_sdxl/pretraining/trials.csv"}


def test_a_speed_is_a_bar_and_the_script_is_grey(tmp_path):
    rows = [{"name": "engine", "steps_per_second": 4.0}, {"name": "diffusers script", "steps_per_second": 1.5}]
    record = {"measurements": [{"work": {"precision": "fp32"}, "rows": rows}]}
    put(tmp_path, "5_documents/benchmarks/finetuning_cpu.json", json.dumps(record))
    (axes,) = plots.speed(Sources(tmp_path)).axes
    assert [bar.get_width() for bar in axes.patches] == [1.5, 4.0] and axes.get_title(loc="left") == "fp32"
    script, engine = axes.patches
    assert script.get_facecolor() != engine.get_facecolor()


def test_memory_that_is_needed_stands_beside_what_each_gpu_has(tmp_path):
    plans = [
        {"name": name, "memory_gib": has, "base": "SDXL", "method": method, "needs_gib": needs}
        for name, has in (("T4", 15.0), ("A100", 79.0))
        for method, needs in (("lora", 13.4), ("dreambooth", 26.3))
    ]
    put(tmp_path, "5_documents/benchmarks/plans.json", json.dumps(plans))
    figure = plots.memory(Sources(tmp_path))
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [13.4, 26.3, 13.4, 26.3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["T4, 15 GiB", "A100, 79 GiB"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["SDXL\nlora", "SDXL\ndreambooth"]


def test_none_of_twenty_four_leaves_a_seventh_open():
    (axes,) = plots.none_of_n(Sources(ROOT)).axes
    x, y = axes.lines[0].get_data()
    # One picture of none says next to nothing: up to 1 - 0.025. The rule of three's exact form for 24: 14.2 %.
    assert y[0] == pytest.approx(97.5) and dict(zip(x, y, strict=True))[24] == pytest.approx(14.2, abs=0.1)


def test_a_plot_without_its_file_names_the_file(tmp_path):
    with pytest.raises(UserError, match="The documents show 5_documents/benchmarks/plans.json, which is not there"):
        plots.memory(Sources(tmp_path))
    with pytest.raises(UserError, match="The study training_steps has no run"):
        plots.training_steps(Sources(tmp_path))
