"""What would stop a fine-tuning later is said before it begins, with the cure."""

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from comics_genai import environment, hardware
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning import preflight
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def settings(character_folder, tiny_sdxl) -> FinetuneSettings:
    return FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), method="lora", steps=1, rank=4, variants=1,
        sampling=Sampling(steps=2),
    )  # fmt: skip


def test_a_device_that_does_not_compute_is_refused_before_anything_is_loaded(settings):
    with pytest.raises(UserError, match="The device meta cannot be used .*: leave it out, and the best there is"):
        preflight.check_machine(replace(settings, base="nowhere"), "meta")


@pytest.mark.parametrize(("in_hardware", "warns"), [(False, True), (True, False)])
def test_emulated_bf16_is_warned_of(settings, monkeypatch, recwarn, in_hardware, warns):
    monkeypatch.setattr(hardware, "check_arithmetic", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: in_hardware)
    preflight.check_machine(replace(settings, precision="bf16"), "cuda")
    assert [str(w.message) for w in recwarn if "emulates" in str(w.message)] == (
        ["Tesla T4 emulates bf16, many times slower than what it has in hardware: use --precision fp16."]
        if warns
        else []
    )
    preflight.check_machine(replace(settings, precision="fp16"), "cuda")


def test_a_torchao_that_peft_cannot_bear_is_named_with_the_command(settings, monkeypatch, tmp_path):
    for version, refused in (("0.10.0", True), ("0.16.0", False)):
        folder = tmp_path / version
        (folder / "torchao").mkdir(parents=True)
        (folder / "torchao" / "__init__.py").write_text("")
        (folder / f"torchao-{version}.dist-info").mkdir()
        (folder / f"torchao-{version}.dist-info" / "METADATA").write_text(f"Name: torchao\nVersion: {version}\n")
        with monkeypatch.context() as patched:
            patched.syspath_prepend(folder)
            assert environment.has_old_torchao() == refused
            if refused:
                with pytest.raises(UserError, match="older than 0.16, .* run `pip uninstall --yes torchao`"):
                    preflight.check_machine(settings, "cpu")
                preflight.check_machine(replace(settings, method="dreambooth"), "cpu")  # no adapter, no peft
    assert not environment.has_old_torchao()


def test_a_base_that_does_not_fit_the_memory_is_refused_unloaded(settings, monkeypatch):
    base = Base.load(settings.base)
    modules = (base.unet, base.vae, *base.text_encoders().values())
    size = sum(p.numel() * 4 for module in modules for p in module.parameters())
    assert preflight.base_bytes(settings) == size
    half = sum(p.numel() * 2 for p in base.unet.parameters())
    assert preflight.base_bytes(replace(settings, precision="bf16")) == size - half
    assert preflight.base_bytes(replace(settings, base="someone/base")) == 0
    # SDXL: 2.57 milliards of weights in the UNet, 0.90 in the rest.
    assert preflight.base_bytes(replace(settings, base="sdxl")) == pytest.approx(4 * 3.47e9, rel=0.01)
    monkeypatch.setattr(hardware, "free_memory", lambda: size - 1)
    with pytest.raises(UserError, match="takes .* GB of memory to load, and .* are free: close other programs"):
        finetune(settings, Path("nowhere"))
    assert not Path("nowhere").exists()


def test_a_disk_too_small_for_the_checkpoints_is_said_before_the_first_step(settings, monkeypatch, tmp_path):
    model = nn.Linear(1000, 1000, bias=False)  # 4 MB: three checkpoints of 12, the result twice 4, and the rest
    needed = 3 * 12_000_000 + 8_000_000 + preflight.SMALLEST_DISK
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: Usage(2 * free, free, free))
        if fits:
            preflight.check_room(model, settings, tmp_path / "run")
        else:
            with pytest.raises(UserError, match=r"The run needs 0.1 GB on the disk .*: make room, or put the run on"):
                preflight.check_room(model, settings, tmp_path / "run")
    # What an earlier start left is not needed again.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_bytes(bytes(10))
    preflight.check_room(model, settings, tmp_path / "run")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2, 1, 1))
    with pytest.raises(UserError, match="on the disk for its checkpoints"):
        finetune(settings, tmp_path / "other")
    assert not (tmp_path / "other" / "log.jsonl").exists()


def test_memory_too_small_for_the_optimizer_is_said_before_the_first_step(settings, monkeypatch, tmp_path):
    model = nn.Linear(1000, 1000, bias=False)
    monkeypatch.setattr(hardware, "free_memory", lambda: 11_999_999)
    preflight.check_room(model, replace(settings, optimizer="adafactor"), tmp_path)
    preflight.check_room(model, replace(settings, fused_backward=True), tmp_path)
    with pytest.raises(UserError, match=r"the state of adamw take 0.0 GB of memory, .* train an adapter"):
        preflight.check_room(model, settings, tmp_path)
