"""Attention written out is attention."""

import torch
from torch.nn import functional as F

from comics_genai.bases.base import Base
from comics_genai.training import attention


def test_it_is_torchs_own_forward_and_backward():
    generator = torch.Generator().manual_seed(0)
    for tokens, others in ((16, 16), (64, 77), (1, 5)):
        given = [torch.randn(2, 3, n, 8, generator=generator, requires_grad=True) for n in (tokens, others, others)]
        gradient = torch.randn(2, 3, tokens, 8, generator=generator)
        expected = F.scaled_dot_product_attention(*given)
        for ours, theirs in zip(
            torch.autograd.grad(attention.attend(*given), given, gradient),
            torch.autograd.grad(expected, given, gradient),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(attention.attend(*given), expected)


def test_a_unet_says_the_same_through_it(tiny_sdxl, tiny_sd):
    for folder in (tiny_sdxl, tiny_sd):
        base = Base.load(folder)
        given = torch.randn(2, base.latent_channels, 8, 8), torch.tensor([3, 700])
        prompts = base.encode_prompts(["a girl jumping", ""])
        time_ids = base.time_ids(32, 32, count=2)
        expected = base.predict(*given, prompts, time_ids)
        attention.write_out(base.unet)
        torch.testing.assert_close(base.predict(*given, prompts, time_ids), expected)
        # Long sequences, whose scores would fill the memory, stay with the fused kernel.
        attention.MOST_SCORES, before = 0, attention.MOST_SCORES
        try:
            assert torch.equal(base.predict(*given, prompts, time_ids), expected)
        finally:
            attention.MOST_SCORES = before
