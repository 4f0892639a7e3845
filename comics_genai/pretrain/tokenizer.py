"""The miniature's tokenizer: byte-level BPE like CLIP's, trained on captions. It can read any text.

Both text encoders use it, padded with its end token (as CLIP ViT-L's is).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTokenizer

from comics_genai.files import write_atomic

MAX_LENGTH = 77
FILES = ("vocab.json", "merges.txt")  # of the original format, which other programs read; transformers: tokenizer.json


@dataclass(frozen=True)
class TokenizerSettings:
    """scenes: number of scenes whose captions are used. pieces: the most pieces, besides 512 for single bytes."""

    scenes: int = 4000
    pieces: int = 1024


def train_tokenizer(captions: Sequence[str], folder: Path, vocabulary_size: int = 1024) -> CLIPTokenizer:
    """Learn pieces from `captions`, and save vocab.json, merges.txt and the configuration in `folder`."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, end_of_word_suffix="</w>", show_progress=False, min_frequency=2
    )
    bpe.train_from_iterator((caption.lower() for caption in captions), trainer)
    merges = [tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]
    # Every byte is a piece, alone and at the end of a word, so that no text has an unknown piece.
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(folder)
    vocabulary_file, merges_file = (folder / name for name in FILES)
    write_atomic(merges_file, "\n".join(["#version: 0.2", *map(" ".join, merges), ""]).encode())
    write_atomic(vocabulary_file, json.dumps(vocabulary, ensure_ascii=False).encode())
    return tokenizer


def is_trained(folder: Path) -> bool:
    """Whether `folder` holds a whole tokenizer."""
    return (folder / FILES[0]).exists()


def load(folder: Path) -> CLIPTokenizer:
    """The tokenizer saved in `folder`."""
    return CLIPTokenizer.from_pretrained(folder)


def encode(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Token ids int64 (N, 77), padded and cut as the pipeline does."""
    return tokenizer(
        list(captions), padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
