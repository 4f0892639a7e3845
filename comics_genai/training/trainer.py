"""A model in training: it takes optimizer steps, checks its numbers, and goes into a checkpoint and back."""

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from comics_genai.errors import UserError
from comics_genai.files import copy_into
from comics_genai.run import MAY_CHANGE, first_difference, step_in_name
from comics_genai.training import distributed, optimizers
from comics_genai.training.ema import ExponentialMovingAverage
from comics_genai.training.loop_settings import LoopSettings, learning_rate_at
from comics_genai.training.seeding import seed_step

StepLoss = Callable[[int, torch.Generator], tuple[Tensor, dict[str, Tensor]]]
Validate = Callable[[int, nn.Module], dict[str, float]]


class Trainer:
    """A model with everything that changes during training; `state` and `restore` carry it through a checkpoint."""

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
        self.squared_norms: list[Tensor] = []  # of gradients that are freed already
        if settings.fused_backward:
            for (parameter,), optimizer in zip(each, self.optimizers, strict=True):
                parameter.register_post_accumulate_grad_hook(partial(self._update, optimizer))
        # Only fp16 gradients underflow; in other precisions the scaler does nothing.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self.ema = ExponentialMovingAverage(self.parameters, settings.ema_decay) if settings.ema_decay else None
        self.step = 0  # steps done
        self.seconds = 0.0  # spent on them, over all starts
        # Figures since the last log row stay on the device, because reading one waits for the device.
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
        """Update all weights by their gradients; returns the norm of the gradients."""
        (optimizer,) = self.optimizers
        distributed.average(p.grad for p in self.parameters.values() if p.grad is not None)
        self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm or math.inf)
        self.scaler.step(optimizer)
        self.scaler.update()
        return norm.detach().float()

    def _update(self, optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> None:
        """Within the backward pass, update one weight and free its gradient."""
        distributed.average([parameter.grad])
        self.squared_norms.append(parameter.grad.detach().float().square().sum())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _step_fused(self) -> Tensor:
        """After the backward pass has updated all weights: the norm of the gradients that they had."""
        norm, self.squared_norms = torch.stack(self.squared_norms).sum().sqrt(), []
        return norm

    def check_finite(self, last_good: Path | None) -> None:
        """Raise UserError if a loss or a gradient since the last log row is not finite: the weights are lost then."""
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
        """Raise UserError if the last update made a weight NaN or infinite, which no loss has shown yet."""
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
        """The figures of `validate`, in eval mode, without gradients, with the EMA weights if there are any."""
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
        record = {"seconds": self.seconds, "scaler": self.scaler.state_dict(), "optimizers": records}
        return tensors, record | {"loop": asdict(self.settings), "threads": torch.get_num_threads()}

    def restore(self, path: Path, tensors: dict[str, Tensor], record: dict[str, Any], extend: bool = False) -> None:
        """Load the state of the checkpoint that was read from `path`. Raises UserError if it is of another training."""
        self._check_record(path, record, extend)
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "ema": {}, "window": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part not in parts:
                raise UserError(
                    f"{path} holds {name}, which is not part of a checkpoint: delete it to resume from the one before."
                )
            parts[part][rest] = tensor
        wanted = self.parameters | self.buffers
        averages = {} if self.ema is None else self.ema.average
        for kind, targets in (("weights", wanted), ("ema", averages)):
            if missing := targets.keys() - parts[kind].keys():
                raise UserError(f"{path} lacks {min(missing)}, which this model trains: it belongs to another model.")
            for name in targets:
                if parts[kind][name].dtype != targets[name].dtype:
                    raise UserError(f"{path} holds {name} as {parts[kind][name].dtype}: it belongs to another model.")
        copy_into(wanted, parts["weights"], path)
        if self.ema is not None:
            copy_into(self.ema.average, parts["ema"], path)
        try:
            for optimizer, kept in zip(self.optimizers, record["optimizers"], strict=True):
                optimizers.restore(optimizer, self.names, parts["optimizer"], kept)
            self.scaler.load_state_dict(record["scaler"])
            seconds = float(record["seconds"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise UserError(
                f"{path} lacks a part of the optimizer's state ({error}): delete it to go on from the one before."
            ) from error
        self.window = {name: list(figures.to(self.device).unbind()) for name, figures in parts["window"].items()}
        self.step, self.seconds = record["step"], seconds

    def _check_record(self, path: Path, record: dict[str, Any], extend: bool) -> None:
        step = record.get("step")
        if step != step_in_name(path) or not 0 <= step <= self.settings.steps:
            raise UserError(
                f"{path} says that it is of step {step}, and this training has {self.settings.steps}: delete it."
            )
        free = MAY_CHANGE | {"steps"} if extend else MAY_CHANGE
        known = record.get("loop") or {}
        now = {name: value for name, value in asdict(self.settings).items() if name in known}
        if (difference := first_difference(known, now, free)) is not None:
            name, before, after = difference
            raise UserError(
                f"{path} was trained with {name} = {before}, and now {name} = {after}: use the earlier value to go on, "
                "or another folder for a new run."
            )
        threads = record.get("threads")
        if self.device.type == "cpu" and threads not in (None, torch.get_num_threads()):
            warnings.warn(
                f"The run was trained with {threads} threads and goes on with {torch.get_num_threads()}: the last bits "
                f"of its weights become others; OMP_NUM_THREADS={threads} keeps them.",
                stacklevel=2,
            )
