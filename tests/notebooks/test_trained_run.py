"""A run that is not there is trained once."""

from comics_genai import environment
from comics_genai.bases.adapters import run_settings
from comics_genai.notebooks.trained_run import finished_run


def test_a_run_is_trained_once_and_then_taken(girl, tiny_sdxl, tmp_path, monkeypatch, capsys):
    (tmp_path / "1_data").symlink_to(environment.data())
    monkeypatch.setattr("comics_genai.environment.root", lambda: tmp_path)
    changes = {"drawings": str(girl), "base": str(tiny_sdxl)}
    changes |= {"steps": 1, "batch_size": 2, "variants": 1, "warmup_steps": 0}
    folder = finished_run("girl", "lora", **changes)
    assert "was not there, so it was trained by lora" in capsys.readouterr().out
    assert run_settings(folder)["steps"] == 1 and run_settings(folder)["method"] == "lora"
    assert len(run_settings(folder)["validation_prompts"]) == 8
    assert finished_run("girl", "lora") == folder and "holds a finished run" in capsys.readouterr().out
    assert finished_run("someone/hers", "lora") == "someone/hers"
