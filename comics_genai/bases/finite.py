"""Numbers that are none, NaN or infinite, are errors that name where they are: never a black picture."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from comics_genai.errors import UserError


def not_finite(modules: Mapping[str, nn.Module]) -> Iterator[str]:
    """Names of the weights that hold NaN or infinite numbers, each behind its module's name."""
    for part, module in modules.items():
        for name, weight in [*module.named_parameters(), *module.named_buffers()]:
            if weight.is_floating_point() and not bool(weight.isfinite().all()):
                yield f"{part}.{name}"


def check_weights(modules: Mapping[str, nn.Module], base: str) -> None:
    """Raise UserError naming the first weight that is not finite. Reads all of them."""
    if (name := next(not_finite(modules), None)) is not None:
        of = f"an adapter on the base {base}" if "lora_" in name else f"the base {base}"
        raise UserError(f"{name} of {of} holds numbers that are NaN or infinite: the file is damaged, fetch it anew.")


def check_latents(finite: list[Tensor], modules: Mapping[str, nn.Module], base: str, precision: str) -> None:
    """Raise UserError unless the latents were finite after every step; it says whose weights or which step broke them.

    finite: a flag each step, still on the device. Waits for it.
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
    """Raise UserError unless the tensor is finite, naming the weights that broke it, or else `what` was made of."""
    if bool(tensor.isfinite().all()):
        return
    check_weights(modules, base)
    raise UserError(
        f"{what} has numbers that are NaN or infinite, with the base {base}: use a lower guidance or adapter scale."
    )
