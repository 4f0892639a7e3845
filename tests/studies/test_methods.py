from dataclasses import replace

from comics_genai.bases.base import Base
from comics_genai.drawings import load
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.studies.grid import Grid
from comics_genai.studies.methods import Workbench


def test_drawings_are_encoded_once_for_runs_that_read_the_same(tiny_sdxl, character_folder, tmp_path):
    bench = Workbench(Grid("some", {"lora": {}}, base=str(tiny_sdxl)), tmp_path)
    settings = FinetuneSettings(drawings=str(character_folder), base=str(tiny_sdxl), variants=2)
    base, character = Base.load(tiny_sdxl), load(character_folder)

    def encoded(settings: FinetuneSettings):
        return bench._encode(base, character, settings, tmp_path / "class_images")

    first = encoded(settings)
    assert encoded(replace(settings, learning_rate=1e-5, rank=4, steps=7)) is first
    assert encoded(replace(settings, left_out=(0,))) is not first
    assert encoded(replace(settings, seed=1)) is not first
    assert encoded(replace(settings, learn_token=True)) is not encoded(replace(settings, learn_token=True))
