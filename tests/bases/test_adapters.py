"""Full weights are mixed as the formula says, adapters add up, and what is not drawn with has no effect."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from comics_genai.bases.adapters import load_adapter, load_adapters, set_scale, weights_of
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.files import load_tensors
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling, generate

PROMPT = "a drawing of UnicornGirl, a girl, jumping"
FAST = Sampling(steps=2)


@pytest.fixture(scope="module")
def runs(character_folder, tiny_sdxl, tmp_path_factory):
    """Two fine-tunings of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    settings = FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), steps=2, batch_size=2, rank=4, variants=1, warmup_steps=0
    )
    for name, method in {"full": "dreambooth", "lora": "lora", "dreambooth_lora": "dreambooth-lora"}.items():
        finetune(replace(settings, method=method, learning_rate=5e-2), folder / name)
    finetune(replace(settings, method="dreambooth", learning_rate=1e-2, seed=1), folder / "full_2")
    return folder


@pytest.fixture
def base(tiny_sdxl) -> Base:
    return Base.load(tiny_sdxl)


def weights(base: Base) -> dict[str, torch.Tensor]:
    return {name: p.clone() for name, p in base.unet.named_parameters()}


def test_full_weights_are_interpolated_and_extrapolated(runs, base):
    original, digest = weights(base), base.digest()
    adapter = load_adapter(base, runs / "full")
    tuned, _ = load_tensors(weights_of(runs / "full"))
    assert adapter.full and base.digest() == digest
    assert all(torch.equal(p, tuned[name]) for name, p in weights(base).items())
    for scale in (0.0, 0.25, 1.25):
        set_scale(base, [adapter], scale)
        for name, p in weights(base).items():
            torch.testing.assert_close(p, original[name] + scale * (tuned[name] - original[name]))
    set_scale(base, [adapter], 0.0)
    assert all(torch.equal(p, original[name]) for name, p in weights(base).items())


def test_several_full_weights_add_up_as_task_vectors(runs, base):
    original = weights(base)
    first, second = load_adapters(base, [runs / "full", runs / "full_2"])
    tuned = [load_tensors(weights_of(runs / name))[0] for name in ("full", "full_2")]
    set_scale(base, [replace(first, weight=0.5), replace(second, weight=0.25)], 2.0)
    for name, p in weights(base).items():
        expected = original[name] + (tuned[0][name] - original[name]) + 0.5 * (tuned[1][name] - original[name])
        torch.testing.assert_close(p, expected)
    load_adapters(base, [])
    assert all(torch.equal(p, original[name]) for name, p in weights(base).items())


@pytest.mark.parametrize("names", [("full", "full_2"), ("lora", "dreambooth_lora")])
def test_what_is_loaded_but_not_drawn_with_has_no_effect(runs, base, tmp_path, names):
    def drawn(place, adapter=None, sampling=FAST):
        return generate(base, [PROMPT], [0], tmp_path / place, sampling, adapter)[0]

    bare = drawn("bare")
    load_adapter(base, runs / names[0])
    alone = drawn("alone", base.adapters)
    first, second = load_adapters(base, [runs / name for name in names])
    both = drawn("both", [first, replace(second, weight=0.5)], Sampling(steps=2, adapter_scale=0.5))
    assert drawn("bare again").path.read_bytes() == bare.path.read_bytes()
    assert drawn("alone again", first).path.read_bytes() == alone.path.read_bytes()
    pixels = [np.asarray(picture.image) for picture in (bare, alone, both)]
    assert all((pixels[i] != pixels[j]).any() for i, j in ((0, 1), (0, 2), (1, 2)))
    assert both.record["adapter"] == list(names) and both.record["adapter_scale"] == [0.5, 0.25]
    assert both.record["adapter_digest"] == [first.digest, second.digest]
    assert alone.record["adapter"] == names[0] and alone.record["base_digest"] == bare.record["base_digest"]


def test_runs_that_do_not_go_together_are_one_sentence(runs, base, tiny_sd, tmp_path):
    with pytest.raises(UserError, match="lora, .*full hold adapters and full weights, which cannot be mixed"):
        load_adapters(base, [runs / "lora", runs / "full"])
    loaded = load_adapter(base, runs / "lora")
    load_adapter(base, runs / "full")
    with pytest.raises(UserError, match="lora is not loaded into this base"):
        generate(base, [PROMPT], [0], tmp_path, FAST, loaded)


def test_weights_of_another_model_leave_the_base_as_it_was(runs, tiny_sd):
    other = Base.load(tiny_sd)
    original = weights(other)
    with pytest.raises(UserError, match="belongs to another model"):
        load_adapter(other, runs / "full")
    assert all(torch.equal(p, original[name]) for name, p in weights(other).items())
    assert other.adapters == ()


def of_other_content(base: Path, target: Path) -> Path:
    shutil.copytree(base, target)
    for path in target.glob("unet/*.safetensors"):
        tensors = safetensors.torch.load_file(path)
        safetensors.torch.save_file({name: tensor * 1.05 for name, tensor in tensors.items()}, path)
    return target


def of_a_run(run: Path, target: Path, **values) -> Path:
    """A copy of the run whose record says these things beside."""
    shutil.copytree(run, target)
    record = json.loads((target / "settings.json").read_text())
    (target / "settings.json").write_text(json.dumps(record | values))
    return target


@pytest.mark.parametrize("name", ["lora", "full"])
def test_a_base_that_has_changed_since_the_training_is_told(runs, tiny_sdxl, tmp_path, name, recwarn):
    changed = Base.load(of_other_content(tiny_sdxl, tmp_path / "base"))
    before = Base.load(tiny_sdxl).digest()
    load_adapter(changed, runs / name)
    assert [str(one.message) for one in recwarn] == [
        f"The run {runs / name} was trained on a base whose content was '{before}', and that of {changed.name} is "
        f"'{changed.digest()}': its pictures may not show the character, so restore that base or train anew."
    ]


@pytest.mark.parametrize("digest", [None, 3, ["x"], "its own"])
def test_a_run_of_this_base_and_one_that_does_not_say_are_loaded_without_a_word(runs, base, tmp_path, digest, recwarn):
    said = base.digest() if digest == "its own" else digest
    load_adapter(base, of_a_run(runs / "lora", tmp_path / "run", base_digest=said))
    assert not list(recwarn)


def test_other_files_of_the_hubs_same_weights_are_no_change(runs, base, tmp_path, recwarn):
    settings = json.loads((runs / "lora" / "settings.json").read_text())["finetune"]
    run = of_a_run(runs / "lora", tmp_path / "run", base_digest="of fp16", finetune=settings | {"precision": "fp16"})
    base.name = "me/base"
    load_adapter(base, run)
    assert not list(recwarn)
    base.precision = "fp16"
    load_adapter(base, run)
    assert len(recwarn) == 1
