"""The committed table of plans is what `plan` says."""

import json
from pathlib import Path

from comics_genai.planning import fits

PLANS = json.loads((Path(__file__).parents[2] / "5_documents" / "benchmarks" / "plans.json").read_text("utf-8"))


def test_every_base_method_and_gpu_is_planned():
    asked = [(base, method, gpu) for base in fits.BASES for method in fits.METHODS for gpu in fits.GPUS]
    assert [(plan["base"], plan["method"], plan["gpu"]) for plan in PLANS] == asked


def test_a_committed_plan_is_made_again():
    (committed,) = (p for p in PLANS if (p["base"], p["method"], p["gpu"]) == ("sd15", "lora", "a100-80gb"))
    assert fits.planned("sd15", "lora", "a100-80gb") == committed
