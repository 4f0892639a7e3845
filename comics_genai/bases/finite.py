"""NaN and infinite numbers become errors that name their place, instead of a black picture."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from comics_genai.errors import UserError


def not_finite(modules: Mapping[str, nn.Module]) -> Iterator[str]:
    """The names of the weights that hold NaN or infinite numbers, with their module's name as prefix."""
    for part, module in modules.items():
        for name, weight in [*module.named_parameters(), *module.named_buffers()]:
            if weight.is_floating_point() and not bool(weight.isfinite().all()):
                yield f"{part}.{name}"


def check_weights(modules: Mapping[str, nn.Module], base: str) -> None:
    """Raise UserError that names the first weight that is not finite. All weights are read."""
    if (name := next(not_finite(modules), None)) is not None:
        of = f"an adapter on the base {base}" if "lora_" in name else f"the base {base}"
        raise UserError(f"{name} of {of} holds numbers that are NaN or infinite: the file is damaged, fetch it anew.")


def check_latents(finite: list[Tensor], modules: Mapping[str, nn.Module], base: str, precision: str) -> None:
    """Raise UserError unless the latents were finite after every step. It names the weights or the step at fault.

    finite: one flag for each step, still on the device; this waits for them.
    """
    flags = torch.stack(finite).tolist()
    if all(flags):
        return
    check_weights(modules, base)
    mend = "use --precision fp32, or" if precision == "fp16" else "use"
    raise UserError(
        f"The latents are NaN or infinite after step {flags.index(False) + 1} of {len(flags)}: {mend} a lower guidance "
        "or adapter scale, or another scheduler."
    )


def check_tensor(tensor: Tensor, what: str, modules: Mapping[str, nn.Module], base: str) -> None:
    """Raise UserError unless the tensor is finite. It names the weights at fault, or else `what` the tensor is."""
    if bool(tensor.isfinite().all()):
        return
    check_weights(modules, base)
    raise UserError(
        f"{what} has numbers that are NaN or infinite, with the base {base}: use a lower guidance or adapter scale."
    )
