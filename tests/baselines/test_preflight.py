"""Before a training from scratch: what it takes, and why it cannot begin."""

import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

from comics_genai import hardware
from comics_genai.baselines import ddpm, gan, preflight
from comics_genai.errors import UserError
from comics_genai.training import room

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("build", "settings"), [(gan.build, gan.VERSION_1), (ddpm.build, ddpm.SETTINGS_32_CPU)])
def test_what_is_counted_is_what_the_networks_take(build, settings, tmp_path):
    weights = sum(p.numel() for p in build(settings).parameters() if p.requires_grad)
    needed = room.room_for(build(settings), settings.loop)
    assert needed.weights == weights
    told = preflight.checked(tmp_path / "run", "cpu", settings)
    assert told == f"Checked: cpu computes; {room.in_words(needed)}."


def test_several_trainings_share_the_memory_and_not_the_disk(monkeypatch, tmp_path):
    needed = room.room_for(gan.build(gan.VERSION_1), gan.VERSION_1.loop)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, needed.disk))
    monkeypatch.setattr(hardware, "free_memory", lambda: needed.memory)
    preflight.checked(tmp_path, "cpu", gan.VERSION_1)
    with pytest.raises(UserError, match="on the disk for its checkpoints, and .* are free in"):
        preflight.checked(tmp_path, "cpu", gan.VERSION_1, replace(gan.VERSION_1, size=64))


def test_a_machine_without_the_memory_or_the_device_is_refused(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="The device meta cannot be used"):
        preflight.checked(tmp_path, "meta", gan.VERSION_2)
    monkeypatch.setattr(hardware, "free_memory", lambda: 1)
    with pytest.raises(UserError, match="of memory, and 0 MB are free: choose a smaller model"):
        preflight.checked(tmp_path, "cpu", gan.VERSION_2)
