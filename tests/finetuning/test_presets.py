"""The presets' table: complete, within range, and read by the command line."""

import pytest

from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.finetuning.presets import PRESETS, preset, preset_for
from comics_genai.finetuning.settings import FinetuneSettings


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_settings_of_its_base(name):
    for method in PRESETS[name].methods:
        settings = FinetuneSettings(**preset(name).values(method))
        assert (settings.base, settings.method) == (PRESETS[name].base, method)


def test_a_method_that_does_not_fit_and_an_unknown_name_say_what_there_is():
    with pytest.raises(
        UserError, match=r"no method 'dreambooth': choose lora or dreambooth-lora, .* presets mini, sd15-"
    ):
        preset("sdxl-t4").values("dreambooth")
    with pytest.raises(UserError, match="There is no preset 'sdxl-tpu': choose one of mini, sd15-t4, sdxl-t4"):
        preset("sdxl-tpu")


def test_a_base_has_the_preset_of_the_smallest_gpu_that_carries_the_method():
    assert preset_for("sdxl", "lora") is PRESETS["sdxl-t4"]
    assert preset_for("sdxl", "dreambooth") is PRESETS["sdxl-80gb"]
    assert preset_for("someone/base", "lora").values("lora")["learning_rate"] == 1e-4


def test_the_command_line_prints_a_preset_and_trains_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", "--preset", "sdxl-t4", "--method", "lora", "--print"]) == 0
    shown = capsys.readouterr().out
    assert "sdxl-t4: Stable Diffusion XL on a T4" in shown and "  precision = fp16" in shown
    assert "  method = lora" in shown and "  sampling.guidance = 7.5" in shown
    assert main(["finetune", "--preset", "sdxl-t4", "--rank", "8", "--print"]) == 0
    assert "  rank = 8" in capsys.readouterr().out
    assert main(["finetune", "--preset", "sdxl-t4", "--method", "dreambooth", "--print"]) == 2
    assert "has no method 'dreambooth'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
