"""The only training loop: steps, schedule, EMA, precision, checkpoints, exact resume, log, progress, time budget.

    result = train(model, step_loss, LoopSettings(steps=1000), Path("run"))

After any interruption, the same call resumes the run. Its final weights equal those of an uninterrupted run byte for
byte (on a GPU, as far as the kernels are deterministic). Every random draw of step i is a function of (seed, i), see
`seeding`, so checkpoints hold no random states.
"""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from comics_genai.errors import UserError
from comics_genai.files import load_weights, save_tensors
from comics_genai.hardware import peak_memory
from comics_genai.progress import Progress
from comics_genai.run import EMA_FILE, FULL_FILE, claim, held, steps_of
from comics_genai.training import distributed
from comics_genai.training.allocator import keep_freed_memory
from comics_genai.training.checkpoint import Checkpoints, Log
from comics_genai.training.loop_settings import LoopSettings
from comics_genai.training.seeding import global_random_states_kept
from comics_genai.training.stopping import StopSignals
from comics_genai.training.trainer import StepLoss, Trainer, Validate

__all__ = ["LoopSettings", "StepLoss", "TrainResult", "Validate", "train"]


@dataclass(frozen=True)
class TrainResult:
    """Where training ended: the steps done, whether they are all, the minutes of all starts, and a sentence."""

    step: int
    finished: bool
    minutes: float
    message: str
    stopped_by: str = ""  # the signal, or "the time budget"


def train(
    model: nn.Module,
    step_loss: StepLoss,
    settings: LoopSettings,
    folder: Path,
    *,
    validate: Validate | None = None,
    describe: str = "training",
    all_settings: dict[str, Any] | None = None,
    extend: bool = False,
) -> TrainResult:
    """Train the parameters of `model` that require gradients, in place, until all steps are done or it is stopped.

    step_loss(i, generator) returns the scalar loss of batch i (from 0) and figures to log. It draws its random numbers
    from `generator` (on the CPU) and runs under autocast. A step takes one batch, or several with `accumulate` and
    several processes. validate(steps_done, model) returns figures, which are logged as validation_<name>. It runs with
    the EMA weights, in eval mode, without gradients. During the steps the model is in the mode that the caller chose.

    The folder gets settings.json, log.jsonl, checkpoints/ and, at the end, weights.safetensors (trained parameters and
    the model's persistent buffers), with EMA also ema.safetensors. `all_settings` (JSON-able) is written to
    settings.json beside the loop's own. A finished run is not repeated: its weights are loaded into `model`.

    A signal (see `stopping`) or max_minutes ends training after the current step, with a checkpoint and finished=False.
    extend: the run may have been started with fewer steps. It then resumes from its last checkpoint, and the learning
    rate follows the schedule over the new number of steps. Raises UserError if the folder was started with other
    settings or is in use by another process, if the loss is not finite, or if the disk is full.
    """
    keep_freed_memory()
    folder, trainer, writes = Path(folder), Trainer(model, settings), distributed.is_first()
    with held(folder) if writes else nullcontext():
        if writes:
            claim(folder, {**(all_settings or {}), "loop": asdict(settings)}, extend)
        distributed.wait()
        weights = folder / FULL_FILE
        if weights.exists() and steps_of(weights) in (None, settings.steps):
            load_weights(model, weights)
            minutes = max((row.get("seconds", 0.0) for row in Log(folder).rows()), default=0.0) / 60
            message = f"{describe} was finished before ({settings.steps} steps): its weights are {weights}."
            return TrainResult(settings.steps, True, minutes, message)
        last_good = _go_on(trainer, folder, extend)
        if (stopped := _take_steps(trainer, step_loss, folder, validate, describe, last_good)) is not None:
            return stopped
        if writes and trainer.ema is not None:
            save_tensors(folder / EMA_FILE, trainer.ema.average | trainer.buffers)
        # This file is written last, because its presence says that the run is finished.
        if writes:
            save_tensors(weights, trainer.parameters | trainer.buffers, {"step": settings.steps})
        distributed.wait()
    message = f"{describe} finished after {settings.steps} steps: its weights are {weights}."
    return TrainResult(settings.steps, True, trainer.seconds / 60, message)


def _go_on(trainer: Trainer, folder: Path, extend: bool) -> Path | None:
    """Resume from the newest checkpoint that can be read, and return its path; None if there is none."""
    last_good = None
    if (latest := Checkpoints(folder).latest()) is not None:
        last_good = latest[0]
        trainer.restore(*latest, extend)
    elif (folder / FULL_FILE).exists():
        raise UserError(
            f"The run in {folder} has its weights but no checkpoint to train on from: start a new run with more steps."
        )
    if distributed.is_first():
        Log(folder).truncate(trainer.step)
    return last_good


def _take_steps(
    trainer: Trainer,
    step_loss: StepLoss,
    folder: Path,
    validate: Validate | None,
    describe: str,
    last_good: Path | None,
) -> TrainResult | None:
    """Take the steps that are left, with log, validation and checkpoints.

    None if all are done, else where it stopped.
    """
    settings, checkpoints, log, writes = trainer.settings, Checkpoints(folder), Log(folder), distributed.is_first()
    start, seconds_before = time.monotonic(), trainer.seconds
    logged_step, logged_at = trainer.step, start
    budget = settings.max_minutes * 60
    with (
        global_random_states_kept(trainer.device),
        StopSignals() as signals,
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
                return TrainResult(step, False, trainer.seconds / 60, message, reason)
    return None
