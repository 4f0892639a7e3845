import json
import os
import signal
import subprocess
import sys
import time

from comics_genai import environment
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.sampling.records import read_metadata
from comics_genai.studies.grid import Grid, cell_id
from comics_genai.studies.runner import run_study
from comics_genai.studies.table import Table, records_of

METHODS = ["true_drawings", "other_characters", "careful_prompt", "dreambooth", "lora", "gan_v2"]


def test_a_study_runs_every_cell_once_and_its_table_tells_all(smoke, tiny_reader, tmp_path):
    result = run_study(smoke, tmp_path / "runs", reader=tiny_reader)
    assert (result.done, result.cells) == (6, 6)
    rows = Table(smoke.with_suffix(".jsonl")).rows()
    assert [row["method"] for row in rows] == METHODS
    by_method = {row["method"]: row for row in rows}
    lora, gan = by_method["lora"], by_method["gan_v2"]
    assert lora["settings"]["finetune"]["alpha"] == 2.0 and lora["steps"] == 2 and lora["seconds"]["train"] > 0
    assert 0 < lora["parameters"] < by_method["dreambooth"]["parameters"]
    assert by_method["careful_prompt"]["parameters"] == 0
    assert [len(records_of(row)) for row in rows] == [2, 2, 4, 4, 4, 4]
    assert {"identity", "pose", "joint_success", "copied", "copy_pasted", "rank_one", "prior_drift", "diversity",
            "kernel_distance", "palette_distance"} <= lora["scores"].keys()  # fmt: skip
    assert by_method["true_drawings"]["scores"]["diversity"] is None
    assert gan["scores"].get("pose") is None and gan["scores"]["prior_drift"] is None
    assert "joint_success" in gan["scores"]
    assert records_of(lora)[3]["prompt"] == 1 and records_of(lora)[3]["noise"] == 1
    assert isinstance(records_of(lora)[0]["right"]["outfit"], bool)
    kept = read_metadata(tmp_path / "kept" / "lora")
    assert len(kept) == 1 and (tmp_path / "kept" / "lora" / kept[0]["file_name"]).exists() and kept[0]["seed"] == 0

    told = {name: json.loads((tmp_path / "kept" / name / "scores.jsonl").read_text().splitlines()[0])
            for name in ("lora", "careful_prompt", "gan_v2")}  # fmt: skip
    assert told["lora"]["scores"]["right"] == records_of(lora)[0]["right"] and told["lora"]["method"] == "lora"
    assert told["lora"]["test_prompt"] == kept[0]["prompt"] == told["careful_prompt"]["test_prompt"]
    assert (tmp_path / "kept" / "lora" / told["lora"]["true_drawing"]).is_file()
    assert not {"test_prompt", "true_drawing"} & told["gan_v2"].keys()
    assert "joint_success" not in told["gan_v2"]["scores"] and "identity" in told["gan_v2"]["scores"]

    before = smoke.with_suffix(".jsonl").read_bytes()
    assert run_study(smoke, tmp_path / "runs", reader=tiny_reader).done == 6
    assert smoke.with_suffix(".jsonl").read_bytes() == before

    # Another sampling asks for new pictures of the same training.
    weights = sorted((tmp_path / "runs" / "smoke" / "trained").glob("lora*/weights.safetensors"))
    times = [path.stat().st_mtime_ns for path in weights]
    smoke.write_text(smoke.read_text().replace("[sampling]\nsteps = 2", "[sampling]\nsteps = 1"))
    assert run_study(smoke, tmp_path / "runs", reader=tiny_reader).done == 6
    assert [path.stat().st_mtime_ns for path in weights] == times and len(weights) == 1


CHILD = """
import sys
from pathlib import Path
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.studies.runner import run_study
run_study(Path(sys.argv[1]), Path(sys.argv[2]), reader=AttributeReader.load(Path(sys.argv[3])))
"""


def test_a_killed_study_goes_on_where_it_was(smoke, tiny_reader, tmp_path):
    tiny_reader.save(tmp_path / "reader")
    table, root = smoke.with_suffix(".jsonl"), environment.root()
    arguments = [sys.executable, "-c", CHILD, str(smoke), str(tmp_path / "runs"), str(tmp_path / "reader")]
    child = subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.DEVNULL)
    while child.poll() is None and not (table.exists() and table.read_text().count("\n") >= 2):
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    begun = Table(table).rows()
    assert 2 <= len(begun) < 6
    with open(table, "a") as file:  # as a row that was cut off
        file.write('{"cell": "torn')
    result = run_study(smoke, tmp_path / "runs", reader=AttributeReader.load(tmp_path / "reader"))
    rows = Table(table).rows()
    assert result.done == len(rows) == 6 and rows[: len(begun)] == begun


def test_a_row_of_another_base_or_reader_is_made_again(smoke, tiny_reader, tmp_path):
    text = smoke.read_text()
    smoke.write_text(text[: text.index("[methods.true_drawings]")] + "[methods.other_characters]\n")
    run_study(smoke, tmp_path / "runs", reader=tiny_reader)
    table = smoke.with_suffix(".jsonl")
    old = json.loads(table.read_text()) | {"reader": "another"}
    table.write_text(json.dumps(old) + "\n")
    assert run_study(smoke, tmp_path / "runs", reader=tiny_reader).done == 1
    assert table.read_text().count("\n") == 2 and len(Table(table).rows()) == 1
    grid = Grid.read(smoke)
    assert Table(table).rows()[0]["cell"] == cell_id(grid, grid.cells()[0])
