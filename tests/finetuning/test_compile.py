"""A compiled training is the same training, and without a compiler it says so."""

import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from comics_genai.errors import UserError
from comics_genai.files import load_tensors
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling
from tests.stopping import whole_and_resumed

SENTENCE = "The UNet cannot be compiled on this machine .* apt install g\\+\\+"


def has_compiler() -> bool:
    return bool(shutil.which("g++")) and (Path(sysconfig.get_path("include")) / "Python.h").exists()


@pytest.fixture
def settings(character_folder, tiny_sdxl) -> FinetuneSettings:
    told = {"drawings": str(character_folder), "base": str(tiny_sdxl), "method": "lora", "sampling": Sampling(steps=1)}
    return FinetuneSettings(**told, steps=4, batch_size=2, rank=4, alpha=4, variants=1, warmup_steps=0)


def test_a_compiled_run_learns_the_same_and_resumes_to_the_same_bytes(settings, tmp_path):
    if not has_compiler():  # nobody needs one to run the tests, and then this is all there is to see
        with pytest.raises(UserError, match=SENTENCE):
            finetune(replace(settings, compile=True), tmp_path / "run")
        return
    whole, _ = whole_and_resumed(replace(settings, compile=True), tmp_path)
    finetune(replace(settings, checkpoint_every=2), tmp_path / "eager")
    compiled, eager = (load_tensors(run / "weights.safetensors")[0] for run in (whole, tmp_path / "eager"))
    assert compiled.keys() == eager.keys()
    # Adam makes of the smallest difference in a gradient near 0 a whole step of its own.
    apart = torch.cat([(compiled[name] - eager[name]).abs().flatten() for name in eager])
    assert apart.median() < 1e-5 and apart.mean() < 0.05 * settings.learning_rate * settings.steps


def test_without_a_compiler_there_is_a_sentence(settings, tmp_path, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, str(tmp_path / "no-compiler")))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=SENTENCE):
        finetune(replace(settings, compile=True, steps=1), tmp_path / "run")
