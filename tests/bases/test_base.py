"""One interface over SDXL-like and SD-like bases, and one sentence where there is none."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from comics_genai.bases.base import Base, Embeddings
from comics_genai.errors import UserError
from comics_genai.training import objective
from tests import original_layout
from tests.hub_server import serving


@pytest.fixture(params=["tiny_sdxl", "tiny_sd"])
def base(request) -> Base:
    return Base.load(request.getfixturevalue(request.param))


def test_everything_is_read_from_the_configuration(tiny_sdxl, tiny_sd):
    sdxl, sd = Base.load(tiny_sdxl), Base.load(tiny_sd)
    assert (sdxl.size, sdxl.downscale, sdxl.latent_channels) == (32, 4, 6)
    assert (sd.size, sd.downscale, sd.latent_channels) == (32, 4, 4)
    assert (sdxl.prediction_type, sd.prediction_type) == ("v_prediction", "epsilon")
    assert (sdxl.micro_conditioned, sd.micro_conditioned) == (True, False)
    assert objective.alpha_bar(sdxl.pipeline.scheduler)[-1] == 0


def test_uint8_and_float_pictures_give_the_same_scaled_latents(base):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 40, 3), dtype=np.uint8)
    latents = base.encode_images(pixels)
    assert latents.shape == (3, base.latent_channels, 8, 10) and latents.dtype == torch.float32
    as_float = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(base.encode_images(as_float), latents)
    encoded = base.vae.encode(as_float * 2 - 1)
    raw = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
    torch.testing.assert_close(latents, raw * base.vae.config.scaling_factor)


def test_decoding_undoes_scale_and_shift(base):
    raw = torch.randn(2, base.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ((base.vae.decode(raw).sample / 2 + 0.5).clamp(0, 1) * 255).round()
    pictures = base.decode(raw * base.vae.config.scaling_factor)
    assert pictures.shape == (2, 32, 32, 3) and pictures.dtype == np.uint8
    assert np.abs(pictures - expected.permute(0, 2, 3, 1).numpy()).max() <= 1


def test_pictures_that_do_not_fit_are_refused(base):
    with pytest.raises(UserError, match="30×32 px do not fit this base: use multiples of 4"):
        base.encode_images(np.zeros((1, 32, 30, 3), np.uint8))


def test_prompts_embed_as_the_pipeline_embeds_them(tiny_sdxl):
    base = Base.load(tiny_sdxl)
    pipeline = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl)
    embeddings = base.encode_prompts(["a girl", "a girl jumping"])
    hidden, _, pooled, _ = pipeline.encode_prompt(["a girl", "a girl jumping"], do_classifier_free_guidance=False)
    torch.testing.assert_close(embeddings.hidden, hidden)
    torch.testing.assert_close(embeddings.pooled, pooled)


def test_no_prompt_is_zeros_only_where_the_base_was_trained_so(tiny_sdxl):
    base = Base.load(tiny_sdxl)
    torch.testing.assert_close(base.unconditional().hidden, base.encode_prompts([""]).hidden)
    base.pipeline.register_to_config(force_zeros_for_empty_prompt=True)
    assert base.unconditional().hidden.abs().max() == 0 and base.unconditional().pooled.abs().max() == 0


def test_embeddings_join_and_index(base):
    first, second = base.encode_prompts(["a girl"]), base.encode_prompts(["smiling", "a meadow"])
    joined = Embeddings.cat([first, second])
    assert len(joined) == 3
    torch.testing.assert_close(joined[[2]].hidden, second[1:].hidden)
    assert (joined.pooled is None) == (not base.micro_conditioned)


def test_a_prompt_beyond_77_tokens_is_said(base):
    with pytest.warns(
        UserWarning, match="84 tokens and this base reads 77: 'girl girl girl girl girl girl girl' at its"
    ):
        base.encode_prompts(["girl " * 82])


def test_micro_conditioning_is_original_crop_target(tiny_sdxl, tiny_sd):
    ids = Base.load(tiny_sdxl).time_ids((30, 20), 32, crop=(1, 2), count=2)
    assert ids.tolist() == [[30, 20, 1, 2, 32, 32]] * 2
    assert Base.load(tiny_sd).time_ids(32, 32) is None


def test_prediction_depends_on_prompt_and_step(base):
    latents = torch.randn(2, base.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    embeddings, ids = base.encode_prompts(["a girl", "a girl"]), base.time_ids(32, 32, count=2)
    with torch.no_grad():
        prediction = base.predict(latents, torch.tensor([3, 900]), embeddings, ids)
        other = base.predict(latents, torch.tensor([3, 900]), base.encode_prompts(["smiling"] * 2), ids)
        later = base.predict(latents, torch.tensor([4, 900]), embeddings, ids)
    assert prediction.shape == latents.shape
    assert (prediction - other).abs().amax((1, 2, 3)).min() > 0
    assert (prediction - later).abs().amax((1, 2, 3)).tolist()[0] > 0
    torch.testing.assert_close(prediction[1], later[1])


def test_half_precision_is_the_unets_alone(tiny_sdxl):
    base = Base.load(tiny_sdxl, precision="bf16")
    assert base.unet.dtype == torch.bfloat16
    assert {base.vae.dtype, base.pipeline.text_encoder.dtype, base.pipeline.text_encoder_2.dtype} == {torch.float32}
    latents = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = Base.load(tiny_sdxl)
    arguments = (latents, torch.tensor([3, 900]), exact.encode_prompts(["a girl"] * 2), exact.time_ids(32, 32, count=2))
    with torch.no_grad():
        expected = exact.predict(*arguments)
        with base.autocast():
            prediction = base.predict(*arguments)
    assert prediction.dtype == torch.bfloat16
    torch.testing.assert_close(prediction.float(), expected, atol=0.05, rtol=0.05)


def test_the_digest_tells_bases_apart_wherever_they_lie(tiny_sdxl, tiny_sd, tmp_path):
    shutil.copytree(tiny_sdxl, tmp_path / "elsewhere")
    assert Base.load(tiny_sdxl).digest() == Base.load(tmp_path / "elsewhere").digest() != Base.load(tiny_sd).digest()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("minny", "There is no base 'minny': give mini, sd15, sdxl"),
        ("no/such/folder", "There is no base 'no/such/folder'"),
        ("gone.safetensors", "There is no base 'gone.safetensors'"),
    ],
)
def test_an_unknown_base_is_one_sentence(name, sentence):
    with pytest.raises(UserError, match=sentence):
        Base.load(name)


def test_a_hub_base_without_network_is_one_sentence(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="could not be loaded: .* or use the base mini"):
        Base.load("sdxl")


def test_a_folder_that_is_no_base_is_one_sentence(tmp_path, tiny_sd):
    with pytest.raises(UserError, match="has no model_index.json"):
        Base.load(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(UserError, match="is a FluxPipeline: only Stable Diffusion"):
        Base.load(tmp_path)
    torn = tmp_path / "torn"
    shutil.copytree(tiny_sd, torn)
    weights = torn / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="torn cannot be read: .+"):
        Base.load(torn)


def test_weights_that_could_run_code_are_refused(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match="model.ckpt is not a .safetensors file"):
        Base.load(tmp_path / "model.ckpt")


SINGLE_FILE = """
import sys
import torch
from comics_genai.bases.base import Base
one, folder = Base.load(sys.argv[1]), Base.load(sys.argv[2])
latents, pixels = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 32, 32)
with torch.no_grad():
    for base in (one, folder):
        prompt = base.encode_prompts(["a girl, smiling"])
        prediction = base.predict(latents, torch.tensor([500]), prompt, None)
        base.made = [prompt.hidden, prediction, base.encode_images(pixels)]
torch.testing.assert_close(one.made, folder.made)  # memory lies differently, and sums round differently
assert one.digest() != folder.digest() and one.prediction_type == folder.prediction_type and one.size == folder.size
half = Base.load(sys.argv[1], precision="bf16")
assert (half.unet.dtype, half.pipeline.text_encoder.dtype, half.vae.dtype) == (torch.bfloat16, *[torch.float32] * 2)
print("the same")
"""


def test_a_single_file_in_the_original_layout_is_the_same_base(tiny_sd, tmp_path):
    file = original_layout.write(StableDiffusionPipeline.from_pretrained(tiny_sd), tmp_path / "my model.safetensors")
    # Its configuration is that of SD 1.5 on the Hub, which here is the tiny one's.
    with serving(tiny_sd, "stable-diffusion-v1-5/stable-diffusion-v1-5", kind="models") as endpoint:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", SINGLE_FILE, str(file), str(tiny_sd)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "the same\n", done.stderr[-2000:]


def test_a_file_of_something_else_is_one_sentence(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "torn.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="torn.safetensors cannot be loaded as Stable Diffusion or SDXL"):
        Base.load(tmp_path / "torn.safetensors")
