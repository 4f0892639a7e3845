"""How to train: the settings of the loop, and the learning rate of each step."""

import math
from dataclasses import dataclass
from typing import Literal

from comics_genai.ranges import LARGEST_SEED, MOST_STEPS, check, number, one_of, whole
from comics_genai.training import optimizers


@dataclass(frozen=True)
class LoopSettings:
    """How to train. Raises UserError for a value out of its range."""

    steps: int  # number of optimizer steps, >= 1
    learning_rate: float = 1e-3  # peak, > 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0  # the learning rate rises linearly during these
    decay_from: float = 0.0  # fraction of the steps, in [0, 1), after which "linear" or "cosine" begins to fall to 0
    optimizer: optimizers.Name = "adamw"  # prodigy wants a learning rate of 1
    accumulate: int = 1  # batches for each optimizer step; their gradients are averaged
    fused_backward: bool = False  # each weight is updated as soon as its gradient is there, and the gradient is freed
    weight_decay: float = 0.0  # decoupled
    beta1: float = 0.9
    beta2: float = 0.999
    clip_norm: float = 1.0  # the global gradient norm is clipped to this; 0 = off
    ema_decay: float = 0.0  # 0 = off
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of autocast; weights are fp32 always
    seed: int = 0
    log_every: int = 10  # steps
    checkpoint_every: int = 0  # steps; 0 = only when stopped and at the end
    validate_every: int = 0  # steps, and at the end; 0 = never
    max_minutes: float = 0.0  # of this start; 0 = no budget

    def __post_init__(self) -> None:
        ranges = {
            "steps": whole(self.steps, 1, MOST_STEPS),
            "learning_rate": number(self.learning_rate, 0, math.inf, above=True),
            "schedule": one_of(self.schedule, ("constant", "linear", "cosine")),
            "warmup_steps": whole(self.warmup_steps, 0, MOST_STEPS),
            "decay_from": number(self.decay_from, 0, 1, below=True),
            "optimizer": one_of(self.optimizer, optimizers.NAMES),
            "accumulate": whole(self.accumulate, 1, 10_000),
            "fused_backward": (
                not self.fused_backward or (self.accumulate == 1 and self.clip_norm == 0 and self.precision != "fp16"),
                "False with accumulate, clip_norm or precision 'fp16', which need all gradients at once",
            ),
            "weight_decay": number(self.weight_decay, 0, math.inf),
            "beta1": number(self.beta1, 0, 1, below=True),
            "beta2": number(self.beta2, 0, 1, below=True),
            "clip_norm": number(self.clip_norm, 0, math.inf, "0 = off"),
            "ema_decay": number(self.ema_decay, 0, 1, "0 = off", below=True),
            "precision": one_of(self.precision, ("fp32", "bf16", "fp16")),
            "seed": whole(self.seed, 0, LARGEST_SEED),
            "log_every": whole(self.log_every, 1, MOST_STEPS),
            "checkpoint_every": whole(self.checkpoint_every, 0, MOST_STEPS, "0 = only on stop and at the end"),
            "validate_every": whole(self.validate_every, 0, MOST_STEPS, "0 = never"),
            "max_minutes": number(self.max_minutes, 0, 1e6, "0 = no budget"),
        }
        check(self, ranges)


def learning_rate_at(settings: LoopSettings, step: int) -> float:
    """Learning rate of step `step` (0-based): linear warm-up times the schedule, 0 after the last step."""
    rate = settings.learning_rate
    if step < settings.warmup_steps:
        rate *= (step + 1) / settings.warmup_steps
    begin = settings.decay_from * settings.steps
    progress = max(step - begin, 0.0) / (settings.steps - begin)
    if settings.schedule == "linear":
        rate *= 1 - progress
    elif settings.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
    return rate
