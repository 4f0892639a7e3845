"""GPUs by name, their precision, and the roofline."""

from collections import Counter

import pytest

from comics_genai.errors import UserError
from comics_genai.planning import gpus
from comics_genai.planning.gpus import Kernel


def test_a_gpu_is_found_however_its_name_is_written():
    assert gpus.named("T4") is gpus.named("t4") and gpus.named("nvidia-t4").memory_gib == 14.6
    assert gpus.named("RTX 3090") is gpus.named("rtx3090")
    with pytest.raises(UserError, match="There is no GPU 'abacus' in the table: give one of t4, p100"):
        gpus.named("abacus")


def test_bf16_from_ampere_on():
    assert {name for name, gpu in gpus.GPUS.items() if gpu.precision == "fp16"} == {"t4", "p100", "v100"}


def test_a_kernel_is_bound_by_arithmetic_or_by_bandwidth_and_many_by_their_launches():
    t4 = gpus.named("t4")
    arithmetic = t4.seconds(Counter([Kernel(1e12, 1e3, True)]))
    assert arithmetic == pytest.approx(1 / (gpus.COMPUTE_SHARE * 65))
    assert t4.seconds(Counter([Kernel(1e12, 1e3, False)])) == pytest.approx(1 / (gpus.COMPUTE_SHARE * 8.1))
    assert t4.seconds(Counter([Kernel(1e3, 320e9, True)])) == pytest.approx(1 / gpus.BANDWIDTH_SHARE)
    tiny = Counter({Kernel(1.0, 1.0, True): 1000})
    assert t4.seconds(tiny) == pytest.approx(1000 * gpus.LAUNCH_SECONDS)
