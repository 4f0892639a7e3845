"""The table and the README of a measurement."""

import json
from pathlib import Path

import pytest

from comics_genai import environment
from comics_genai.bench import report
from comics_genai.bench.measure import SCRIPT, BenchSettings
from comics_genai.bench.turns import Measured, speedup
from comics_genai.bench.workload import Workload

COMMITTED = environment.root() / "5_documents" / "benchmarks"


@pytest.fixture
def work(tiny_sdxl, character_folder) -> Workload:
    return Workload(str(tiny_sdxl), 32, str(character_folder), batch=2, rank=4, precision="fp32")


def test_the_table_and_the_readme_say_what_the_json_says(tmp_path):
    row = {"name": "engine", "steps_per_second": 12.345, "peak_bytes": 800 * 2**20, "startup_seconds": 9.6}
    row |= {"arithmetic_share": 0.251, "bandwidth_share": 0.5, "speedup": [1.71, 1.68, 1.752], "seconds": [[0.081]]}
    measurement = {"title": "DreamBooth+LoRA, bf16", "rows": [row], "work": {"precision": "bf16"}}
    measurement |= {"ceilings": {"flops": 4e11, "bandwidth": 2e10}, "demand": {"flops": 16e9, "bytes": 2e9}}
    assert report.table(measurement).splitlines()[-1] == "| engine | 12.35 | ×1.71 [1.68, 1.75] | 800 | 10 s | 25% |"
    assert "at least 40 ms" in report.limits(measurement) and "100 ms of traffic" in report.limits(measurement)
    assert report.table({"title": "LoRA", "failed": "out of memory"}) == "LoRA: not measured, out of memory"
    result = {"machine": "a CPU", "threads": 2, "versions": {"torch": "2"}, "date": "2026-01-01"}
    report.write(result | {"command": "bench", "measurements": [measurement]}, tmp_path, "cpu")
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert report.table(measurement) in readme and "No figure of a GPU has been measured yet" in readme


def test_the_committed_readme_is_that_of_the_committed_figures():
    assert (COMMITTED / "README.md").read_text("utf-8") == report.readme(COMMITTED)
    for path in (COMMITTED / name for name in report.NAMES.values() if (COMMITTED / name).exists()):
        for measurement in json.loads(path.read_text("utf-8"))["measurements"]:
            rows = {row["name"]: Measured(0.0, 0, row["seconds"]) for row in measurement["rows"]}
            for row in measurement["rows"]:
                assert row["steps_per_second"] == pytest.approx(1 / rows[row["name"]].seconds)
                if "speedup" in row:
                    assert row["speedup"] == pytest.approx(speedup(rows[SCRIPT.name], rows[row["name"]]))


def test_the_command_is_told_with_what_differs_from_the_defaults():
    given = BenchSettings(gpu=True, compiled=(), rounds=3, script=Path(__file__))
    assert report.command(given) == "python -m comics_genai bench --script test_report.py --gpu --rounds 3 --compiled"
