"""The only training loop: steps, schedule, EMA, precision, checkpoints, exact resume, log, progress, time budget.

    result = train(model, step_loss, LoopSettings(steps=1000), Path("run"))

Start it again with the same arguments after any interruption and it goes on; the final weights are, byte for byte,
those of an uninterrupted run (on a GPU: as far as its kernels are deterministic). Every random draw of step i is a
function of (seed, i), see `seeding`, so checkpoints hold no random states.
"""

import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from comics_genai.environment import peak_memory
from comics_genai.errors import UserError
from comics_genai.files import copy_into, load_weights, save_tensors
from comics_genai.progress import Progress
from comics_genai.ranges import LARGEST_SEED, MOST_STEPS, check, number, one_of, whole
from comics_genai.run import claim
from comics_genai.training import distributed, optimizers
from comics_genai.training.allocator import keep_freed_memory
from comics_genai.training.checkpoint import Checkpoints, Log
from comics_genai.training.ema import ExponentialMovingAverage
from comics_genai.training.seeding import global_random_states_kept, seed_step

StepLoss = Callable[[int, torch.Generator], tuple[Tensor, dict[str, Tensor]]]
Validate = Callable[[int, nn.Module], dict[str, float]]


@dataclass(frozen=True)
class LoopSettings:
    """How to train. Raises UserError for a value out of its range."""

    steps: int  # optimizer steps in all, >= 1
    learning_rate: float = 1e-3  # peak, > 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0  # the rate rises linearly over these
    decay_from: float = 0.0  # fraction of steps, in [0, 1), after which linear or cosine begin to fall to 0
    optimizer: optimizers.Name = "adamw"  # prodigy wants a learning rate of 1
    accumulate: int = 1  # batches an optimizer step: their gradients are averaged
    fused_backward: bool = False  # each weight is updated as soon as its gradient is there, which is freed at once
    weight_decay: float = 0.0  # decoupled
    beta1: float = 0.9
    beta2: float = 0.999
    clip_norm: float = 1.0  # largest global gradient norm; 0 = off
    ema_decay: float = 0.0  # 0 = off
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of autocast; weights are fp32 always
    seed: int = 0
    log_every: int = 10  # steps
    checkpoint_every: int = 0  # steps; 0 = only on stop and at the end
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


@dataclass(frozen=True)
class TrainResult:
    """Where training ended: steps done, whether that is all of them, minutes over all starts, and a sentence."""

    step: int
    finished: bool
    minutes: float
    message: str


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


class _Trainer:
    """A model with all that changes while it is trained; `state` and `restore` carry it through a checkpoint."""

    def __init__(self, model: nn.Module, settings: LoopSettings):
        self.model, self.settings = model, settings
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        persistent = model.state_dict().keys()
        self.buffers = {name: buffer for name, buffer in model.named_buffers() if name in persistent}
        if not self.parameters:
            raise UserError("The model has no trainable parameter: set requires_grad on those to train.")
        for name, p in self.parameters.items():
            if p.dtype != torch.float32:
                raise UserError(
                    f"The trainable parameter {name} is {str(p.dtype).removeprefix('torch.')}, which loses small "
                    "updates: load the model in float32 and choose precision='bf16' or 'fp16' for the arithmetic."
                )
        self.device = next(iter(self.parameters.values())).device
        if settings.precision == "fp16" and self.device.type != "cuda":
            raise UserError(f"precision 'fp16' needs a CUDA GPU, and the model is on {self.device.type}: use 'bf16'.")
        self.names = {parameter: name for name, parameter in self.parameters.items()}
        each = [[p] for p in self.names] if settings.fused_backward else [list(self.names)]
        betas = settings.beta1, settings.beta2
        self.optimizers = [
            optimizers.build(settings.optimizer, part, settings.learning_rate, betas, settings.weight_decay)
            for part in each
        ]
        self.squared_norms: list[Tensor] = []  # of gradients that are already gone
        if settings.fused_backward:
            for (parameter,), optimizer in zip(each, self.optimizers, strict=True):
                parameter.register_post_accumulate_grad_hook(partial(self._update, optimizer))
        # Only fp16 gradients underflow; the scaler is the identity otherwise.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self.ema = ExponentialMovingAverage(self.parameters, settings.ema_decay) if settings.ema_decay else None
        self.step = 0  # steps done
        self.seconds = 0.0  # spent on them, over all starts
        # Figures since the last log row stay on the device, unread: reading one waits for the device.
        self.window: dict[str, list[Tensor]] = {}

    def autocast(self) -> torch.autocast:
        half = torch.float16 if self.settings.precision == "fp16" else torch.bfloat16
        # A step uses a weight once: its copy in half precision, if kept, would only outlive its layer (with gradient
        # checkpointing, 5 GB of them in SDXL).
        on = self.settings.precision != "fp32"
        return torch.autocast(self.device.type, dtype=half, enabled=on, cache_enabled=False)

    def advance(self, step_loss: StepLoss) -> None:
        """One optimizer step."""
        settings, step = self.settings, self.step
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(settings, step)
            optimizer.zero_grad(set_to_none=True)
        figures: dict[str, list[Tensor]] = {}
        first = step * settings.accumulate * distributed.count() + distributed.rank()
        for batch in range(first, first + settings.accumulate * distributed.count(), distributed.count()):
            generator = seed_step(settings.seed, batch)
            with self.autocast():
                loss, logs = step_loss(batch, generator)
            self.scaler.scale(loss.float() / settings.accumulate).backward()
            for name, figure in {**logs, "loss": loss}.items():
                figures.setdefault(name, []).append(torch.as_tensor(figure).detach().float())
        figures["grad_norm"] = [self._step_fused() if settings.fused_backward else self._step()]
        if self.ema is not None:
            self.ema.update(step)
        for name, parts in figures.items():
            self.window.setdefault(name, []).append(torch.stack(parts).mean())
        self.step += 1

    def _step(self) -> Tensor:
        """Update all weights by their gradients; the norm of these."""
        (optimizer,) = self.optimizers
        distributed.average(p.grad for p in self.parameters.values() if p.grad is not None)
        self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm or math.inf)
        self.scaler.step(optimizer)
        self.scaler.update()
        return norm.detach().float()

    def _update(self, optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> None:
        """Within the backward pass: update one weight and let its gradient go."""
        distributed.average([parameter.grad])
        self.squared_norms.append(parameter.grad.detach().float().square().sum())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _step_fused(self) -> Tensor:
        """All weights are updated; the norm of what were their gradients."""
        norm, self.squared_norms = torch.stack(self.squared_norms).sum().sqrt(), []
        return norm

    def check_finite(self, last_good: Path | None) -> None:
        """UserError if a loss or a gradient since the last log row is not finite; the weights are spoilt then."""
        names = ["loss"] if self.scaler.is_enabled() else ["loss", "grad_norm"]  # the scaler skips infinite gradients
        for name in names:
            figures = torch.stack(self.window[name]).tolist() if self.window else []
            for i, figure in enumerate(figures):
                if not math.isfinite(figure):
                    saved = f"the last good checkpoint is {last_good}" if last_good else "there is no checkpoint yet"
                    raise UserError(
                        f"The {'loss' if name == 'loss' else 'gradient'} is {figure} at step "
                        f"{self.step - len(figures) + i + 1} and training stopped; {saved}. "
                        "Start again in a new folder with a lower learning_rate, or with precision 'fp32'."
                    )

    def check_weights(self, last_good: Path | None) -> None:
        """UserError if the last update made a weight NaN or infinite, which no loss has shown yet."""
        finite = torch.stack([parameter.isfinite().all() for parameter in self.parameters.values()]).tolist()
        if not all(finite):
            name = list(self.parameters)[finite.index(False)]
            saved = f"the last good checkpoint is {last_good}" if last_good else "there is no checkpoint yet"
            raise UserError(
                f"The weight {name} is NaN or infinite after step {self.step} and training stopped; {saved}. "
                "Start again in a new folder with a lower learning_rate, or with precision 'fp32'."
            )

    def summary(self) -> dict[str, float]:
        """Means over the steps since the last summary; waits for the device."""
        means = {name: torch.stack(figures).mean().item() for name, figures in self.window.items()}
        self.window = {}
        lr = learning_rate_at(self.settings, self.step - 1)
        return {"loss": means.pop("loss"), "lr": lr, "grad_norm": means.pop("grad_norm"), **means}

    def validate(self, validate: Validate) -> dict[str, float]:
        """Figures of `validate`, in eval mode, without gradients, with EMA weights if there are any."""
        seed_step(self.settings.seed, self.step)
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            with torch.no_grad(), self.autocast():
                if self.ema is None:
                    figures = validate(self.step, self.model)
                else:
                    with self.ema.weights():
                        figures = validate(self.step, self.model)
        finally:
            for module, mode in modes.items():
                module.training = mode
        return {f"validation_{name}": float(figure) for name, figure in figures.items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON-able record of a checkpoint."""
        tensors = {f"weights.{name}": tensor for name, tensor in (self.parameters | self.buffers).items()}
        records = []
        for optimizer in self.optimizers:
            moments, record = optimizers.state_of(optimizer, self.names)
            tensors |= {f"optimizer.{name}": tensor for name, tensor in moments.items()}
            records.append(record)
        if self.ema is not None:
            tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.average.items()}
        tensors |= {f"window.{name}": torch.stack(figures) for name, figures in self.window.items()}
        return tensors, {"seconds": self.seconds, "scaler": self.scaler.state_dict(), "optimizers": records}

    def restore(self, path: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Take over the state of the checkpoint read from `path`."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "ema": {}, "window": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        wanted = self.parameters | self.buffers
        if missing := wanted.keys() - parts["weights"].keys():
            raise UserError(f"{path} lacks {min(missing)}, which this model trains: it belongs to another model.")
        copy_into(wanted, parts["weights"], path)
        if self.ema is not None:
            copy_into(self.ema.average, parts["ema"], path)
        for optimizer, kept in zip(self.optimizers, record["optimizers"], strict=True):
            optimizers.restore(optimizer, self.names, parts["optimizer"], kept)
        self.scaler.load_state_dict(record["scaler"])
        self.window = {name: list(figures.to(self.device).unbind()) for name, figures in parts["window"].items()}
        self.step, self.seconds = record["step"], record["seconds"]


class _StopSignals:
    """Turns the first SIGINT or SIGTERM into a wish to stop; a second acts as it would have without the loop."""

    def __init__(self) -> None:
        self.received = ""
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "_StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: object) -> None:
        self.received = signal.Signals(number).name
        self.__exit__()


def train(
    model: nn.Module,
    step_loss: StepLoss,
    settings: LoopSettings,
    folder: Path,
    *,
    validate: Validate | None = None,
    describe: str = "training",
    all_settings: dict[str, Any] | None = None,
) -> TrainResult:
    """Train the parameters of `model` that require gradients, in place, until done, stopped, or out of time.

    step_loss(i, generator) returns the scalar loss of batch i (0-based; step i, unless a step takes several, see
    `accumulate` and `processes`) and figures to log; it draws from `generator` (on the CPU) and runs under autocast.
    validate(steps_done, model) returns figures, logged as validation_<name>; it sees the EMA weights, eval mode and no
    gradients. The mode during the steps is the caller's.

    The folder gets settings.json, log.jsonl, checkpoints/ and, at the end, weights.safetensors (trained parameters and
    the model's persistent buffers) and with EMA ema.safetensors. `all_settings` (JSON-able) is kept in settings.json
    beside the loop's own. A run already finished is not repeated: its weights are loaded into `model`.

    SIGINT, SIGTERM and max_minutes end it after the current step with a checkpoint and finished=False. Raises UserError
    for a folder started with other settings, a loss that is not finite, a full disk.
    """
    folder = Path(folder)
    keep_freed_memory()
    trainer = _Trainer(model, settings)
    writes = distributed.is_first()
    if writes:
        claim(folder, {**(all_settings or {}), "loop": asdict(settings)})
    distributed.wait()
    checkpoints, log, weights = Checkpoints(folder), Log(folder), folder / "weights.safetensors"
    if weights.exists():
        load_weights(model, weights)
        minutes = max((row.get("seconds", 0.0) for row in log.rows()), default=0.0) / 60
        message = f"{describe} was finished before ({settings.steps} steps): its weights are {weights}."
        return TrainResult(settings.steps, True, minutes, message)

    last_good: Path | None = None
    if (latest := checkpoints.latest()) is not None:
        last_good = latest[0]
        trainer.restore(*latest)
    if writes:
        log.truncate(trainer.step)

    start, seconds_before = time.monotonic(), trainer.seconds
    logged_step, logged_at = trainer.step, start
    budget = settings.max_minutes * 60
    with (
        global_random_states_kept(trainer.device),
        _StopSignals() as signals,
        Progress(settings.steps, trainer.step, describe, budget) as progress,
    ):
        while trainer.step < settings.steps:
            trainer.advance(step_loss)
            step, last = trainer.step, trainer.step == settings.steps
            row: dict[str, Any] = {}
            if step % settings.log_every == 0 or last:
                trainer.check_finite(last_good)
                row = trainer.summary()
                now = time.monotonic()
                row["steps_per_second"] = (step - logged_step) / max(now - logged_at, 1e-9)
                row["peak_bytes"] = peak_memory(trainer.device)
                logged_step, logged_at = step, now
            if writes and validate and settings.validate_every and (step % settings.validate_every == 0 or last):
                row |= trainer.validate(validate)
            now = time.monotonic()
            trainer.seconds = seconds_before + now - start
            if row and writes:
                log.append({"step": step, "seconds": round(trainer.seconds, 3), **row})
            progress.update(step, f"loss {row['loss']:.4g}" if "loss" in row else None)
            reason = signals.received or ("the time budget" if budget and now - start >= budget else "")
            if distributed.any_of(bool(reason), trainer.device):
                reason = reason or "another process"
            if reason or last or (settings.checkpoint_every and step % settings.checkpoint_every == 0):
                trainer.check_finite(last_good)
                trainer.check_weights(last_good)
                if writes:
                    last_good = checkpoints.save(step, *trainer.state())
            if reason and not last:
                message = (
                    f"{describe} was stopped by {reason} after step {step} of {settings.steps}; "
                    f"start it again with the same settings to go on from {last_good}."
                )
                return TrainResult(step, False, trainer.seconds / 60, message)

    if writes and trainer.ema is not None:
        save_tensors(folder / "ema.safetensors", trainer.ema.average | trainer.buffers)
    # Written last: its presence says that the run is finished.
    if writes:
        save_tensors(weights, trainer.parameters | trainer.buffers)
    distributed.wait()
    message = f"{describe} finished after {settings.steps} steps: its weights are {weights}."
    return TrainResult(settings.steps, True, trainer.seconds / 60, message)
