"""Drawings on black, grey and white paper."""

import pytest
import torch
from PIL import Image

from comics_genai.baselines import white_paper


def test_papers_are_black_grey_and_white_and_the_figure_is_the_same():
    pictures = white_paper.drawings_on_papers()
    assert pictures.shape == (18, 3, 32, 32)
    assert pictures[:3, :, 0, 0].mean(1).tolist() == pytest.approx([-1, 0, 1], abs=0.01)
    middle = pictures[:3, :, 14:18, 15:17]
    assert torch.equal(middle[0], middle[1]) and torch.equal(middle[0], middle[2])


def test_the_brightness_of_paper_is_of_what_surrounds_the_figure():
    grey = Image.new("RGB", (32, 32), (51, 51, 51))
    grey.paste((255, 255, 255), (4, 4, 28, 28))
    white = Image.new("RGB", (32, 32), "white")
    assert white_paper.paper_brightness(grey) == pytest.approx(0.2)
    words = white_paper.in_words([grey, white])
    assert words.startswith("50% white papers (among the drawings: 33%); brightness 0.20 to 1.00")
    curve, drawn = white_paper.plot({"with": [white, grey]}).axes[0].lines
    assert curve.get_ydata() == pytest.approx([0.2, 1.0]) and set(drawn.get_ydata()) == {0, 0.5, 1}
