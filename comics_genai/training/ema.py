"""Exponential moving average of trained parameters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class ExponentialMovingAverage:
    """Moving average of parameters, started at their values; buffers are not averaged.

    After step i (0-based): average <- d * average + (1 - d) * parameter, with d = min(decay, (1 + i) / (10 + i)).
    """

    def __init__(self, parameters: dict[str, Tensor], decay: float):
        self.parameters, self.decay = parameters, decay
        self.average = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.parameters.values()), 1 - decay)

    @contextmanager
    def weights(self) -> Iterator[None]:
        """A context in which the model holds the average. Afterwards it has exactly its own weights again."""
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._copy(self.average)
        try:
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])
