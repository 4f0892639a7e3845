"""What a training takes beside its model is counted from its weights, and a machine with less is refused."""

import shutil
from collections import namedtuple

import pytest
import torch
from torch import nn

from comics_genai import hardware
from comics_genai.errors import UserError
from comics_genai.training import room
from comics_genai.training.loop_settings import LoopSettings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def model() -> nn.Module:
    with torch.device("meta"):
        frozen = nn.Linear(7, 7).requires_grad_(False)
        return nn.Sequential(nn.Linear(1000, 1000, bias=False), frozen)


@pytest.mark.parametrize(
    ("changes", "memory", "checkpoint"),  # bytes a weight
    [
        ({}, 4 + 8, 4 + 8),
        ({"optimizer": "adamw8bit"}, 4 + 2, 4 + 2),
        ({"optimizer": "adafactor"}, 4, 4),
        ({"optimizer": "prodigy", "learning_rate": 1.0}, 4 + 16, 4 + 16),
        ({"ema_decay": 0.9}, 4 + 8 + 4, 4 + 8 + 4),
        ({"fused_backward": True, "clip_norm": 0.0}, 8, 4 + 8),
    ],
)
def test_it_is_counted_from_the_weights_that_are_trained(model, changes, memory, checkpoint):
    found = room.room_for(model, LoopSettings(steps=1, **changes))
    assert (found.weights, found.memory) == (1_000_000, 1_000_000 * memory)
    assert found.disk == 1_000_000 * (3 * checkpoint + 8) + room.SMALLEST_DISK


def test_trainings_one_after_another_take_the_disk_of_all_and_the_memory_of_the_largest():
    small, large = room.Room(1, 12, 100, "adamw"), room.Room(2, 40, 200, "prodigy")
    assert room.one_after_another([small, large, small]) == room.Room(2, 40, 400, "prodigy")


def test_a_disk_with_a_byte_too_little_is_refused(monkeypatch, tmp_path):
    needed = room.Room(1, 12, 94_000_000, "adamw")
    for free, fits in ((needed.disk, True), (needed.disk - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: Usage(2 * free, free, free))
        if fits:
            room.check(needed, tmp_path / "run", "cpu")
        else:
            with pytest.raises(UserError, match=r"The run needs 94 MB on the disk .*: make room, or put the run on"):
                room.check(needed, tmp_path / "run", "cpu")
    # What an earlier start left is not needed again.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_bytes(bytes(10))
    room.check(needed, tmp_path / "run", "cpu")


def test_memory_with_a_byte_too_little_is_refused_with_the_cure(monkeypatch, tmp_path):
    needed = room.Room(1, 1_200_000_000, 0, "adamw")
    monkeypatch.setattr(hardware, "free_memory", lambda: needed.memory)
    room.check(needed, tmp_path, "cpu")
    monkeypatch.setattr(hardware, "free_memory", lambda: needed.memory - 1)
    with pytest.raises(UserError, match=r"the state of adamw take 1.2 GB of memory, .* free: choose a smaller model"):
        room.check(needed, tmp_path, "cpu")
    with pytest.raises(UserError, match="are free: do something else"):
        room.check(needed, tmp_path, "cpu", "do something else")


def test_it_is_told_in_words():
    assert room.in_words(room.Room(2_570_000_000, 30_800_000_000, 99_000_000, "adamw")) == (
        "2570.0 million weights are trained, whose gradients and optimizer state take 30.8 GB of memory; checkpoints "
        "and pictures take up to 99 MB of the disk"
    )
