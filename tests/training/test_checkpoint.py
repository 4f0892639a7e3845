"""Checkpoints are whole or absent, and the log is read line by line."""

import json

import pytest
import torch

from comics_genai.errors import UserError
from comics_genai.run import checkpoint_files
from comics_genai.training.checkpoint import CHECKPOINTS_KEPT, Checkpoints, Log


def test_the_last_two_are_kept_and_the_newest_comes_back(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in (8, 9, 10):
        checkpoints.save(step, {"w": torch.full((2,), float(step))}, {"seed": 1})
    kept = checkpoint_files(tmp_path)
    assert [path.name for path in kept] == ["step_000009.safetensors", "step_000010.safetensors"]
    assert len(kept) == CHECKPOINTS_KEPT
    path, tensors, record = checkpoints.latest()
    assert path.name == "step_000010.safetensors" and tensors["w"].tolist() == [10, 10]
    assert record["step"] == 10 and record["seed"] == 1


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"w": torch.zeros(1)}, {})
    checkpoint_files(tmp_path)[-1].write_bytes(b"torn")
    with pytest.warns(UserWarning, match="step_000002.safetensors is damaged"):
        assert checkpoints.latest()[0].name == "step_000001.safetensors"


def test_a_torn_line_is_left_out_and_steps_taken_again_are_dropped(tmp_path):
    log = Log(tmp_path)
    for step in (1, 2, 3):
        log.append({"step": step, "loss": float("nan") if step == 2 else 0.5})
    with open(log.path, "a") as file:
        file.write('{"step": 4, "lo')
    assert [(row["step"], row["loss"]) for row in log.rows()] == [(1, 0.5), (2, None), (3, 0.5)]
    log.truncate(2)
    assert [json.loads(line)["step"] for line in log.path.read_text().splitlines()] == [1, 2]


def test_a_log_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(UserError, match="log.jsonl cannot be read"):
        Log(tmp_path).rows()
