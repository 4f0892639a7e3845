"""Diagrams show the parts of the method, and no word of them runs out of its picture."""

from pathlib import Path

import pytest

from comics_genai.documents.diagrams import DIAGRAMS
from comics_genai.documents.sources import Sources

SOURCES = Sources(Path(__file__).parents[2])
PARTS = {
    "latent_diffusion": {"text encoders", "UNet predicts v", "decoder", "picture"},
    "loop": {"six drawings", "fine-tune", "draw new poses", "keep: her, new pose, no copy"},
    "method": {"UNet, W", "text encoders", "the frozen network's prediction", "+ λ ·"},
}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_part_is_named_inside_the_picture(name):
    figure = DIAGRAMS[name](SOURCES)
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    shown = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    words = " ".join(text.get_text().replace("\n", " ") for text in shown)
    assert all(part in words for part in PARTS[name])
    for text in shown:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text.get_text()


def test_a_diagram_depends_on_no_file():
    assert SOURCES.used == set() and DIAGRAMS.keys() == PARTS.keys()
