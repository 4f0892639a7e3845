"""Settings of runs: by the names that earlier versions gave them, too."""

import json
import shutil

import pytest

from comics_genai.bases.adapters import load_adapter
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings, renamed
from comics_genai.finetuning.train import finetune
from comics_genai.publishing.export import export
from comics_genai.sampling.generate import Sampling, generate, renamed_sampling


def test_an_earlier_strength_is_the_adapter_scale_and_t0_is_forgotten():
    sampling = {"steps": 2, "strength": 0.5, "t0": 1.0}
    new = {"steps": 2, "adapter_scale": 0.5, "strength": None}
    assert renamed_sampling(sampling) == new and renamed_sampling(new) == new
    assert renamed_sampling(new | {"strength": 0.7})["strength"] == 0.7
    assert renamed({"loop": {}}) == {"loop": {}}
    assert renamed({"finetune": {"judge_clip": "a", "judge_dino": "b"}}) == {
        "finetune": {"validation_clip": "a", "validation_dino": "b"}
    }
    assert renamed({"finetune": {"sampling": sampling}}) == {"finetune": {"sampling": new}}


def test_the_settings_of_a_run_come_back_as_they_were(girl_run):
    record = json.loads((girl_run / "settings.json").read_text())["finetune"]
    settings = FinetuneSettings.of_run(record)
    assert settings.steps == 2 and settings.rank == 4 and settings.sampling == Sampling()
    assert settings.timesteps == (0.0, 1.0) and settings.left_out == ()


@pytest.fixture
def older_run(girl_run, tmp_path):
    """The finished run with the settings.json of an earlier version."""
    folder = shutil.copytree(girl_run, tmp_path / "girl")
    record = json.loads((folder / "settings.json").read_text())
    sampling = record["finetune"]["sampling"]
    sampling["strength"], sampling["t0"] = sampling.pop("adapter_scale"), 1.0
    for network in ("clip", "dino"):
        record["finetune"][f"judge_{network}"] = record["finetune"].pop(f"validation_{network}")
    (folder / "settings.json").write_text(json.dumps(record))
    return folder


def test_an_earlier_run_is_taken_for_finished_draws_and_exports(older_run, girl_run, tmp_path):
    settings = FinetuneSettings.of_run(json.loads((older_run / "settings.json").read_text())["finetune"])
    assert "was finished before" in finetune(settings, older_run).message
    sampling = json.loads((older_run / "settings.json").read_text())["finetune"]["sampling"]
    assert sampling["adapter_scale"] == 1.0 and sampling["strength"] is None and "t0" not in sampling
    base = Base.load(settings.base)
    picture = generate(base, ["a girl"], [0], tmp_path / "out", Sampling(steps=1), load_adapter(base, older_run))[0]
    assert picture.record["adapter_scale"] == 1.0 and picture.record["adapter"] == "girl"
    assert export(older_run, tmp_path / "adapter.safetensors").is_file()


def test_an_earlier_unfinished_run_goes_on(older_run, girl_run):
    settings = FinetuneSettings.of_run(json.loads((older_run / "settings.json").read_text())["finetune"])
    for path in older_run.glob("*.safetensors"):
        path.unlink()
    assert finetune(settings, older_run).finished
    for name in ("weights.safetensors",):
        assert (older_run / name).read_bytes() == (girl_run / name).read_bytes()


def test_a_value_out_of_its_range_is_refused_by_name():
    with pytest.raises(UserError, match="rank is 0, but must be a whole number from 1 to 1,024"):
        FinetuneSettings(rank=0)
    with pytest.raises(UserError, match="timesteps is"):
        FinetuneSettings(timesteps=(0.5, 0.5))


@pytest.mark.parametrize(("name", "value"), [("seed", 0.0), ("rank", 2.0), ("steps", "2"), ("learning_rate", "1e-4")])
def test_a_number_that_other_programs_write_in_another_way_is_named_with_its_place(name, value):
    with pytest.raises(UserError, match=f"In the run's settings: {name} is .*, but must be a "):
        FinetuneSettings.of_run({name: value})
