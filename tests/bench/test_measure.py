"""What the benchmark measures, rehearsed with tiny models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comics_genai.bench.measure import ENGINE, SCRIPT, BenchSettings, _cases
from comics_genai.bench.turns import take_turns
from comics_genai.bench.workload import Workload, lay_out
from comics_genai.errors import UserError


@pytest.fixture
def work(tiny_sdxl, character_folder) -> Workload:
    return Workload(str(tiny_sdxl), 32, str(character_folder), batch=2, rank=4, precision="fp32")


def test_the_measurements_of_a_gpu_are_rehearsed_with_tiny_models(tiny_sdxl, tiny_sd, tmp_path):
    script = tmp_path / "script.py"
    script.touch()
    given = BenchSettings(script, gpu=True, device="cpu", architectures=(str(tiny_sdxl), str(tiny_sd)), rank=4)
    cases = list(_cases(given, "cpu", tmp_path))
    assert len(cases) == 6 and len({title for title, _, _ in cases}) == 6
    assert [SCRIPT in sides for _, _, sides in cases] == [True, True, False] + [False] * 3
    assert [work.checkpointing for _, work, _ in cases] == [False, True, True] * 2
    whole = cases[2][1]
    assert whole.fused_backward and whole.optimizer == "adafactor" and whole.method == "dreambooth"
    whole = replace(whole, precision="fp32")
    lay_out(whole, tmp_path / "laid_out")
    measured = take_turns(whole, [ENGINE], tmp_path / "laid_out", None, rounds=1, steps=2, threads=1)
    assert np.shape(measured[ENGINE.name].rounds) == (1, 2)


def test_mistakes_are_sentences():
    with pytest.raises(UserError, match="There is no script nowhere.py: fetch examples/dreambooth"):
        BenchSettings(script=Path("nowhere.py"))
    with pytest.raises(UserError, match="rounds is 0"):
        BenchSettings(rounds=0)
