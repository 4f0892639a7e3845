"""Attention for short sequences on a CPU, as two matrix products: softmax(q k^T / sqrt(d)) v.

torch's fused kernel never stores the scores, which long sequences need. But on a CPU without AMX, its backward pass in
bf16 does not use the processor's bf16 instructions. It took a third of a LoRA step of the miniature; the two products
take a fifth of that.
"""

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional as F

MOST_SCORES = 1024**2  # scores of a head: storing more of them costs more memory than the time is worth


class PlainAttention:
    """A diffusers attention processor for the transformer blocks of SD and SDXL, which use no masks and no norms.

    On a GPU and for long sequences it calls torch's fused kernel.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attention of hidden_states (B, N, c) to encoder_hidden_states (B, M, c'), or to itself if None: (B, N, c)."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)
        q, k, v = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (q, k, v))
        attended = attend(q, k, v).transpose(1, 2).flatten(2)
        to_out, dropout = attn.to_out
        return dropout(to_out(attended))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of q (B, heads, N, d) to k and v (B, heads, M, d): like q."""
    if q.device.type != "cpu" or q.shape[-2] * k.shape[-2] > MOST_SCORES:
        return F.scaled_dot_product_attention(q, k, v)
    shape, scale = q.shape, q.shape[-1] ** -0.5
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    # With beta = 0 the first argument is not read, and the scale needs no pass of its own.
    scores = torch.baddbmm(q.new_empty(()).expand(len(q), q.shape[1], k.shape[1]), q, k.mT, beta=0, alpha=scale)
    return (scores.softmax(-1) @ v).reshape(shape)


def write_out(unet: nn.Module) -> None:
    """Use `PlainAttention` for all attention of a UNet."""
    unet.set_attn_processor(PlainAttention())
