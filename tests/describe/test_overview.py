"""Duplicates, framing, likeness, the mean drawing."""

import numpy as np
import PIL.Image
import pytest
from PIL import ImageOps

from comics_genai.describe import overview, palette, studies
from comics_genai.drawings import Drawing
from comics_genai.errors import UserError
from tests.small_drawings import RED, WHITE, figure_on, noise, studied


def test_dhash_is_the_sign_of_horizontal_steps():
    rising = PIL.Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (8, 1)))
    assert overview.difference_hash(rising) == 2**64 - 1
    assert overview.difference_hash(ImageOps.mirror(rising)) == 0


def test_duplicates_are_found_the_same_resized_recoloured_and_mirrored():
    first = noise(0)
    set_of = [
        studied(first, "0"),
        studied(first.copy(), "same"),
        studied(first.resize((80, 80), PIL.Image.Resampling.LANCZOS), "smaller"),
        studied(ImageOps.mirror(first), "mirrored"),
        studied(noise(1), "other"),
    ]
    found = {(pair.first, pair.second): pair.kind for pair in overview.duplicates(set_of)}
    assert found[("0", "same")] == "identical"
    assert found[("0", "smaller")] == "near"
    assert found[("0", "mirrored")] == "mirrored"
    assert not any("other" in pair for pair in found)
    assert overview.duplicates_in_words(set_of[:2]) == ["0 and same are the same picture (0 of 64 bits differ)."]


def test_the_six_drawings_hold_no_duplicates(girl):
    assert overview.duplicates(girl) == []
    assert "00.png and 02.png, differ in 8 of 64 bits" in overview.duplicates_in_words(girl)[0]


def test_framing_tells_padding_crop_and_the_characters_box():
    square = PIL.Image.new("RGB", (200, 200), WHITE)
    square.paste(figure_on((250, 240, 200), RED, (200, 100), (30, 20, 70, 90)), (0, 50))
    study = studies.study(Drawing("wide.png", square, ""), studies.Stored(200, 100, "RGB", False, 8, 1))
    found = overview.framing(study)
    assert found.padded == found.cropped == 0.5
    assert found.box == (30, 20, 70, 90)
    assert found.character_cropped == pytest.approx(0.5)  # the crop keeps columns 50 to 150
    assert (found.character, found.margin) == (pytest.approx(0.14, abs=0.001), pytest.approx(0.05))
    assert overview.scaling(study, 512) == "enlarged to 256%" and overview.scaling(study, 100) == "reduced to 50%"


def test_likeness_is_one_for_the_same_and_less_for_others():
    set_of = [studied(noise(0)), studied(noise(0)), studied(noise(1))]
    for matrix in (overview.layout_similarity(set_of), overview.color_similarity(set_of)):
        assert matrix.shape == (3, 3) and np.array_equal(matrix, matrix.T)
        assert matrix[0, 1] == pytest.approx(1) and matrix[0, 2] < 0.6


def test_likeness_of_one_drawing_is_refused_in_a_sentence(girl):
    for compare in (overview.layout_similarity, overview.color_similarity, palette.left_out_distances):
        with pytest.raises(UserError, match="there is 1"):
            compare(girl[:1])


def test_mean_and_variation_of_black_and_white():
    set_of = [studied(PIL.Image.new("RGB", (64, 64), color)) for color in ((0, 0, 0), WHITE)]
    assert overview.mean_drawing(set_of, 32).getpixel((5, 5)) == (128, 128, 128)
    assert overview.variation(set_of, 32) == pytest.approx(50, abs=0.01)
    assert not overview.variation(set_of[:1], 32).any()
