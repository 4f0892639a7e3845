"""The command `finetune`: what the options, a preset or an earlier run decide before anything is trained."""

from dataclasses import asdict, replace

import pytest

from comics_genai import hardware
from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.finetuning import command, presets
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.run import claim


@pytest.mark.parametrize(("more", "precision"), [([], "fp16"), (["--precision", "fp32"], "fp32")])
def test_on_a_gpu_the_precision_is_what_it_has_unless_one_is_given(character_folder, monkeypatch, more, precision):
    asked = []

    def refuse(settings, folder, device, metric, extend):
        asked.append((settings.precision, str(device)))
        raise UserError("Enough.")

    monkeypatch.setattr(command, "finetune", refuse)
    monkeypatch.setattr(hardware, "precision", lambda device: "fp16")
    assert main(["finetune", "--drawings", str(character_folder), "--device", "cuda", *more]) == 2
    assert asked == [(precision, "cuda")]


def test_options_change_what_the_preset_says_and_nothing_else():
    preset = FinetuneSettings(**presets.preset("sdxl-t4").values("lora"))
    given = command.parsed(["--preset", "sdxl-t4", "--method", "lora", "--rank", "4", "--class", "owl"])
    assert given.settings == replace(preset, rank=4, class_name="owl")
    assert command.parsed([]).settings == FinetuneSettings()


def test_the_settings_of_a_preset_are_printed_and_nothing_is_trained(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", "--preset", "sd15-t4", "--steps", "7", "--print", "--device", "cpu"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == f"sd15-t4: {presets.preset('sd15-t4').about}"
    assert {"  steps = 7", "  base = sd15", "  sampling.adapter_scale = 1.0"} <= set(lines)
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_on_by_its_own_settings(tmp_path, capsys):
    settings = FinetuneSettings(rank=3, steps=40, identifier="Hoo", left_out=(1,))
    claim(tmp_path / "run", {"finetune": asdict(settings)})
    assert command.parsed(["--resume", str(tmp_path / "run")]).settings == settings
    assert command.parsed(["--resume", str(tmp_path / "run"), "--steps", "60"]).settings == replace(settings, steps=60)
    assert main(["finetune", "--resume", str(tmp_path / "run"), "--preset", "mini"]) == 2
    assert "give one of --preset, --resume and --resume-from" in capsys.readouterr().err
    assert main(["finetune", "--resume", str(tmp_path / "run"), "--run", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err == "--resume goes on in the run's own folder: leave --run out.\n"
    assert main(["finetune", "--sampling.t0", "0.5"]) == 2
    assert "is called --sampling.strength now" in capsys.readouterr().err
    assert main(["finetune", "--judge_clip=me/clip"]) == 2
    assert "The option --judge-clip is called --validation-clip now" in capsys.readouterr().err
