"""The prior term with and without: two trainings that differ in lambda alone, and what the class became in each."""

from dataclasses import replace

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.notebooks import lesson, prior
from comics_genai.run import finetuning_settings
from comics_genai.sampling.generate import Sampling


def test_the_trainings_differ_in_lambda_alone_and_the_base_stays_as_it_was(character_folder, tiny_sdxl, tmp_path):
    settings = FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), method="lora", steps=12, batch_size=2, rank=4, variants=1,
        warmup_steps=0, learning_rate=1e-2, validate_every=5, validation_prompts=("a girl",),
        sampling=Sampling(steps=2),
    )  # fmt: skip
    base = Base.load(tiny_sdxl)
    before = {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}
    runs = prior.with_and_without(settings, tmp_path / "run", base=base)
    assert list(runs) == [prior.BEFORE, "trained, lambda = 1", "trained, lambda = 0"] and runs[prior.BEFORE] is None
    with_term, without = (finetuning_settings(run) for run in list(runs.values())[1:])
    assert {name for name in with_term if with_term[name] != without[name]} == {"prior_weight"}
    # LoRA alone has no prior term, so the lesson trains the method that has one, for a sixth of the steps.
    assert (with_term["method"], with_term["steps"], with_term["validate_every"]) == ("dreambooth-lora", 2, 0)

    rows = prior.class_pictures(base, runs, "girl", tmp_path / "class", scenes=2, sampling=settings.sampling)
    assert {label: len(row) for label, row in rows.items()} == dict.fromkeys(runs, 2)
    drift = lesson.class_drift(rows, prior.BEFORE)
    assert drift[prior.BEFORE] == 0 and min(drift["trained, lambda = 1"], drift["trained, lambda = 0"]) > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in base.unet.state_dict().items())


def test_full_weights_keep_their_method(character_folder, tiny_sdxl, tmp_path):
    settings = FinetuneSettings(drawings=str(character_folder), base=str(tiny_sdxl), steps=6, variants=1, rank=4)
    runs = prior.with_and_without(replace(settings, method="dreambooth"), tmp_path / "run")
    assert {finetuning_settings(run)["method"] for run in runs.values() if run} == {"dreambooth"}


@pytest.mark.parametrize(
    ("kept", "free", "said"),
    [(0.1, 0.2, "the term kept the class nearer to where it was."),
     (0.2, 0.1, "here the term did not keep the class in place."),
     (0.1, 0.102, "here the term made no difference.")],
)  # fmt: skip
def test_the_sentence_follows_the_figures(kept, free, said):
    sentence = prior.drift_in_words({"trained, lambda = 1": kept, "trained, lambda = 0": free}, "girl")
    assert sentence.startswith(f"Pictures of any girl moved {kept:.3f} away from the base's with the prior term and ")
    assert sentence.endswith(said)
