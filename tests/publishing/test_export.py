"""An exported adapter has kohya's names and does what the run's own does."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import safetensors
import torch

from comics_genai.bases.adapters import load_adapter
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.files import safetensors_bytes
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.publishing.export import export, kohya_tensors, stability_name

# What the header of an export says.
EXPORTED = {f"ss_{name}": "x" for name in ("base_model_version", "network_alpha", "network_dim", "network_module")}


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    for i in range(2):
        PIL.Image.fromarray(np.full((64, 64, 3), 60 + 90 * i, np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def settings(drawings, tiny_sdxl) -> FinetuneSettings:
    return FinetuneSettings(
        drawings=str(drawings), base=str(tiny_sdxl), steps=3, batch_size=2, rank=4, alpha=8, learning_rate=2e-1,
        variants=1, warmup_steps=0, lora_targets="all",
    )  # fmt: skip


# As they stand in SDXL files of kohya's scripts: attention begins at input block 4 and ends at output block 5.
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("down_blocks.1.attentions.0.proj_in", "input_blocks.4.1.proj_in"),
        ("down_blocks.2.attentions.1.transformer_blocks.9.norm1", "input_blocks.8.1.transformer_blocks.9.norm1"),
        ("mid_block.attentions.0.transformer_blocks.0.ff.net.2", "middle_block.1.transformer_blocks.0.ff.net.2"),
        ("mid_block.resnets.1.conv2", "middle_block.2.out_layers.3"),
        ("up_blocks.0.attentions.2.transformer_blocks.0.norm1", "output_blocks.2.1.transformer_blocks.0.norm1"),
        ("up_blocks.1.attentions.2.proj_out", "output_blocks.5.1.proj_out"),
        ("down_blocks.0.resnets.1.time_emb_proj", "input_blocks.2.0.emb_layers.1"),
        ("up_blocks.2.resnets.0.conv_shortcut", "output_blocks.6.0.skip_connection"),
    ],
)  # fmt: skip
def test_modules_are_named_as_in_stabilitys_code(module, name):
    assert stability_name(module, layers_per_block=2) == name


def test_a_module_without_a_name_is_refused():
    with pytest.raises(UserError, match="changes time_embedding.linear_1, for which"):
        stability_name("time_embedding.linear_1", 2)
    for key in ("vae.q_proj.lora_A.weight", "unet.to_q.lora_magnitude_vector"):
        with pytest.raises(UserError, match=f"holds {key}, which is not a low-rank layer"):
            kohya_tensors({key: torch.zeros(1)}, 1.0, 2)


@pytest.mark.parametrize(
    ("kind", "prefixes"), [("sdxl", ["lora_te1", "lora_te2", "lora_unet"]), ("sd", ["lora_te", "lora_unet"])]
)
@pytest.mark.parametrize("texts", [False, True])
def test_the_file_does_what_the_runs_adapter_does(settings, tiny_sd, kind, prefixes, texts, tmp_path):
    settings = replace(settings, train_text_encoders=texts)
    if kind == "sd":
        settings = replace(settings, base=str(tiny_sd))
    run = tmp_path / "my_girl"
    finetune(settings, run)
    file = export(run)
    assert file == run / "my_girl.safetensors"
    with safetensors.safe_open(file, framework="pt") as opened:
        names, metadata = list(opened.keys()), opened.metadata()
        alphas = {float(opened.get_tensor(name)) for name in names if name.endswith(".alpha")}
    assert alphas == {8.0} and metadata["ss_network_dim"] == "4"
    assert sorted({"_".join(name.split("_")[:2]) for name in names}) == (prefixes if texts else ["lora_unet"])
    assert all("_text_model_encoder_layers_" in name for name in names if name.startswith("lora_te"))
    assert any("_input_blocks_" in name for name in names) == (kind == "sdxl")
    base = Base.load(settings.base)
    ids = base.time_ids(32, 32)
    noise = torch.randn(3, base.latent_channels, 8, 8, generator=torch.Generator().manual_seed(1))

    def predicted() -> torch.Tensor:
        times, prompt = torch.tensor([50, 400, 900]), base.encode_prompts(["a girl, jumping"])
        with torch.no_grad():
            return base.predict(noise, times, prompt[[0, 0, 0]], ids if ids is None else ids.expand(3, -1))

    bare = predicted()
    load_adapter(base, run)
    own = predicted()
    base.pipeline.unload_lora_weights()
    assert torch.equal(predicted(), bare)
    base.pipeline.load_lora_weights(file.parent, weight_name=file.name)
    assert (predicted() - own).norm() < 0.02 * (own - bare).norm()


def test_a_file_that_does_something_else_is_not_kept(settings, tmp_path, monkeypatch):
    run = tmp_path / "run"
    finetune(settings, run)
    record = json.loads((run / "settings.json").read_text())
    record["finetune"]["alpha"] = 800.0
    (run / "settings.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="does not do what that of"):
        export(run)
    assert not (run / "run.safetensors").exists()
    earlier = safetensors_bytes({"x": torch.ones(1)}, EXPORTED)
    (tmp_path / "earlier.safetensors").write_bytes(earlier)
    with pytest.raises(UserError, match="does not do what that of"):
        export(run, tmp_path / "earlier.safetensors")
    assert (tmp_path / "earlier.safetensors").read_bytes() == earlier
    assert not list(tmp_path.glob(".export.*"))


def test_a_target_of_the_runs_own_is_refused_and_a_suffix_that_lacks_is_added(settings, tmp_path):
    run = tmp_path / "run"
    finetune(settings, run)
    before = {path: path.read_bytes() for path in run.rglob("*.safetensors")}
    own = ["pytorch_lora_weights.safetensors", "pytorch_lora_weights", "weights", "best/x", "checkpoints/x.safetensors"]
    for name in own:
        with pytest.raises(UserError, match="is a file of the run itself, which the export would replace"):
            export(run, run / name)
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("folder", "folder.safetensors", "run"):
        with pytest.raises(UserError, match="is a folder: give a file with --target"):
            export(run, tmp_path / name)
    assert {path: path.read_bytes() for path in run.rglob("*.safetensors")} == before
    assert export(run, tmp_path / "v1.2") == tmp_path / "v1.2.safetensors"
    assert export(run, tmp_path / "again").read_bytes() == (tmp_path / "v1.2.safetensors").read_bytes()


def test_a_file_that_no_export_wrote_stays_the_bases_own_above_all(settings, tmp_path):
    run, base = tmp_path / "run", Path(shutil.copytree(settings.base, tmp_path / "base"))
    finetune(replace(settings, base=str(base)), run)
    torch_file = safetensors_bytes({"x": torch.ones(1)}, {"format": "pt"})
    kohyas = safetensors_bytes({"x": torch.ones(1)}, EXPORTED | {"ss_session_id": "1"})
    for name, content in {"a": b"mine", "b": torch_file, "c": kohyas, "d": b""}.items():
        (tmp_path / f"{name}.safetensors").write_bytes(content)
        with pytest.raises(UserError, match="is there already and no adapter that `export` wrote"):
            export(run, tmp_path / name)
        assert (tmp_path / f"{name}.safetensors").read_bytes() == content
    weights = next((base / "unet").glob("*.safetensors"))
    before = weights.read_bytes()
    with pytest.raises(UserError, match="is there already and no adapter"):
        export(run, weights)
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"base": 5}, "base is 5, but must be a text"), ({"identifier": None}, "identifier is None, but must be a"),
     ({"alpha": "x"}, "alpha is .x., but must be a number"), ({"learn_token": "no"}, "learn_token is 'no', but"),
     ({"method": "dance"}, "method is 'dance', but must be one of"), ({"hook": 1}, "damaged, or of another version")],
)  # fmt: skip
def test_settings_of_another_type_are_one_sentence(girl_run, tmp_path, values, sentence):
    run = Path(shutil.copytree(girl_run, tmp_path / "run"))
    record = json.loads((run / "settings.json").read_text())
    record["finetune"] |= values
    (run / "settings.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=sentence):
        export(run)


def test_what_is_no_adapter_is_one_sentence(settings, tmp_path):
    with pytest.raises(UserError, match="not the folder of a fine-tuning"):
        export(tmp_path)


@pytest.mark.parametrize("texts", [False, True])
def test_full_weights_become_a_pipeline_with_the_token_that_diffusers_loads(settings, texts, legacy_sdxl, tmp_path):
    settings = replace(settings, base=str(legacy_sdxl))
    settings = replace(settings, method="dreambooth", learning_rate=1e-2, learn_token=texts, train_text_encoders=texts)
    finetune(settings, tmp_path / "run")
    folder = export(tmp_path / "run")
    assert folder == tmp_path / "run" / "pipeline" and "transformers 5.6" in (folder / "README.md").read_text()
    assert not list(folder.rglob("*.bin")) and not list(tmp_path.glob("run/.pipeline*"))
    base, alone = Base.load(settings.base), Base.load(folder)
    load_adapter(base, tmp_path / "run")
    tuned = base.unet.state_dict()
    assert alone.learned_token is None and all(torch.equal(tuned[k], v) for k, v in alone.unet.state_dict().items())
    prompts = ["a drawing of UnicornGirl, a girl", "unicorngirl's girl, smiling"]
    assert torch.equal(alone.encode_prompts(prompts).hidden, base.encode_prompts(prompts).hidden)
    assert torch.equal(alone.encode_prompts(prompts).pooled, base.encode_prompts(prompts).pooled)
    assert (len(alone.pipeline.tokenizer("UnicornGirl").input_ids) == 3) == texts
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="other holds something else than an exported pipeline"):
        export(tmp_path / "run", tmp_path / "other")
    assert export(tmp_path / "run") == folder  # again is no mistake
