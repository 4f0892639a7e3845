"""What the steps read: padded borders count nothing, drawings as often as they should, prior pictures are exact."""

import numpy as np
import PIL.Image
import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.drawings import Drawing
from comics_genai.finetuning.encoded_data import prepare, turns_of
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.sampling.generate import Sampling


@pytest.fixture
def base(tiny_sdxl) -> Base:
    return Base.load(tiny_sdxl)


def drawing(name: str, caption: str = "", **options) -> Drawing:
    return Drawing(name, PIL.Image.new("RGB", (32, 32), (90, 40, 160)), caption, **options)


def settings(**options) -> FinetuneSettings:
    return FinetuneSettings(identifier="sks", variants=2, sampling=Sampling(steps=1), **options)


@pytest.mark.parametrize(
    ("repeats", "turns"),
    [([1, 1, 1], [0, 1, 2]), ([2, 1], [0, 1, 0]), ([4, 1, 1], [0, 0, 1, 2, 0, 0]), ([3], [0, 0, 0])],
)
def test_drawings_take_turns_as_often_as_they_count(repeats, turns):
    assert turns_of(repeats).tolist() == turns


def test_the_padded_border_counts_nothing_in_the_loss(base, tmp_path):
    square, wide = drawing("square.png"), drawing("wide.png", box=(0, 8, 32, 24))
    assert prepare(base, [square, square], settings(), tmp_path).cell_weights is None
    data = prepare(base, [square, wide], settings(mirror=True), tmp_path)
    shares = data.cell_weights[:, 0, 0]  # the drawings themselves, not their variants
    rows = shares.shape[-2]
    assert shares.shape[0] == 4 and torch.equal(shares[0], torch.ones_like(shares[0]))
    for wide_one in (shares[1], shares[3]):
        assert (wide_one[: rows // 4] == 0).all() and (wide_one[-rows // 4 :] == 0).all()
        assert (wide_one[rows // 4 : -rows // 4] == 2).all()
    torch.testing.assert_close(data.cell_weights.mean((-2, -1)), torch.ones(4, 2, 1))


def test_the_border_counts_nothing_beside_a_background_that_counts_half(base, tmp_path):
    mask = PIL.Image.fromarray(np.repeat(np.repeat([[0, 255]], 32, 0), 16, 1).astype(np.uint8))
    wide = drawing("wide.png", box=(0, 8, 32, 24), mask=mask)
    data = prepare(base, [wide, wide], settings(background_weight=0.5), tmp_path)
    middle, top = data.cell_weights[0, 0, 0, 4], data.cell_weights[0, 0, 0, 0]
    assert (top == 0).all() and middle[0] * 2 == middle[-1]


@pytest.mark.parametrize(("asked", "captions"), [(5, "ab"), (4, "ab"), (1, "ab"), (3, "aa"), (7, "abc")])
def test_exactly_as_many_prior_pictures_are_drawn_as_asked_spread_over_the_prompts(base, tmp_path, asked, captions):
    character = [drawing(f"{i}.png", f"sks, a girl, {caption}") for i, caption in enumerate(captions)]
    data = prepare(base, character, settings(prior="images", class_images=asked), tmp_path)
    assert len(data.class_latents) == len(data.class_of) == asked == len(list(tmp_path.glob("*.png")))
    per_prompt = [sum(data.class_texts[i] == text for i in data.class_of) for text in dict.fromkeys(data.class_texts)]
    assert sum(per_prompt) == asked and max(per_prompt) - min(per_prompt) <= 1
