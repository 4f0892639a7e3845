"""The text encoders' losses."""

import math

import pytest
import torch

from comics_genai.pretrain import clip, tokenizer


def test_contrastive_loss_is_log_n_when_nothing_is_known_and_0_when_all_is():
    alike = torch.ones(8, 4) / 2
    assert clip.contrastive_loss(alike, alike, torch.tensor(10.0)) == pytest.approx(math.log(8))
    apart = torch.eye(8)
    assert clip.contrastive_loss(apart, apart, torch.tensor(100.0)) < 1e-6
    assert clip.contrastive_loss(apart, apart.roll(1, 0), torch.tensor(100.0)) == pytest.approx(100, abs=1e-3)


def test_the_barest_caption_says_more_than_the_class():
    variants = ["a drawing of a girl", "a drawing of a girl, smiling", "a drawing of a girl, smiling, in a room"]
    assert clip.barest(variants) == variants[1] and clip.fullest(variants) == variants[2]
    assert clip.barest(variants[:1]) == variants[0]


def test_padding_does_not_change_what_a_text_means(smoke, words):
    model = clip.load(smoke.folder / "clip", words)
    ids = tokenizer.encode(words, ["a drawing of a girl"])
    length = int((ids != words.eos_token_id).sum()) + 1
    whole_tokens, *whole = model.encode(ids)
    cut_tokens, *cut = model.encode(ids[:, :length])
    for a, b in ((whole_tokens[:, :length], cut_tokens), *zip(whole, cut, strict=True)):
        assert torch.allclose(a, b, atol=1e-5)
