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
from comics_genai.finetuning.trainable import trainable_parts
from comics_genai.sampling.generate import Sampling
from comics_genai.training import room

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
    with pytest.raises(UserError, match="takes .* of memory to load, and .* are free: close other programs"):
        finetune(settings, Path("nowhere"))
    assert not Path("nowhere").exists()


def test_a_disk_too_small_for_the_checkpoints_is_said_before_the_first_step(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2, 1, 1))
    with pytest.raises(UserError, match="on the disk for its checkpoints"):
        finetune(settings, tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_memory_too_small_for_the_optimizer_is_said_before_the_first_step(settings, monkeypatch, tmp_path):
    model = nn.Linear(1000, 1000, bias=False)
    monkeypatch.setattr(hardware, "free_memory", lambda: 11_999_999)
    preflight.check_room(model, replace(settings, optimizer="adafactor"), tmp_path)
    preflight.check_room(model, replace(settings, fused_backward=True), tmp_path)
    with pytest.raises(UserError, match=r"the state of adamw take 12 MB of memory, .* train an adapter"):
        preflight.check_room(model, settings, tmp_path)


@pytest.mark.parametrize("method", ["dreambooth", "lora"])
@pytest.mark.parametrize("train_text_encoders", [False, True])
def test_the_weights_counted_before_the_base_is_loaded_are_those_that_training_trains(
    settings, method, train_text_encoders
):
    asked = replace(settings, method=method, train_text_encoders=train_text_encoders)
    counted = preflight.trained_of(preflight.architecture_of(asked), asked)
    trained = trainable_parts(Base.load(asked.base), asked, None)
    shapes = [sorted(tuple(p.shape) for p in one.parameters() if p.requires_grad) for one in (counted, trained)]
    assert shapes[0] == shapes[1]
    assert all(p.is_meta for p in counted.parameters())


def test_a_notebook_is_told_at_its_top_what_a_run_takes_or_why_it_cannot_be(settings, monkeypatch, tmp_path):
    base = preflight.base_bytes(settings)
    weights = sum(p.numel() for p in trainable_parts(Base.load(settings.base), settings, None).parameters()
                  if p.requires_grad)  # fmt: skip
    assert preflight.checked(settings, tmp_path / "run", "cpu") == (
        f"Checked: cpu computes, and the base takes {base / 1e6:.0f} MB of memory to load; {weights / 1e6:.1f} million "
        f"weights are trained, whose gradients and optimizer state take {12 * weights / 1e6:.0f} MB of memory; "
        f"checkpoints and pictures take up to {(44 * weights + room.SMALLEST_DISK) / 1e6:.0f} MB of the disk."
    )
    unknown = preflight.checked(replace(settings, base="someone/base"), tmp_path, "cpu")
    assert unknown == "Checked: cpu computes. What someone/base takes is checked once it is downloaded."
    # A full DreamBooth of SDXL: 2.57 milliards of weights, 12 bytes for each in each of up to three checkpoints.
    sdxl = replace(settings, base="sdxl", method="dreambooth")
    monkeypatch.setattr(hardware, "free_memory", lambda: 10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(20 * 10**9, 0, 20 * 10**9))
    with pytest.raises(UserError, match=r"The run needs 113.0 GB on the disk .*, and 20.0 GB are free"):
        preflight.checked(sdxl, tmp_path / "run", "cpu")
