"""What is left at "auto" suits the machine, and every preset and notebook fits the GPU that it is for."""

from dataclasses import fields

import pytest

from comics_genai import environment, hardware
from comics_genai.errors import UserError
from comics_genai.finetuning.presets import PRESETS
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.notebooks.execute import parameters_of
from comics_genai.planning import automatic, gpus
from comics_genai.planning.automatic import AUTO, plan_for, recipe_of, settings_for


def test_without_a_gpu_auto_is_the_presets_table(monkeypatch):
    monkeypatch.setattr(hardware, "free_memory", lambda: 2**35)  # of SDXL in fp32
    settings = settings_for(method="lora", base="mini", steps=7, precision=AUTO, batch_size=AUTO)
    assert (settings.steps, settings.batch_size, settings.learning_rate, settings.precision) == (7, 6, 1e-3, "fp32")
    assert not settings.gradient_checkpointing and settings.lora_targets == "attention"
    assert settings_for(method="dreambooth", learning_rate=AUTO).learning_rate == 2e-4
    assert settings_for(base="sdxl", method="lora").precision == "fp32"


def test_what_this_machine_cannot_begin_is_said_with_the_settings(monkeypatch):
    monkeypatch.setattr(hardware, "free_memory", lambda: 10**9)
    with pytest.raises(UserError, match="The base sdxl takes .* of memory to load, and 1.0 GB are free"):
        settings_for(base="sdxl", method="lora")
    with pytest.raises(UserError, match="The device meta cannot be used"):
        settings_for("meta", method="lora")
    assert settings_for(gpu="t4", base="sdxl", method="lora").base == "sdxl"  # planned for another machine


def test_on_a_gpu_auto_is_what_was_planned_for_it_and_what_is_given_stays():
    settings = settings_for(gpu="t4", base="mini", method="lora", gradient_checkpointing=AUTO, precision=AUTO)
    assert (settings.precision, settings.gradient_checkpointing, settings.batch_size) == ("fp16", False, 6)
    assert settings.sampling.batch_size == 8
    kept = settings_for(gpu="t4", base="mini", method="lora", gradient_checkpointing=True, precision="fp32")
    assert (kept.precision, kept.gradient_checkpointing) == ("fp32", True)


def test_what_fits_no_recipe_is_refused_with_what_to_change():
    with pytest.raises(UserError, match="choose --method dreambooth-lora"):
        settings_for(gpu="t4", base="sdxl", method="dreambooth")


@pytest.mark.parametrize(
    ("name", "method"),
    # Adapters need less on a larger GPU than on a T4, where they are planned already.
    [
        (n, method)
        for n, one in PRESETS.items()
        for method in one.methods
        if one.gpu == "t4" or one.gpu and method == "dreambooth"
    ],
)
def test_every_preset_fits_its_gpu_as_it_stands(name, method):
    settings = FinetuneSettings(**PRESETS[name].values(method))
    planned = plan_for(settings, gpu=PRESETS[name].gpu, fixed=recipe_of(settings))
    assert planned.fits, planned.advice
    assert planned.recipe.sampling_batch >= settings.sampling.batch_size


# The training notebooks by the largest base that a T4 holds; all weights of SDXL fit no T4, as is said above.
TRAINING = {
    "lora/LoRA": ("lora", "sdxl"),
    "dreambooth_lora/DreamBooth-LoRA": ("dreambooth-lora", "sdxl"),
    "dreambooth/DreamBooth": ("dreambooth", "sd15"),
}


@pytest.mark.parametrize("name", TRAINING)
def test_the_default_parameters_of_every_training_notebook_fit_a_t4(name, monkeypatch):
    method, base = TRAINING[name]
    parameters = parameters_of(environment.root() / f"4_finetuning/{name}.ipynb")
    known = {one.name for one in fields(FinetuneSettings)}
    given = {key: value for key, value in parameters.items() if key in known} | {"base": base}
    plans = []
    monkeypatch.setattr(automatic, "plan_for", lambda *asked: plans.append(plan_for(*asked)) or plans[-1])
    settings = settings_for(gpu="t4", method=method, **given)
    (planned,) = plans
    assert planned.fits and planned.peak_gib < planned.needs_gib <= gpus.named("t4").memory_gib, planned.advice
    assert settings.precision == "fp16" and settings.learning_rate <= 1e-4 and settings.batch_size == 1


@pytest.mark.parametrize("name", TRAINING)
def test_every_training_notebook_leaves_to_the_plan_what_a_gpu_decides(name):
    parameters = parameters_of(environment.root() / f"4_finetuning/{name}.ipynb")
    assert [parameters[key] for key in ("batch_size", "gradient_checkpointing", "precision")] == ["auto"] * 3
    source = (environment.root() / f"4_finetuning/{name}.ipynb").read_text("utf-8")
    assert "settings_for(" in source and "base=model)" in source and source.count("Base.load(") == 1
