"""The method's diagram says what is trained and what is frozen."""

import pytest

from comics_genai.plotting import diagrams


def words(figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.axes[0].texts)


@pytest.mark.parametrize("method", ["dreambooth", "lora", "dreambooth-lora"])
def test_what_is_trained_is_coloured(method):
    figure = diagrams.method(method)
    assert ("(α/r) B A" in words(figure)) == (method != "dreambooth")
    assert ("every W" in words(figure)) == (method == "dreambooth")
    assert ("frozen network:" in words(figure)) == (method != "lora")
    assert ("its adapter switched off" in words(figure)) == (method == "dreambooth-lora")
