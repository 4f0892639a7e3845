"""Words read back from captions."""

import math

import pytest
import torch

from comics_genai import world
from comics_genai.pretrain import (
    reading,
)


def test_the_words_of_a_caption_are_labels_and_what_it_leaves_out_is_not():
    scene = world.sample_scene(11)
    factors = list(world.WORDS)
    full, place = reading.labels([scene] * 2, [world.caption(scene), "a drawing of a girl, in the forest"])
    for i, factor in enumerate(factors):
        word = world.said(scene, world.caption(scene)).get(factor)
        assert full[i] == (world.WORDS[factor].index(word) if word else reading.UNSAID)
    assert (full != reading.UNSAID).sum() >= 10 and (place == reading.UNSAID).all()  # scene 11 is not in a forest


def test_the_reading_loss_asks_for_the_words_said_alone():
    reader = reading.Reader(width=24, dimension=16)
    said = torch.full((2, len(world.WORDS)), reading.UNSAID)
    said[0, 1] = 3
    knows = [torch.zeros(2, count) for count in reader.counts]
    knows[1][0, 3] = 50.0
    assert reading.reading_loss(knows, said) < 1e-6 and reading.accuracy(knows, said) == 1
    guesses = [torch.zeros(2, count) for count in reader.counts]
    assert reading.reading_loss(guesses, said) == pytest.approx(math.log(reader.counts[1]))
    assert reading.reading_loss(guesses, torch.full_like(said, reading.UNSAID)) == 0
    shapes = [tuple(part.shape) for part in reader.attend(torch.randn(2, 9, 24))]
    assert shapes == [tuple(part.shape) for part in reader.recall(torch.randn(2, 16))]
    assert shapes == [(2, len(words)) for words in world.WORDS.values()]
