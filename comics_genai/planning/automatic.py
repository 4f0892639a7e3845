"""Fill in the settings of a fine-tuning that are "auto", so that the same cells suit the miniature and SDXL.

    settings = settings_for(device, base="sdxl", method="lora", drawings="my_drawings", batch_size="auto", rank=16)

The table of presets gives steps, learning rate and batch size. The settings that make it fit the GPU (precision,
gradient checkpointing, optimizer, pictures at once) are planned for the GPU of this machine.
"""

from dataclasses import fields, replace
from typing import Any

import torch

from comics_genai import environment, hardware
from comics_genai.errors import UserError
from comics_genai.finetuning import preflight
from comics_genai.finetuning.presets import preset_for
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.planning import gpus
from comics_genai.planning.job import PlanSettings, Recipe
from comics_genai.planning.plan import GIB, Plan, plan
from comics_genai.sampling.generate import Sampling

AUTO = "auto"
# The settings that a recipe decides, by their names in FinetuneSettings; the batch of sampling has another name there.
RECIPE = tuple(field.name for field in fields(Recipe) if field.name != "sampling_batch")


def settings_for(device: str | torch.device = "cpu", *, gpu: str = "", **given: Any) -> FinetuneSettings:
    """The settings of a fine-tuning on `device`: those that are given, and suitable ones for all others.

    Settings that are "auto" count as not given. gpu: a name in planning.gpus to plan for instead of the device. given:
    names of FinetuneSettings; base and method default to its defaults. Raises UserError if nothing fits the GPU, if a
    value is out of range, or, without `gpu`, if this machine cannot do it, see `preflight.check_machine`.
    """
    chosen = {name: value for name, value in given.items() if value != AUTO}
    base = chosen.setdefault("base", FinetuneSettings.base)
    method = chosen.setdefault("method", FinetuneSettings.method)
    table = preset_for(base, method).values(method)
    values = {name: value for name, value in table.items() if name not in RECIPE} | chosen
    on_gpu = bool(gpu) or torch.device(device).type == "cuda"
    if not on_gpu:
        return _checked(FinetuneSettings(**({"precision": "fp32"} | values)), device)
    fixed = {name: value for name, value in chosen.items() if name in RECIPE}
    planned = plan_for(FinetuneSettings(**values), device, gpu, fixed)
    if not planned.fits:
        raise UserError(planned.advice)
    if planned.recipe.optimizer == "adamw8bit" and not gpu:
        environment.require("bitsandbytes")
    recipe = {name: getattr(planned.recipe, name) for name in RECIPE}
    if planned.recipe.prior == "none":
        del recipe["prior"]  # the method has no prior term, whatever the setting says
    sampling = values.get("sampling", Sampling())
    if "sampling" not in chosen or not sampling.batch_size:
        sampling = replace(sampling, batch_size=planned.recipe.sampling_batch)
    settings = FinetuneSettings(**(values | recipe | {"sampling": sampling}))
    return settings if gpu else _checked(settings, device)


def _checked(settings: FinetuneSettings, device: str | torch.device) -> FinetuneSettings:
    """Check that this machine can start with the settings; a notebook does so at its top, before any download."""
    preflight.check_machine(settings, device)
    return settings


def plan_for(
    settings: FinetuneSettings, device: str | torch.device = "cpu", gpu: str = "", fixed: dict[str, Any] | None = None
) -> Plan:
    """The plan of a fine-tuning with these settings on the GPU of that name, or else on this machine's.

    fixed: parts of the recipe that are decided already; by default none.
    """
    fixed = fixed or {}
    if gpu:
        machine = {"gpu": gpu, "precision": gpus.named(gpu).precision}
    else:
        memory = torch.cuda.get_device_properties(device).total_memory / GIB
        machine = {"memory_gib": memory, "precision": hardware.precision(device)}
    machine["precision"] = fixed.get("precision", machine["precision"])
    job = {
        "base": settings.base,
        "method": settings.method,
        "resolution": settings.size,
        "steps": settings.steps,
        "rank": settings.rank,
        "lora_targets": settings.lora_targets,
        "batch_size": settings.batch_size,
        "validates": settings.validate_every > 0,
    }
    return plan(PlanSettings(**job, **machine), fixed=fixed)


def recipe_of(settings: FinetuneSettings) -> dict[str, Any]:
    """The parts of the settings that a recipe of `plan` decides; for a method without a prior that is "none"."""
    recipe = {name: getattr(settings, name) for name in RECIPE}
    return recipe if settings.preserves_prior else recipe | {"prior": "none"}
