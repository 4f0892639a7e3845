"""An adapter whose rank shrinks with the noise: T-LoRA's timestep-dependent rank (Soboleva et al., AAAI 2026).

    r(t) = r_min + floor((r - r_min) (T - t) / T)

At timestep t only the first r(t) of the r rows of each factor A are active. At high noise, where an adapter would
memorise the layout and pose of the few drawings, little of it is left. At low noise all of it draws the details.
"""

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn


def active_rank(rank: int, least: int, t: Tensor, steps: int) -> Tensor:
    """r(t), int (B,), from `least` to `rank`, for timesteps t (B,) in [0, steps)."""
    return least + ((rank - least) * (steps - t.float()) / steps).floor().long()


class ShrinkingRank:
    """Hooks on a UNet and on the factors A of its adapters, active from construction until `remove`."""

    def __init__(self, unet: nn.Module, least: int, steps: int):
        self.least, self.steps = least, steps
        self.t: Tensor | None = None
        self.handles = [unet.register_forward_pre_hook(self._note_timestep, with_kwargs=True)]
        for module in unet.modules():
            if isinstance(module, LoraLayer):
                self.handles += [factor.register_forward_hook(self._silence) for factor in module.lora_A.values()]

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _note_timestep(self, unet: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        t = named["timestep"] if "timestep" in named else arguments[1]
        self.t = torch.as_tensor(t).reshape(-1)

    def _silence(self, factor: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        channel = 1 if isinstance(factor, nn.Conv2d) else output.dim() - 1
        rank = output.shape[channel]
        kept = active_rank(rank, min(self.least, rank), self.t.to(output.device), self.steps)
        mask = torch.arange(rank, device=output.device) < kept[:, None]  # (B or 1, rank)
        shape = [1] * output.dim()
        shape[0], shape[channel] = len(mask), rank
        return output * mask.reshape(shape).to(output.dtype)
