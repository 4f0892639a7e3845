"""Pretraining end to end with tiny numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from comics_genai import pretrain
from comics_genai.errors import UserError
from comics_genai.pretrain import (
    assemble,
)


def dtypes(file):
    """Of the tensors in a safetensors file, from its header."""
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return [entry["dtype"] for name, entry in header.items() if name != "__metadata__"]


def test_every_stage_leaves_its_result_and_the_base_loads_unchanged(smoke):
    pipeline = StableDiffusionXLPipeline.from_pretrained(smoke.base)
    assert pipeline.config.force_zeros_for_empty_prompt is False and pipeline.watermark is None
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline("a drawing of UnicornGirl", num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 128, 128, 3) and np.isfinite(drawn).all()
    assert pipeline.vae.config.latent_channels == 9 + 17 and pipeline.unet.config.sample_size == 16
    weights = list(smoke.base.rglob("*.safetensors"))
    folders = {"vae", "text_encoder", "text_encoder_2", "unet", "image_tower", "attribute_reader"}
    assert {file.parent.name for file in weights} == folders
    assert all(dtype == "F16" for file in weights for dtype in dtypes(file) if not dtype.startswith("I"))
    half = StableDiffusionXLPipeline.from_pretrained(smoke.base, dtype=torch.float16)
    for part, same in ((pipeline.unet, half.unet), (pipeline.text_encoder_2, half.text_encoder_2)):
        assert (part.dtype, same.dtype) == (torch.float32, torch.float16)
    assert pipeline.vae_scale_factor == 8


def test_finished_stages_are_skipped_and_say_so(smoke, capsys):
    before = {f: f.stat().st_mtime_ns for f in smoke.folder.rglob("*.safetensors")}
    assert pretrain.pretrain(replace(smoke, stages=pretrain.STAGES[:-2]))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 7 and all("finished before" in line for line in said)
    assert before == {f: f.stat().st_mtime_ns for f in smoke.folder.rglob("*.safetensors")}


def test_a_stage_whose_needs_are_not_met_says_which_to_run(tmp_path):
    settings = replace(pretrain.PRESETS["smoke"], folder=tmp_path, stages=("unet",))
    with pytest.raises(UserError, match="The stage unet needs the stage dataset.*`python -m comics_genai pretrain dat"):
        pretrain.pretrain(settings)
    with pytest.raises(UserError, match="The stage tokenizer was not trained"):
        assemble.assemble(tmp_path, tmp_path / "base")


def test_the_command_line_overrides_any_number_of_a_preset(monkeypatch):
    given = []
    monkeypatch.setattr("comics_genai.pretrain.stages.pretrain", given.append)
    pretrain.main(["vae", "clip", "--preset", "smoke", "--vae.loop.steps", "7", "--minutes", "2"])
    pretrain.main([])
    assert given[0].stages == ("vae", "clip") and given[0].minutes == 2
    assert given[0].vae == replace(
        pretrain.PRESETS["smoke"].vae, loop=replace(pretrain.PRESETS["smoke"].vae.loop, steps=7)
    )
    assert given[1] == pretrain.PRESETS["cpu2"] and given[1].stages == ("all",)


def test_the_readers_earlier_name_is_refused_with_the_new_one():
    with pytest.raises(UserError, match="^The stage scorer is called reader now: write reader.$"):
        pretrain.main(["vae", "scorer", "--preset", "smoke"])
    with pytest.raises(UserError, match="^The option --scorer.batch-size is called --reader.batch-size now"):
        pretrain.main(["reader", "--scorer.batch_size", "8"])
