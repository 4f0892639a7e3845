"""A base's digest covers all that it is made of, and nothing that is not it."""

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch

from comics_genai.bases import contents
from comics_genai.bases.base import Base
from comics_genai.errors import UserError


@pytest.fixture
def folder(tiny_sdxl, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_sdxl, tmp_path / "base"))


def digest(folder: Path, variant: str | None = None) -> str:
    return contents.digest_of_files(contents.files_of(folder, variant))


def scale(path: Path, name: str) -> None:
    tensors = safetensors.torch.load_file(path)
    tensors[name] = tensors[name] * 1.05
    safetensors.torch.save_file(tensors, path, {"format": "pt"})


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def first_matrix(path: Path) -> str:
    return next(name for name, tensor in sorted(safetensors.torch.load_file(path).items()) if tensor.ndim > 1)


WEIGHTS = ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model"]


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_any_part_that_are_scaled_make_another_base(folder, name):
    before, path = digest(folder), folder / f"{name}.safetensors"
    scale(path, first_matrix(path))
    assert digest(folder) != before


CHANGES = {
    "the noise schedule": lambda folder: edit(folder / "scheduler/scheduler_config.json", beta_end=0.013),
    "a configuration": lambda folder: edit(folder / "vae/config.json", scaling_factor=2.0),
    "the words": lambda folder: edit(folder / "tokenizer/tokenizer_config.json", model_max_length=70),
    "what an empty prompt is": lambda folder: edit(folder / "model_index.json", force_zeros_for_empty_prompt=True),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_settings_of_any_part_make_another_base(folder, kind):
    before = digest(folder)
    CHANGES[kind](folder)
    assert digest(folder) != before


def test_what_is_beside_a_base_and_libraries_versions_do_not(folder):
    before = digest(folder)
    (folder / "README.md").write_text("hello")
    (folder / "attribute_reader").mkdir()
    (folder / "attribute_reader" / "model.safetensors").write_bytes(b"x")
    edit(folder / "unet/config.json", _diffusers_version="9.0", _name_or_path="elsewhere")
    assert digest(Path(shutil.move(folder, folder.parent / "moved"))) == before


def test_large_files_are_hashed_once_and_again_when_they_change(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(contents, "CACHED_FROM", 0)
    monkeypatch.setattr(contents, "_place", lambda: tmp_path / "digests.json")
    before = digest(folder)
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    state = path.stat()
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert digest(folder) == before  # of the same size and time, it was not read
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert digest(folder) != before
    (tmp_path / "digests.json").write_text("[]")
    path.write_bytes(content)
    assert digest(folder) == before


@pytest.mark.parametrize(
    ("names", "half", "variant"),
    [
        (["unet/diffusion_pytorch_model.safetensors"], True, None),
        (["unet/diffusion_pytorch_model.fp16.safetensors"], False, "fp16"),
        (["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"], False, None),
        (["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"], True, "fp16"),
        (["unet/diffusion_pytorch_model.bf16.safetensors"], False, "bf16"),
        (["unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors"], False, "fp16"),
        (["unet/diffusion_pytorch_model-00001-of-00002.safetensors", "vae/x.fp16.safetensors"], True, None),
        ([], True, None),
    ],
)
def test_the_variant_is_what_is_there(names, half, variant):
    assert contents.variant_of(names, half) == variant


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "..", "C:\\x", "a/b.safetensors", "", 3, None])
def test_an_index_of_weights_names_files_beside_it_alone(folder, name):
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": name}}))
    with pytest.raises(UserError, match="index.json names .* which is no file beside it: download it anew"):
        contents.files_of(folder, None)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', "{"])
def test_a_damaged_index_of_weights_is_a_sentence(folder, content):
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(content)
    with pytest.raises(UserError, match=r"index\.json (names|holds|is not)"):
        contents.files_of(folder, None)


PARTS = {
    "code in the folder": ("unet", ["my_unet", "Unet"]),
    "a module of Python": ("unet", ["os", "system"]),
    "no text, which is taken for none": ("unet", [["my_unet"], "Unet"]),
    "nothing and a class": ("unet", [None, "Unet"]),
    "one name": ("unet", ["diffusers"]),
    "code of a part that is not used": ("feature_extractor", ["my_unet", "Unet"]),
    "a part elsewhere": ("../unet", ["diffusers", "UNet2DConditionModel"]),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_base_brings_no_code_along(folder, kind):
    part, made_of = PARTS[kind]
    (folder / "unet" / "my_unet.py").write_text("raise SystemExit('run')")
    edit(folder / "model_index.json", **{part: made_of})
    with pytest.raises(UserError, match="only classes of diffusers and transformers are run here"):
        Base.load(folder)
