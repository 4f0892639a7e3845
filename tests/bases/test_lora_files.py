"""Adapters are written to the same bytes and loaded whole or not at all, whoever made them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from peft import LoraConfig

from comics_genai.bases import lora_files
from comics_genai.bases.adapters import load_adapter, set_scale, settings_of
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.run import LORA_FILE, PEFT_CONFIG, PEFT_FILE

WRITE = """
import sys, torch
from pathlib import Path
from peft import LoraConfig
from comics_genai.bases import lora_files
from comics_genai.bases.base import Base
base = Base.load(sys.argv[1])
torch.manual_seed(0)
base.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
lora_files.write(base, Path(sys.argv[2]))
"""


def test_equal_adapters_have_equal_bytes_in_every_process(tiny_sdxl, tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", WRITE, str(tiny_sdxl), str(tmp_path / "there")]
    subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "1"}, check=True)
    base = Base.load(tiny_sdxl)
    torch.manual_seed(0)
    base.unet.add_adapter(LoraConfig(r=2, target_modules=["to_out.0", "to_v", "to_k", "to_q"]))
    written = lora_files.write(base, tmp_path / "here").read_bytes()
    assert written == (tmp_path / "there" / LORA_FILE).read_bytes()
    assert str(tiny_sdxl).encode() not in written


@pytest.fixture
def base(tiny_sdxl) -> Base:
    return Base.load(tiny_sdxl)


@torch.no_grad()
def predicted(base: Base) -> torch.Tensor:
    noise = torch.randn(1, base.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    prompt, ids = base.encode_prompts(["a girl"]), base.time_ids(32, 32)
    return base.predict(noise, torch.tensor([500]), prompt, ids)


@pytest.fixture
def strong(girl_run, tmp_path) -> Path:
    """The folder of a diffusers adapter without our settings, that changes much."""
    folder = tmp_path / "of others"
    folder.mkdir()
    tensors = safetensors.torch.load_file(girl_run / LORA_FILE)
    torch.manual_seed(0)
    tensors = {name: torch.randn(tensor.shape) for name, tensor in tensors.items()}
    with safetensors.safe_open(girl_run / LORA_FILE, framework="pt") as file:
        safetensors.torch.save_file(tensors, folder / LORA_FILE, file.metadata())
    return folder


def test_an_adapter_of_diffusers_or_peft_loads_without_our_settings_and_does_the_same(base, strong, tmp_path):
    bare = predicted(base)
    load_adapter(base, strong)
    theirs = predicted(base)
    peft = tmp_path / "peft"
    peft.mkdir()
    tensors = safetensors.torch.load_file(strong / LORA_FILE)
    renamed = {name.replace("unet.", "base_model.model.", 1): tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(renamed, peft / PEFT_FILE)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "base_model_name_or_path": "me/base"}
    (peft / PEFT_CONFIG).write_text(json.dumps(config))
    adapter = load_adapter(base, peft)
    assert not adapter.full and (settings_of(strong), settings_of(peft)) == ({}, {"base": "me/base"})
    torch.testing.assert_close(predicted(base), theirs)
    set_scale(base, [adapter], 0.0)
    torch.testing.assert_close(predicted(base), bare)
    assert (theirs - bare).norm() > 0.01 * bare.norm()


def test_an_adapter_names_no_folder_here_as_its_base(strong, tmp_path):
    shutil.copy(strong / LORA_FILE, tmp_path / PEFT_FILE)
    for name in (str(tmp_path), "../x", None, 3):
        (tmp_path / PEFT_CONFIG).write_text(json.dumps({"base_model_name_or_path": name}))
        assert settings_of(tmp_path) == {}


def extra(tensors: dict) -> dict:
    name = min(tensors)
    return tensors | {name.replace(name.split(".")[1], "other_blocks"): tensors[name].clone()}


def without(ending: str):
    def change(tensors: dict) -> dict:
        dropped = min(name for name in tensors if name.endswith(ending))
        return {name: tensor for name, tensor in tensors.items() if name != dropped}

    return change


PARTIAL = {
    "a layer more": (extra, "fits the base .* only in part: of its .* such as unet.other_blocks"),
    "half of a layer": (without("lora_B.weight"), "only in part: .* and lacks unet"),
    "a second text encoder": (
        lambda t: t | {"text_encoder_9.layer.lora_A.weight": torch.ones(4, 8)}, "such as text_encoder_9"
    ),
    "other widths": (lambda t: {n: torch.ones(3, 3) for n in t}, "does not fit the base"),
    "no layer at all": (lambda t: {"x": torch.ones(1)}, "does not fit the base"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PARTIAL)
def test_an_adapter_that_fits_in_part_is_refused_and_the_base_stays_bare(base, strong, kind):
    change, sentence = PARTIAL[kind]
    bare = predicted(base)
    tensors = safetensors.torch.load_file(strong / LORA_FILE)
    safetensors.torch.save_file(change(tensors), strong / LORA_FILE, {"format": "pt"})
    with pytest.raises(UserError, match=sentence):
        load_adapter(base, strong)
    assert torch.equal(predicted(base), bare)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"<html>", b"\x10\0\0\0\0\0\0\0{"])
def test_a_damaged_adapter_is_one_sentence_and_never_tried_as_a_pickle(base, strong, content):
    (strong / LORA_FILE).write_bytes(content)
    with pytest.raises(UserError, match="is damaged or not a safetensors file"):
        load_adapter(base, strong)


@pytest.mark.parametrize("config", ["", "[]", '{"r": 4}', '{"r": "4", "lora_alpha": 4}', '{"r": 0, "lora_alpha": 4}'])
def test_a_damaged_configuration_of_peft_is_one_sentence(base, strong, config):
    shutil.move(strong / LORA_FILE, strong / PEFT_FILE)
    (strong / PEFT_CONFIG).write_text(config)
    with pytest.raises(UserError, match="adapter_config.json"):
        load_adapter(base, strong)


METADATA = {
    "no JSON": lambda config: "{broken",
    "a list": lambda config: "[1]",
    "nothing": lambda config: "{}",
    "a rank left out": lambda config: json.dumps({name: config[name] for name in config if name != "unet.r"}),
    "nested too deep": lambda config: "[" * 100_000,
    "a rank in words": lambda config: json.dumps(config | {"unet.r": "many"}),
    "a rank of 0": lambda config: json.dumps(config | {"unet.r": 0}),
    "an alpha that is infinite": lambda config: json.dumps(config | {"unet.lora_alpha": float("inf")}),
    "modules that are a number": lambda config: json.dumps(config | {"unet.target_modules": 5}),
    "a setting of another program": lambda config: json.dumps(config | {"unet.hook": "os.system"}),
    "dropout in words": lambda config: json.dumps(config | {"unet.lora_dropout": "much"}),
}


@pytest.mark.parametrize("kind", METADATA)
def test_damaged_metadata_are_named_and_not_the_base_blamed(base, strong, kind):
    path = strong / LORA_FILE
    with safetensors.safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["lora_adapter_metadata"])
    tensors, bare = safetensors.torch.load_file(path), predicted(base)
    metadata = {"format": "pt", "lora_adapter_metadata": METADATA[kind](config)}
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(UserError, match=r"The metadata of the adapter .* are damaged or of another program \("):
        load_adapter(base, strong)
    assert torch.equal(predicted(base), bare)
