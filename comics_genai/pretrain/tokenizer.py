"""The miniature's tokenizer: byte-level BPE as CLIP's, trained on captions; any prompt can be read."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

MAX_LENGTH = 77


def train_tokenizer(captions: list[str], folder: Path, vocabulary_size: int = 1024) -> CLIPTokenizer:
    """Trains on `captions` and saves vocab.json, merges.txt and the configuration in `folder`."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, end_of_word_suffix="</w>", show_progress=False, min_frequency=2
    )
    bpe.train_from_iterator((caption.lower() for caption in captions), trainer)
    merges = [tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]
    # Every byte, alone and at a word's end, so that no text has an unknown piece.
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer


def load(folder: Path) -> CLIPTokenizer:
    """The tokenizer saved in `folder`."""
    return CLIPTokenizer.from_pretrained(folder)


def encode(tokenizer: CLIPTokenizer, captions: list[str]):
    """Token ids (N, 77), padded as the pipeline pads."""
    return tokenizer(
        captions, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
