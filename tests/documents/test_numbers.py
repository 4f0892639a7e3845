"""Numbers of the text are those of the files."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from comics_genai import world
from comics_genai.documents import numbers
from comics_genai.documents.sources import Sources

ROOT = Path(__file__).parents[2]


def test_parameters_are_counted_from_the_heads_of_all_files(tmp_path):
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "one.safetensors")
    save_file({"c": torch.zeros(2, 2, 2)}, tmp_path / "two.safetensors", metadata={"format": "pt"})
    assert numbers.parameters(tmp_path) == 12 + 5 + 8
    assert numbers.parameters(tmp_path / "nowhere") == 0


def test_the_worlds_numbers_are_counted():
    found = numbers.of_the_world()
    assert found["attributes"] == str(len(world.ATTRIBUTES)) and found["poses"] == "960"
    assert int(found["named attributes"]) + int(found["unnamed attributes"]) == len(world.ATTRIBUTES)
    assert found["none of twenty four"] == "14" and found["legs shown"] == "4"


def test_the_miniatures_channels_add_up():
    found = numbers.of_the_miniature(Sources(ROOT))
    assert int(found["picture channels"]) + int(found["semantic channels"]) == int(found["latent channels"])
    assert int(found["picture side"]) == 8 * int(found["latent side"])
