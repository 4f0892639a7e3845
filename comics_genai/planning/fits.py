"""Plan every base and method on a few GPUs, and write the plans to a file that the documents read.

    python -m comics_genai report --plans       # some minutes; 5_documents/benchmarks/plans.json
"""

from typing import Any

from comics_genai.planning.gpus import named
from comics_genai.planning.plan import PlanSettings, plan
from comics_genai.progress import Progress

BASES = {"sd15": "Stable Diffusion 1.5, 512 px", "sdxl": "SDXL, 1024 px"}
METHODS = ("lora", "dreambooth-lora", "dreambooth")
GPUS = ("t4", "rtx3060", "rtx4090", "a100-80gb")
STEPS = 500


def planned(base: str, method: str, gpu: str) -> dict[str, Any]:
    """One plan as JSON-able figures: GiB at the peak, the recipe in words, seconds (None if it does not fit)."""
    found = plan(PlanSettings(base=base, method=method, gpu=gpu, steps=STEPS), advise=False)
    return {
        "base": base,
        "method": method,
        "gpu": gpu,
        "name": named(gpu).name,
        "memory_gib": found.memory_gib,
        "steps": STEPS,
        "fits": found.fits,
        "needs_gib": round(found.needs_gib, 2),
        "recipe": str(found.recipe),
        "seconds": found.seconds and {part: round(value, 3) for part, value in found.seconds.items()},
    }


def all_plans() -> list[dict[str, Any]]:
    """Every base with every method on every GPU of this table."""
    asked = [(base, method, gpu) for base in BASES for method in METHODS for gpu in GPUS]
    plans = []
    with Progress(len(asked), describe="planning") as progress:
        for one in asked:
            plans.append(planned(*one))
            progress.update(len(plans))
    return plans
