"""Optimizers by name, and their state as tensors and numbers, so that a run with any of them resumes exactly."""

import contextlib
import io
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from comics_genai.errors import UserError

Name = Literal["adamw", "adamw8bit", "adafactor", "prodigy"]
NAMES: tuple[Name, ...] = get_args(Name)


def build(
    name: Name, parameters: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float], decay: float
) -> torch.optim.Optimizer:
    """Build AdamW, AdamW with 8-bit moments, Adafactor or Prodigy.

    Loshchilov & Hutter 2019; Dettmers et al. 2022; Shazeer & Stern 2018; Mishchenko & Defazio 2024. Prodigy finds its
    own rate and wants a learning rate of 1. Schedule-free AdamW (Defazio et al. 2024) is left out. Its advantage is
    that the number of steps need not be known, but here it always is. Its price is a second set of weights, which would
    have to be exchanged at every validation and checkpoint.

    decay: decoupled weight decay. Raises UserError if the optimizer's package is missing.
    """
    parameters = list(parameters)
    options: dict[str, Any] = {"lr": learning_rate, "weight_decay": decay}
    if name == "adafactor":
        return torch.optim.Adafactor(parameters, **options)
    if name == "prodigy":
        prodigy = _package("prodigyopt", name).Prodigy
        with contextlib.redirect_stdout(io.StringIO()):  # it would print that the decay is decoupled
            return prodigy(parameters, betas=betas, use_bias_correction=True, safeguard_warmup=True, **options)
    if name == "adamw8bit":
        return _package("bitsandbytes", name).optim.AdamW8bit(parameters, betas=betas, **options)
    return torch.optim.AdamW(parameters, betas=betas, fused=parameters[0].device.type in ("cpu", "cuda"), **options)


def _package(package: str, name: Name) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise UserError(
            f"The optimizer {name} needs the package {package}: run `pip install {package}`, or choose adamw."
        ) from error


def state_of(optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]) -> tuple[dict[str, Tensor], Any]:
    """The state as tensors, named KEY.PARAMETER, and as JSON-able numbers of the parameters and of the groups."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, float]] = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{key}.{names[parameter]}"] = value
            else:
                numbers.setdefault(names[parameter], {})[key] = value
    groups = [{key: v for key, v in group.items() if key != "params"} for group in optimizer.param_groups]
    return tensors, {"parameters": numbers, "groups": groups}


def restore(
    optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str], tensors: Mapping[str, Tensor], record: Any
) -> None:
    """Load a state from `state_of`. Raises ValueError if moments are missing or do not fit their parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    index = {names[parameter]: i for i, parameter in enumerate(parameters)}
    state: dict[int, dict[str, Any]] = {i: dict(record["parameters"].get(name, {})) for name, i in index.items()}
    for key_and_name, tensor in tensors.items():
        key, _, name = key_and_name.partition(".")
        if name not in index:
            continue
        parameter = parameters[index[name]]
        # A moment has the memory layout of its parameter, but in the file it is contiguous.
        alike = tensor.shape == parameter.shape and tensor.dtype == parameter.dtype and key != "step"
        state[index[name]][key] = torch.empty_like(parameter).copy_(tensor) if alike else tensor
    _check_moments(optimizer, {parameters[i]: values for i, values in state.items() if values})
    groups = optimizer.state_dict()["param_groups"]
    for group, kept in zip(groups, record["groups"], strict=True):
        group.update({key: tuple(v) if isinstance(v, list) else v for key, v in kept.items()})
    optimizer.load_state_dict({"state": {i: s for i, s in state.items() if s}, "param_groups": groups})


def _check_moments(optimizer: torch.optim.Optimizer, state: Mapping[Tensor, Mapping[str, Any]]) -> None:
    adam = {"step", "exp_avg", "exp_avg_sq"} if isinstance(optimizer, torch.optim.AdamW) else set()
    for parameter, values in state.items():
        if missing := adam - values.keys():
            raise ValueError(f"no {min(missing)}")
        for key in adam - {"step"}:
            moment = values[key]
            if moment.shape != parameter.shape or moment.dtype != parameter.dtype:
                raise ValueError(f"{key} is {tuple(moment.shape)}, {moment.dtype}")
