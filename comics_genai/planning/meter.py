"""Count the memory and kernels of a phase of fine-tuning by running it without numbers, on the meta device.

    cost = training_step(unet, latents=(2, 4, 128, 128), half=torch.float16)
    cost.peak, cost.parts, cost.kernels

All operations of a real forward and backward pass are run on shapes alone. Tensors are created and freed as on a GPU,
under CUDA's autocast rules, with attention that never stores its scores. CUDA's context, the workspaces of its
libraries and gaps in its allocator's memory are not counted.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import flop_registry

from comics_genai.planning.gpus import Kernel
from comics_genai.training import optimizers

aten = torch.ops.aten
BLOCK = 512  # bytes: CUDA's allocator hands out multiples of it
HALVES = (torch.float16, torch.bfloat16)
# The functions in CUDA's lists (ATen/autocast_mode.h) that these models call.
IN_HALF = {F.linear, F.conv2d, torch.matmul, torch.bmm, torch.baddbmm}
IN_FP32 = {F.layer_norm, F.group_norm, F.interpolate}


@dataclass(frozen=True)
class Cost:
    """The cost of a phase: the bytes of each part at the moment of the peak, and all kernels."""

    parts: dict[str, int]
    kernels: Counter[Kernel]

    @property
    def peak(self) -> int:
        return sum(self.parts.values())


class Meter(TorchDispatchMode):
    """A context that counts the live bytes of tensors by part, their peak, and the kernels that are run.

    A tensor is of part "activations" unless `assign` says otherwise. A trained weight's copy in half precision is of
    part "copies".
    """

    def __init__(self, block: int = BLOCK) -> None:
        super().__init__()
        self.block = block
        self.live: dict[int, tuple[int, str, weakref.ref]] = {}  # by storage: bytes, part
        self.parts: Counter[str] = Counter()
        self.peak, self.at_peak = 0, dict[str, int]()
        self.kernels: Counter[Kernel] = Counter()

    def assign(self, tensors: Iterable[Tensor], part: str) -> None:
        """Count the tensors as `part`, whether they were seen before or not."""
        for tensor in tensors:
            self._see(tensor, part)
            key = tensor.untyped_storage()._cdata
            size, old, reference = self.live[key]
            self.live[key] = size, part, reference
            self.parts[old] -= size
            self.parts[part] += size

    def start(self) -> None:
        """Reset the peak and the kernels."""
        self.kernels.clear()
        self.peak, self.at_peak = self.parts.total(), dict(self.parts)

    def cost(self) -> Cost:
        return Cost({part: size for part, size in self.at_peak.items() if size}, Counter(self.kernels))

    def _see(self, tensor: Tensor, part: str) -> bool:
        """Count a tensor's storage; False if it is counted already."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live:
            return False
        size = -(-storage.nbytes() // self.block) * self.block
        self.live[key] = size, part, weakref.ref(storage, lambda _: self._forget(key))
        self.parts[part] += size
        if (total := self.parts.total()) > self.peak:
            self.peak, self.at_peak = total, dict(self.parts)
        return True

    def _forget(self, key: int) -> None:
        size, part, _ = self.live.pop(key)
        self.parts[part] -= size

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if function.is_view:
            return result
        part = "activations"
        if function is aten._to_copy.default:
            source = self.live.get(args[0].untyped_storage()._cdata)
            part = "copies" if source and source[1] == "trainable" else part
        outputs = list(_tensors(result))
        fresh = [self._see(tensor, part) for tensor in outputs]
        if (any(fresh) and "empty" not in function.__name__) or function._schema.is_mutable:
            count = flop_registry.get(function._overloadpacket)
            flops = count(*args, **kwargs, out_val=result) if count else 0
            moved = sum(tensor.numel() * tensor.element_size() for tensor in [*_tensors(args), *outputs])
            half = bool(outputs) and outputs[0].dtype in HALVES
            self.kernels[Kernel(flops, moved, half)] += 1
        return result


def _tensors(nested: Any) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, list | tuple):
        for element in nested:
            yield from _tensors(element)


class CudaArithmetic(TorchFunctionMode):
    """A context in which operations have the types and kernels of a GPU.

    They are autocast to `half` (None: off), and attention is the memory-efficient kernel. The meta device's own
    autocast has no rules.
    """

    def __init__(self, half: torch.dtype | None) -> None:
        super().__init__()
        self.half = half

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        cast = self._in_half if function in IN_HALF else self._in_fp32 if function in IN_FP32 else None
        if self.half and cast:
            return function(*map(cast, args), **{name: cast(value) for name, value in kwargs.items()})
        return function(*args, **kwargs)

    def _attention(
        self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        q, k, v = (self._in_half(tensor) if self.half else tensor for tensor in (q, k, v))
        needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (q, k, v))
        return aten._scaled_dot_product_efficient_attention(
            q, k, v, attn_mask, needs_gradient, dropout_p, is_causal, scale=scale
        )[0]

    def _in_half(self, value: Any) -> Any:
        # The loop's autocast does not cache copies of weights.
        return value.to(self.half) if isinstance(value, Tensor) and value.is_floating_point() else value

    def _in_fp32(self, value: Any) -> Any:
        return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def weights_bytes(modules: Iterable[nn.Module], dtype: torch.dtype = torch.float32) -> int:
    """The bytes of the modules' parameters and buffers in `dtype`."""
    return sum(t.numel() for module in modules for t in [*module.parameters(), *module.buffers()]) * dtype.itemsize


def parameters_bytes(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() * parameter.itemsize for parameter in parameters)


def optimizer_bytes(parameters: Iterable[Tensor], optimizer: optimizers.Name) -> int:
    """The bytes of an optimizer's state.

    AdamW keeps two float32 moments of each number. With adamw8bit they take one byte each and a scale for 256 numbers,
    in tensors of at least 4096 numbers (bitsandbytes' blockwise quantization). Prodigy keeps four float32 numbers, and
    Adafactor one for each row and each column.
    """
    parameters = list(parameters)
    numbers = [parameter.numel() for parameter in parameters]
    if optimizer == "adamw8bit":
        return sum(2 * (n + 4 * -(-n // 256)) if n >= 4096 else 8 * n for n in numbers)
    if optimizer == "adafactor":
        return sum(
            4 * (n if p.ndim < 2 else p.shape[0] + n // p.shape[0]) for p, n in zip(parameters, numbers, strict=True)
        )
    return sum((16 if optimizer == "prodigy" else 8) * n for n in numbers)


def unet_inputs(
    unet: nn.Module, latents: tuple[int, int, int, int]
) -> tuple[tuple[Tensor, ...], dict[str, Tensor] | None]:
    """Latents, timesteps, 77 embedded tokens and, if the UNet needs it, SDXL's micro-conditioning; without values."""
    config, count, device = unet.config, latents[0], unet.device
    hidden = torch.empty(count, 77, config.cross_attention_dim, device=device)
    inputs = torch.empty(latents, device=device), torch.zeros(count, dtype=torch.long, device=device), hidden
    if config.addition_embed_type != "text_time":
        return inputs, None
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    added = {"text_embeds": torch.empty(count, pooled, device=device), "time_ids": torch.zeros(count, 6, device=device)}
    return inputs, added


def training_step(
    unet: nn.Module,
    latents: tuple[int, int, int, int],
    half: torch.dtype | None,
    checkpointing: bool = False,
    fused_backward: bool = False,
    block: int = BLOCK,
) -> Cost:
    """The cost of a forward and backward pass of the UNet on latents (B, channels, h, w), with a squared error.

    Parts: weights (frozen), trainable, copies, gradients, activations. The optimizer's state has a constant size and is
    not included. fused_backward: each gradient is used and freed as soon as it is there.
    """
    trained = [p for p in unet.parameters() if p.requires_grad]
    frozen = [t for t in [*unet.parameters(), *unet.buffers()] if not t.requires_grad]
    meter = Meter(block)

    def keep(parameter: nn.Parameter) -> None:
        meter.assign([parameter.grad], "gradients")

    def use(parameter: nn.Parameter) -> None:
        keep(parameter)
        parameter.grad.float().square().sum()  # for its norm, as the loop does
        parameter.grad = None

    hooks = [p.register_post_accumulate_grad_hook(use if fused_backward else keep) for p in trained]
    if checkpointing:
        unet.enable_gradient_checkpointing(_checkpoint_under(half))
    else:
        unet.disable_gradient_checkpointing()
    unet.train()
    try:
        with meter:
            meter.assign(frozen, "weights")
            meter.assign(trained, "trainable")
            inputs, added = unet_inputs(unet, latents)
            meter.start()
            with CudaArithmetic(half):
                prediction = unet(*inputs, added_cond_kwargs=added, return_dict=False)[0]
            loss = (prediction.float() - inputs[0]).square().mean()
            del prediction
            torch.autograd.backward(loss)
    finally:
        for hook in hooks:
            hook.remove()
        unet.zero_grad(set_to_none=True)
    return meter.cost()


def _checkpoint_under(half: torch.dtype | None) -> Callable[..., Any]:
    """Gradient checkpointing whose second forward pass runs under the same autocast rules as the first."""

    def run(module: nn.Module, *args: Any) -> Any:
        contexts = lambda: (nullcontext(), CudaArithmetic(half))  # noqa: E731
        return checkpoint(module.__call__, *args, use_reentrant=False, context_fn=contexts)

    return run


@torch.no_grad()
def forward_pass(function: Callable[[], Any], modules: Iterable[nn.Module], half: torch.dtype | None) -> Cost:
    """The cost of `function` without gradients: its kernels and activations, without the weights of `modules`."""
    meter = Meter()
    with meter, CudaArithmetic(half):
        meter.assign((t for module in modules for t in [*module.parameters(), *module.buffers()]), "weights")
        meter.start()
        function()
    cost = meter.cost()
    return Cost({"activations": cost.parts.get("activations", 0)}, cost.kernels)
