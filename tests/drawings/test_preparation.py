"""Strokes stand out from their paper, and what a square is padded with goes on as the drawing does."""

import warnings

import numpy as np
import PIL.Image
import pytest

from comics_genai import drawings
from comics_genai.drawings.preparation import box_in_square, chosen_paper, paper_of, to_square
from comics_genai.errors import UserError

WHITE, GREY, BLACK = (255, 255, 255), (128, 128, 128), (0, 0, 0)


def stroke(*inks) -> PIL.Image.Image:
    """Lines of these colours, one under the other, on transparency."""
    pixels = np.zeros((80, 80, 4), np.uint8)
    for i, ink in enumerate(inks):
        pixels[10 + 8 * i : 14 + 8 * i, 10:60] = (*ink, 255)
    return PIL.Image.fromarray(pixels)


def layers(picture: PIL.Image.Image):
    return picture.convert("RGB"), picture.getchannel("A")


PAPER = {
    "dark": ([stroke(BLACK)], WHITE),
    "white": ([stroke(WHITE)], BLACK),
    "pale": ([stroke((250, 240, 235))], BLACK),
    "a white drawing with an outline": ([stroke(WHITE, WHITE, WHITE, BLACK)], WHITE),
    "one dark, one white": ([stroke(BLACK), stroke(WHITE)], GREY),
    "none": ([], WHITE),
}


@pytest.mark.parametrize("name", PAPER)
def test_paper_is_white_unless_a_drawing_would_vanish_on_it(name):
    pictures, paper = PAPER[name]
    assert chosen_paper([layers(picture) for picture in pictures]) == paper


def load(folder, **options):
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = drawings.load(folder, **options)
    return found, [str(note.message) for note in notes]


def test_white_strokes_get_a_paper_they_show_on_and_a_given_one_on_which_they_vanish_is_told(tmp_path):
    for i in range(2):
        stroke(WHITE, *[WHITE] * i).save(tmp_path / f"{i}.png")
    found, notes = load(tmp_path)
    assert [drawing.image.getpixel((5, 5)) for drawing in found] == [BLACK, BLACK]
    assert found[0].image.getpixel((20, 12)) == WHITE
    assert len(notes) == 1 and "is laid on #000000, since pale strokes would vanish on white: --paper" in notes[0]
    found, notes = load(tmp_path, paper="#f8f8f8")
    assert found[0].image.getpixel((5, 5)) == (248, 248, 248)
    assert notes == [f"{i}.png nearly vanishes on paper #f8f8f8: choose another colour by --paper." for i in range(2)]
    assert load(tmp_path, paper="navy")[1] == []


def test_paper_is_a_colour():
    assert [paper_of(text) for text in ("auto", "white", "#102030")] == [None, WHITE, (16, 32, 48)]
    with pytest.raises(UserError, match="The paper 'cardboard' is not a colour: give auto, a name such as white"):
        paper_of("cardboard")


def test_padding_goes_on_as_the_border_does():
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:20], pixels[20:] = (90, 160, 250), (60, 140, 40)  # sky above a meadow
    square = np.asarray(to_square(PIL.Image.fromarray(pixels)))
    assert square.shape == (80, 80, 3)
    assert (square[:40] == (90, 160, 250)).all() and (square[40:] == (60, 140, 40)).all()


@pytest.mark.parametrize(
    ("size", "to", "box"),
    [((80, 80), None, None), ((80, 40), None, (0, 20, 80, 60)), ((40, 81), None, (20, 0, 60, 81)),
     ((80, 40), 40, (0, 10, 40, 30))],
)  # fmt: skip
def test_the_box_says_where_in_the_square_the_drawing_is(size, to, box):
    assert box_in_square(*size, to) == box
    picture = PIL.Image.new("L", size, 255)
    if box:
        outside = np.asarray(to_square(picture, to, 0)).copy()
        left, top, right, bottom = box
        assert outside[top:bottom, left:right].min() >= 235
        outside[top:bottom, left:right] = 0
        assert outside.max() <= 40  # a resized border may ring
