"""Heads that read every word of a caption from its embedding, so that the text encoders learn to keep all words.

For retrieval, an encoder only has to tell a caption from 127 others, so it may forget which colour belongs to what. The
heads are used only in training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from comics_genai import world

UNSAID = -100


def labels(scenes: Sequence[world.Scene], texts: Sequence[str]) -> Tensor:
    """The words of texts on their scenes, int16 (N, factors of world.WORDS): a word's number, or UNSAID."""
    rows = []
    for scene, text in zip(scenes, texts, strict=True):
        found = world.said(scene, text)
        rows.append([words.index(found[f]) if f in found else UNSAID for f, words in world.WORDS.items()])
    return torch.tensor(rows, dtype=torch.int16)


class Reader(nn.Module):
    """Predict the words of all factors from token features (B, L, width), and from an embedding (B, dimension)."""

    def __init__(self, width: int, dimension: int, key: int = 32):
        super().__init__()
        self.counts = [len(words) for words in world.WORDS.values()]
        self.queries = nn.Parameter(torch.randn(len(self.counts), key))
        self.keys = nn.Linear(width, key, bias=False)
        self.answers = nn.ModuleList(nn.Linear(width, count) for count in self.counts)
        self.from_embedding = nn.Linear(dimension, sum(self.counts))

    def attend(self, tokens: Tensor) -> list[Tensor]:
        """Logits (B, words) of each factor from the tokens that its query finds, as cross-attention would."""
        keys = self.keys(tokens)
        weights = (keys @ self.queries.T / keys.shape[-1] ** 0.5).softmax(1)  # (B, L, factors)
        found = torch.einsum("blf,blw->fbw", weights, tokens)
        return [answer(part) for answer, part in zip(self.answers, found, strict=True)]

    def recall(self, embedding: Tensor) -> list[Tensor]:
        """Logits (B, words) of each factor from the embedding of the whole caption."""
        return list(self.from_embedding(embedding).split(self.counts, -1))


def reading_loss(logits: Sequence[Tensor], said: Tensor) -> Tensor:
    """Cross-entropy over all words in the captions. said: int64 (B, factors), as `labels` returns them."""
    losses = [
        F.cross_entropy(part.float(), said[:, i], ignore_index=UNSAID, reduction="sum") for i, part in enumerate(logits)
    ]
    return torch.stack(losses).sum() / (said != UNSAID).sum().clamp(min=1)


def accuracy(logits: Sequence[Tensor], said: Tensor) -> float:
    """The share of the captions' words that are read."""
    right = torch.stack([part.argmax(-1) for part in logits], 1) == said
    return (right.sum() / (said != UNSAID).sum()).item()
