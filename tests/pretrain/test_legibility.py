"""The legibility head trained again: what it separates, and that nothing else of the reader changes."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

from comics_genai.baselines import gan
from comics_genai.evaluation.attribute_reader import FOLDER, AttributeReader
from comics_genai.pretrain import legibility
from comics_genai.pretrain.legibility import LOST, RECORD, LegibilitySettings, train_head, train_legibility


def test_the_head_separates_kinds_and_loses_almost_no_legible_picture():
    g = torch.Generator().manual_seed(0)
    legible = {"a": torch.randn(400, 8, generator=g) + 2, "b": torch.randn(400, 8, generator=g) * 0.5 + 1}
    illegible = {"c": torch.randn(400, 8, generator=g) - 2, "d": torch.randn(60, 8, generator=g) - 1}
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(8, 6), nn.LeakyReLU(), nn.Linear(6, 1))
    train_head(head, legible, illegible, LegibilitySettings(steps=150, learning_rate=1e-2))
    called = {name: float((head(x)[:, 0] >= 0).float().mean()) for name, x in (legible | illegible).items()}
    assert called["a"] >= 1 - LOST and called["b"] >= 1 - LOST
    assert called["c"] < 0.02 and called["d"] < 0.1
    assert not any(weight.requires_grad for weight in head.parameters())


def test_only_the_head_changes_and_each_kind_is_measured_on_pictures_it_was_not_trained_on(smoke, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(smoke.base, base)
    before = AttributeReader.load(base / FOLDER).state_dict()
    measured = train_legibility(smoke.legibility, base, tmp_path / "stage")
    after = AttributeReader.load(base / FOLDER).state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("legibility.") for name in changed)
    assert json.loads((base / FOLDER / RECORD).read_text()) == measured
    assert list(measured["legible"]) == ["drawings", "reconstructions", "base, 2 steps, guidance 4"]
    assert list(measured["illegible"]) == ["spoilt drawings", "GAN 0, 2 steps"]
    assert all(share in (0.0, 1.0) for kinds in measured.values() for share in kinds.values())  # one picture of each


def test_pictures_and_gans_that_are_there_are_not_made_again(smoke, monkeypatch):
    folder, base = smoke.folder / "legibility", smoke.base
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix == ".npy"}
    assert len(kept) == 1
    monkeypatch.setattr(legibility, "draw_prompts", None)  # would fail if it were called
    train_legibility(smoke.legibility, base, folder)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_a_stopped_gan_stops_the_stage_and_gives_no_samples(monkeypatch, tmp_path):
    short = replace(gan.VERSION_1, loop=replace(gan.VERSION_1.loop, max_minutes=1e-9))
    monkeypatch.setattr(gan, "VERSION_1", short)
    with pytest.raises(KeyboardInterrupt):
        legibility.drawn_by_gans(128, LegibilitySettings(dcgan_steps=(2,)), tmp_path)
