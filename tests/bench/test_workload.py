"""Both sides of a measurement are told the same."""

from dataclasses import replace

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.bench.measure import ENGINE
from comics_genai.bench.workload import Workload, arguments, random_base, settings


@pytest.fixture
def work(tiny_sdxl, character_folder) -> Workload:
    return Workload(str(tiny_sdxl), 32, str(character_folder), batch=2, rank=4, precision="fp32")


def test_both_sides_are_told_the_same(work, tmp_path):
    (tmp_path / "class_pictures").mkdir()
    told = arguments(replace(work, precision="bf16", checkpointing=True), tmp_path)
    given = dict(zip(told, told[1:], strict=False))
    ours = settings(replace(work, precision="bf16", checkpointing=True), ENGINE)
    assert given["--pretrained_model_name_or_path"] == ours.base
    assert int(given["--train_batch_size"]) == ours.batch_size and int(given["--rank"]) == ours.rank == ours.alpha
    assert int(given["--resolution"]) == ours.size and float(given["--learning_rate"]) == ours.learning_rate
    assert given["--mixed_precision"] == ours.precision and "--gradient_checkpointing" in told
    assert "--with_prior_preservation" in told and ours.prior == "images"


def test_a_random_base_is_whole_and_says_nothing(tiny_sd, tmp_path):
    base = Base.load(random_base(str(tiny_sd), tmp_path / "base"))
    prediction = base.predict(torch.randn(1, 4, 8, 8), torch.tensor([500]), base.encode_prompts(["a girl"]), None)
    assert prediction.isfinite().all()
