"""A finished smoke run of the pretraining, made once."""

from dataclasses import replace

import pytest

from comics_genai import pretrain
from comics_genai.pretrain import tokenizer


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """Settings of a finished smoke run."""
    folder = tmp_path_factory.mktemp("pretrain")
    tiny = pretrain.PRESETS["smoke"]
    settings = replace(tiny, folder=folder / "stages", base=folder / "base", device="cpu", precision="fp32")
    assert pretrain.pretrain(settings)
    return settings


@pytest.fixture(scope="session")
def words(smoke):
    return tokenizer.load(smoke.folder / "tokenizer")
