"""A base loads whole, in whatever variant it is there, or is refused with the part that is wrong."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from comics_genai.bases.base import Base
from comics_genai.errors import UserError


@pytest.fixture
def folder(tiny_sdxl, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_sdxl, tmp_path / "base"))


def write(name: str, content: str):
    return lambda folder: (folder / name).write_text(content)


def edit(name: str, **values):
    return lambda folder: (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | values))


MALFORMED = {
    "an index that is a list": write("model_index.json", "[]"),
    "an empty index": write("model_index.json", ""),
    "an index without a class": write("model_index.json", "{}"),
    "a configuration that is a list": write("unet/config.json", "[]"),
    "an empty configuration": write("vae/config.json", ""),
    "widths that are words": edit("unet/config.json", block_out_channels=["a", "b"]),
    "a block of another library": edit("unet/config.json", down_block_types=["MyBlock", "MyBlock"]),
    "no size": edit("unet/config.json", sample_size=None),
    "a size that is a word": edit("unet/config.json", sample_size="large"),
    "a size of nothing": edit("unet/config.json", sample_size=0),
    "a scale of nothing": edit("vae/config.json", scaling_factor=0),
    "a scale that is no number": edit("vae/config.json", scaling_factor=float("nan")),
    "a scale that is a word": edit("vae/config.json", scaling_factor="x"),
    "a prediction that nobody knows": edit("scheduler/scheduler_config.json", prediction_type="magic"),
    "channels that are a word": edit("vae/config.json", latent_channels="4"),
    "other widths than its weights": edit("unet/config.json", cross_attention_dim=48),
    "a text encoder of other widths": edit("text_encoder/config.json", hidden_size=32),
    "no tokenizer": lambda folder: shutil.rmtree(folder / "tokenizer"),
    "a tokenizer without its words": lambda folder: [path.unlink() for path in (folder / "tokenizer").glob("[mtv]*.*")],
    "no VAE": lambda folder: shutil.rmtree(folder / "vae"),
    "a schedule that is none": edit("scheduler/scheduler_config.json", beta_schedule="steep"),
    "weights that are a web page": write("unet/diffusion_pytorch_model.safetensors", "<html>404</html>"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_base_is_one_sentence(folder, kind):
    MALFORMED[kind](folder)
    with pytest.raises(UserError, match="base") as caught:
        Base.load(folder)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_limit_has_its_text_encoders(folder):
    edit("tokenizer/tokenizer_config.json", model_max_length=10**30)(folder)
    base = Base.load(folder)
    with pytest.warns(UserWarning, match="tokens and this base reads 77"):
        assert base.encode_prompts(["smiling " * 200]).hidden.shape[1] == 77


@pytest.mark.parametrize(
    "name",
    ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model"],
)
def test_a_base_that_lacks_tensors_is_refused_with_part_and_tensor(folder, name):
    path = folder / f"{name}.safetensors"
    tensors = safetensors.torch.load_file(path)
    dropped = sorted(tensors)[-3:]
    safetensors.torch.save_file({n: t for n, t in tensors.items() if n not in dropped}, path, {"format": "pt"})
    with pytest.raises(UserError) as caught:
        Base.load(folder)
    assert name.partition("/")[0] in str(caught.value)


def test_a_folder_with_the_half_size_files_alone_loads(folder):
    whole = Base.load(folder)
    for path in [*folder.glob("*/*.safetensors")]:
        tensors = safetensors.torch.load_file(path)
        path.unlink()
        halved = {name: tensor.half() for name, tensor in tensors.items()}
        safetensors.torch.save_file(halved, path.with_suffix(".fp16.safetensors"), {"format": "pt"})
    half = Base.load(folder)
    assert half.unet.dtype == torch.float32 and half.digest() != whole.digest()
    for (name, own), tensor in zip(whole.unet.named_parameters(), half.unet.parameters(), strict=True):
        torch.testing.assert_close(tensor, own.half().float(), msg=name, rtol=0, atol=0)
    assert torch.isfinite(half.encode_prompts(["a girl"]).hidden).all()
