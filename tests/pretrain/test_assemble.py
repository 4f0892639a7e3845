"""A base from stages, and back."""

import json
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from comics_genai import pretrain
from comics_genai.errors import UserError
from comics_genai.files import load_tensors
from comics_genai.pretrain import (
    assemble,
    clip,
    tokenizer,
    unet,
    vae,
)


def test_assembling_again_keeps_the_card_and_refuses_what_a_repository_cannot_carry(smoke, tmp_path, monkeypatch):
    base = assemble.assemble(smoke.folder, tmp_path / "base")
    (base / "README.md").write_text("# card")
    assert (assemble.assemble(smoke.folder, base) / "README.md").read_text() == "# card"
    monkeypatch.setattr(assemble, "LARGEST_FILE", 1000)
    with pytest.raises(UserError, match="choose narrower widths"):
        assemble.assemble(smoke.folder, base)
    assert (base / "model_index.json").exists() and (base / "README.md").exists()


def test_a_training_goes_on_from_a_base(smoke, tmp_path):
    slow = replace(smoke.unet, loop=replace(smoke.unet.loop, learning_rate=1e-9))
    settings = replace(
        smoke, start=smoke.base, folder=tmp_path / "stages", stages=("dataset", "clip", "unet"), unet=slow
    )
    assert pretrain.pretrain(settings)
    before, after = (tokenizer.load(folder / "tokenizer") for folder in (smoke.folder, settings.folder))
    assert before.get_vocab() == after.get_vocab()
    parts = []
    for folder in (smoke.folder, settings.folder):
        kept, encoders = vae.load(folder / "vae"), clip.load(folder / "clip", before)
        trained = unet.load(folder / "unet", kept, encoders)
        parts.append([kept.encoder, encoders.text_encoder, encoders.text_encoder_2, trained])
    for one, same in zip(*parts, strict=True):
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(same.state_dict()[name].float(), tensor.float(), atol=1e-3, rtol=1e-3)
    again = assemble.assemble(settings.folder, tmp_path / "base")
    assert (again / "attribute_reader" / "model.safetensors").exists()
    assert all((again / "pretraining" / stage / "log.jsonl").exists() for stage in ("attribute_reader", "vae"))
    whole = [json.loads(line) for line in (again / "pretraining" / "unet" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in whole] == [2, 4, 6, 8]  # both trainings, one after the other
    assert whole == sorted(whole, key=lambda row: row["seconds"])
    with pytest.raises(UserError, match="is not a base that"):
        pretrain.pretrain(replace(settings, start=tmp_path))


def test_the_base_has_the_decoder_that_was_trained_last_and_the_encoder_of_before(smoke):
    first = vae.load(smoke.folder / "vae")
    with torch.no_grad():
        shipped = StableDiffusionXLPipeline.from_pretrained(smoke.base).vae
    for name, tensor in shipped.state_dict().items():
        same = torch.equal(tensor, first.state_dict()[name].half().float())
        assert same or name.startswith("decoder.")
    decoder = load_tensors(smoke.folder / "decoder" / "ema.safetensors")[0]
    assert all(name.startswith("decoder.") for name in decoder)
    assert all(torch.equal(shipped.state_dict()[name], tensor.half().float()) for name, tensor in decoder.items())
    assert any(not torch.equal(first.state_dict()[name], tensor) for name, tensor in decoder.items())
