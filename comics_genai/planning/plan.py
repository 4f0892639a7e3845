"""Plan a fine-tuning on a GPU: whether it fits, how long it takes, and the fastest recipe that fits.

    python -m comics_genai plan --base sdxl --method dreambooth-lora --gpu t4

Memory is counted (see `meter`) for each phase of `finetune` and `generate`. Time is estimated from the counted kernels
and the GPU's data sheet. Neither weights nor a GPU are needed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from comics_genai.bases import architectures
from comics_genai.errors import UserError
from comics_genai.finetuning.presets import preset, preset_for
from comics_genai.planning import gpus
from comics_genai.planning.job import Job, PlanSettings, Recipe

GIB = 2**30
CUDA_GIB = 0.5  # CUDA's context, and the workspaces of cuBLAS and cuDNN
GAPS = 1.05  # the allocator takes this much more than is asked for, in pieces of different sizes
PARTS = ("weights", "frozen copy", "trainable", "copies", "optimizer", "gradients", "activations")
LABELS = {
    "frozen copy": "frozen copy, for the prior",
    "trainable": "trained weights",
    "copies": "their half-precision copies",
    "optimizer": "optimizer states",
}


@dataclass(frozen=True)
class Plan:
    """The result of a plan.

    phases: bytes by part at the peak of each phase. seconds: None if it does not fit or the GPU is not in the table."""

    settings: PlanSettings
    memory_gib: float
    fits: bool
    advice: str
    recipe: Recipe
    phases: dict[str, dict[str, int]]
    seconds: dict[str, float] | None  # of a "step", of all "training" with its preparation, and of a "picture"

    @property
    def peak_gib(self) -> float:
        return max(sum(parts.values()) for parts in self.phases.values()) / GIB

    @property
    def needs_gib(self) -> float:
        """The peak, with an allowance for what cannot be counted."""
        return _needed(self.peak_gib)


def main(settings: PlanSettings) -> str:
    """The text that the command prints."""
    result = plan(with_preset(settings))
    return json.dumps(as_json(result), indent=2) if settings.json else as_text(result)


def with_preset(settings: PlanSettings) -> PlanSettings:
    """The settings, in which the preset's values replace those that are at their defaults."""
    if not settings.preset:
        return settings
    named = preset(settings.preset)
    values = {**named.values(settings.method), "gpu": named.gpu}
    names = {field.name: field.default for field in fields(PlanSettings)}
    values["validates"] = values.get("validate_every", 0) > 0
    left = {n: v for n, v in values.items() if n in names and getattr(settings, n) == names[n]}
    return replace(settings, **left)


def plan(settings: PlanSettings, advise: bool = True, fixed: Mapping[str, Any] | None = None) -> Plan:
    """Plan with the fastest recipe that fits, or with the smallest one if none fits.

    fixed: parts of the recipe that are decided already. Raises UserError for an unknown base or GPU, and if neither a
    GPU nor its memory is given.
    """
    if not settings.gpu and not settings.memory_gib:
        raise UserError(f"Give the GPU, --gpu with one of {', '.join(gpus.GPUS)}, or its memory, --memory-gib.")
    gpu = gpus.named(settings.gpu) if settings.gpu else None
    capacity = settings.memory_gib or gpu.memory_gib
    job = Job(settings, settings.precision or (gpu.precision if gpu else "fp16"))
    recipes = list(job.recipes(fixed or {}))
    for recipe in recipes:
        last = recipe == recipes[-1]
        if not last and _needed(job.resident(recipe) / GIB) > capacity:
            continue  # it does not fit even without activations
        phases = job.phases(recipe)
        if fits := all(_needed(sum(parts.values()) / GIB) <= capacity for parts in phases.values()):
            break
    for pictures in (8, 4, 2):
        drawn = job.phases(replace(recipe, sampling_batch=pictures))
        if all(_needed(sum(parts.values()) / GIB) <= capacity for parts in drawn.values()):
            recipe, phases = replace(recipe, sampling_batch=pictures), drawn
            break
    seconds = job.seconds(recipe, gpu) if gpu and fits else None
    result = Plan(settings, capacity, fits, "", recipe, phases, seconds)
    return result if fits or not advise else replace(result, advice=_advice(result))


def _needed(gib: float) -> float:
    return gib * GAPS + CUDA_GIB


def _advice(tried: Plan) -> str:
    """One sentence on what is too large and what to change; it names only changes that were planned and fit."""
    settings, remedies = tried.settings, []
    base = architectures.load(settings.base)
    half = (settings.resolution or base.size) // 2 // base.downscale * base.downscale
    smaller: dict[str, dict[str, Any]] = {}
    if settings.full:
        smaller["--method dreambooth-lora"] = {"method": "dreambooth-lora"}
    if half:
        smaller[f"--resolution {half}"] = {"resolution": half}
    for options, changes in smaller.items():
        if (other := plan(replace(settings, **changes), advise=False)).fits:
            remedies.append(f"{options} (then {other.needs_gib:.1f} GiB)")
            break
    if larger := [gpu for gpu in gpus.GPUS.values() if gpu.memory_gib >= tried.needs_gib]:
        gpu = min(larger, key=lambda gpu: gpu.memory_gib)
        remedies.append(f"a GPU with at least {tried.needs_gib:.1f} GiB, such as the {gpu.name}")
    phase = max(tried.phases, key=lambda name: sum(tried.phases[name].values()))
    return (
        f"{phase.capitalize()} needs {tried.needs_gib:.1f} GiB even with {tried.recipe}: "
        f"choose {', or '.join(remedies) or 'a smaller base'}."
    )


def command(plan: Plan) -> str:
    """The `finetune` command of a plan; the user adds the drawings and names."""
    settings, recipe = plan.settings, plan.recipe
    options = f"--base {settings.base} --method {settings.method} --steps {settings.steps}"
    options += f" --batch-size {settings.batch_size} --precision {recipe.precision}"
    if not settings.full:
        options += f" --rank {settings.rank} --alpha {settings.rank}"
    suited = preset_for(settings.base, settings.method).values(settings.method)
    options += f" --learning-rate {suited['learning_rate']:g}"
    if settings.resolution:
        options += f" --size {settings.resolution}"
    flags = {"gradient_checkpointing": recipe.gradient_checkpointing, "fused_backward": recipe.fused_backward}
    options += "".join(f" --{name.replace('_', '-')}" for name, given in flags.items() if given)
    options += f" --optimizer {recipe.optimizer}" if recipe.optimizer != "adamw" else ""
    options += " --prior images" if recipe.prior == "images" else ""
    return f"python -m comics_genai finetune {options} --sampling.batch-size {recipe.sampling_batch}"


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able figures: GiB and seconds."""
    gib = {p: {part: round(size / GIB, 3) for part, size in parts.items()} for p, parts in plan.phases.items()}
    return {
        "settings": asdict(plan.settings),
        "fits": plan.fits,
        "advice": plan.advice,
        "memory_gib": plan.memory_gib,
        "peak_gib": round(plan.peak_gib, 3),
        "needs_gib": round(plan.needs_gib, 3),
        "phases_gib": gib,
        "recipe": asdict(plan.recipe),
        "estimated_seconds": plan.seconds and {name: round(s, 3) for name, s in plan.seconds.items()},
        "command": command(plan),
    }


def as_text(plan: Plan) -> str:
    """The plan as a short table and sentences."""
    settings = plan.settings
    gpu = f"the {gpus.named(settings.gpu).name}" if settings.gpu else "a GPU"
    lines = [
        f"Planned, not measured: {settings.method} of {settings.base} on {gpu} with {plan.memory_gib:g} GiB",
        f"It {'fits' if plan.fits else 'does not fit'}: it needs {plan.needs_gib:.1f} GiB, of which "
        f"{plan.peak_gib:.1f} are counted, and the rest is left to CUDA and to gaps.",
    ]
    lines += [plan.advice] if plan.advice else []
    unit, scale = ("GiB", GIB) if plan.peak_gib >= 1 else ("MiB", 2**20)
    lines += ["", f"{unit + ' at the peak of':<28}" + "".join(f"{phase:>16}" for phase in plan.phases)]
    for part in PARTS:
        sizes = [parts.get(part, 0) for parts in plan.phases.values()]
        if any(sizes):
            lines.append(f"  {LABELS.get(part, part):<26}" + "".join(f"{size / scale:>16.2f}" for size in sizes))
    totals = [sum(parts.values()) for parts in plan.phases.values()]
    lines.append(f"  {'all':<26}" + "".join(f"{total / scale:>16.2f}" for total in totals))
    pictures = f"{plan.recipe.sampling_batch} picture{'s' * (plan.recipe.sampling_batch > 1)} at once"
    lines += [
        "",
        f"Recipe: {plan.recipe}.",
        f"VAE and text encoders are gone before the first step; `generate` draws {pictures}.",
    ]
    if plan.seconds:
        step, picture = plan.seconds["step"], plan.seconds["picture"]
        minutes = plan.seconds["training"] / 60
        lines.append(
            f"Time: about {minutes:.0f} min for {settings.steps} steps of {step:.2g} s, and {picture:.2g} s a picture. "
            "It is an estimate from the GPU's data sheet, good to a factor of two."
        )
    return "\n".join([*lines, "", command(plan)] if plan.fits else lines)
