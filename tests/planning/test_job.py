"""What a fine-tuning of SDXL takes of a GPU is near what others measured."""

import pytest

from comics_genai.errors import UserError
from comics_genai.planning import gpus, meter
from comics_genai.planning.job import Job, PlanSettings, Recipe
from comics_genai.planning.plan import GIB

UNET = 2_567_463_684  # weights of SDXL's UNet


@pytest.fixture(scope="module")
def sdxl() -> Job:
    return Job(PlanSettings(base="sdxl", method="lora"), "fp16")


@pytest.mark.parametrize(("checkpointing", "published"), [(False, 13.0), (True, 6.5)])
def test_sdxl_lora_at_1024_px_is_near_the_published_figures(sdxl, checkpointing, published):
    # SimpleTuner, batch 1, an adapter of another kind and about the same size.
    cost = sdxl.training(checkpointing, False)
    states = meter.optimizer_bytes(sdxl.trained, "adamw")
    assert (cost.peak + states) / GIB == pytest.approx(published, rel=0.15)
    assert cost.parts["weights"] == pytest.approx(2 * UNET, rel=0.001)
    assert states == pytest.approx(2 * cost.parts["trainable"], rel=0.001)


def test_estimated_seconds_are_near_published_ones(sdxl):
    h100, t4 = gpus.named("h100"), gpus.named("t4")
    steps = {checkpointing: sdxl.training(checkpointing, False).kernels for checkpointing in (False, True)}
    assert h100.seconds(steps[False]) == pytest.approx(0.606, rel=0.3)
    assert h100.seconds(steps[True]) == pytest.approx(1.080, rel=0.3)
    # Hugging Face's notebook encodes a picture in every step.
    assert t4.seconds(steps[True]) + t4.seconds(sdxl.encoding().kernels) == pytest.approx(3.27, rel=0.3)


def test_recipes_come_fastest_first_and_keep_what_is_decided_already():
    job = Job(PlanSettings(base="mini", method="dreambooth"), "bf16")
    recipes = list(job.recipes({}))
    first = recipes[0]
    assert (first.gradient_checkpointing, first.fused_backward, first.optimizer) == (False, False, "adamw")
    assert {recipe.prior for recipe in recipes} == {"prediction", "images"}
    assert not any(recipe.fused_backward and not recipe.gradient_checkpointing for recipe in recipes)
    fixed = list(job.recipes({"optimizer": "adafactor", "prior": "images"}))
    assert {(recipe.optimizer, recipe.prior) for recipe in fixed} == {("adafactor", "images")}
    lora = Job(PlanSettings(base="mini", method="lora"), "fp16")
    assert {recipe.prior for recipe in lora.recipes({})} == {"none"}
    # A GradScaler needs all gradients at once, so fp16 never frees them in the backward pass.
    assert not any(recipe.fused_backward for recipe in lora.recipes({}))


def test_gradients_freed_in_the_backward_pass_are_not_held():
    job = Job(PlanSettings(base="mini", method="dreambooth"), "bf16")
    kept = Recipe("bf16", True, "images", False, "adamw")
    freed = Recipe("bf16", True, "images", True, "adamw")
    assert job.resident(kept) - job.resident(freed) == meter.parameters_bytes(job.trained)


def test_pictures_at_once_multiply_the_unets_activations_while_decoding_takes_one_at_a_time():
    job = Job(PlanSettings(base="mini", method="lora"), "fp32")
    one, many = (job.phases(Recipe("fp32", False, "none", False, "adamw", count))["sampling"] for count in (1, 16))
    assert one["weights"] == many["weights"]
    assert one["activations"] == job.decoding().peak and many["activations"] == 16 * job.forward(job.half).peak


def test_a_size_that_the_autoencoder_cannot_halve_is_refused():
    with pytest.raises(UserError, match="resolution is 100, but must be a multiple of 8 for this base"):
        Job(PlanSettings(base="mini", resolution=100), "fp32")
