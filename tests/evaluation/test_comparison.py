"""The test of a fine-tuning: known characters are scored between floor and ceiling, others are only drawn."""

import json

import numpy as np
import PIL.Image

from comics_genai import world
from comics_genai.bases.base import Base
from comics_genai.drawings import Drawing
from comics_genai.evaluation import comparison
from comics_genai.finetuning.encoded_data import as_seen
from comics_genai.sampling.generate import Sampling
from comics_genai.sampling.records import read_metadata

FAST = Sampling(steps=2)


def drawings_of(scenes) -> list[Drawing]:
    return [Drawing(f"{i}.png", world.draw(scene, 64), "") for i, scene in enumerate(scenes)]


def test_a_known_character_is_drawn_five_ways_and_scored(girl_run, tiny_sdxl, tiny_reader, tmp_path):
    base = Base.load(tiny_sdxl)
    drawings = drawings_of(world.reference_scenes(world.UNICORN_GIRL))
    test = comparison.draw(base, girl_run, drawings, tmp_path, scenes=2, seeds=2, sampling=FAST)
    assert {name: len(made) for name, made in test.pictures.items()} == {
        comparison.TUNED: 4, comparison.BOTH: 4, comparison.SAME: 4, comparison.CAREFUL: 4
    }  # fmt: skip
    told = {row["prompt"] for row in read_metadata(tmp_path / "finetuned")}
    assert told == {row["prompt"] for row in read_metadata(tmp_path / "base_same_prompt")} and len(told) == 2
    assert all("UnicornGirl, a girl" in prompt for prompt in told)
    assert all("UnicornGirl" not in row["prompt"] for row in read_metadata(tmp_path / "base_careful_prompt"))
    both = {row["prompt"] for row in read_metadata(tmp_path / "finetuned_careful_prompt")}
    assert all("UnicornGirl, a girl with " in prompt for prompt in both) and len(both) == 2
    scores = comparison.scored(test, base, tiny_reader)
    assert [row["name"] for row in scores["rows"]] == [
        comparison.TUNED, comparison.BOTH, comparison.SAME, comparison.CAREFUL, comparison.CEILING, comparison.FLOOR
    ]  # fmt: skip
    assert json.loads((tmp_path / comparison.SCORES).read_text()) == scores
    for place in ("finetuned", "base_careful_prompt"):
        lines = [json.loads(line) for line in (tmp_path / place / "scores.jsonl").read_text().splitlines()]
        assert {line["file_name"] for line in lines} == {row["file_name"] for row in read_metadata(tmp_path / place)}
        assert {line["test_prompt"] for line in lines} == told  # the row that all methods stand in
        assert len({(tmp_path / place / line["true_drawing"]).resolve() for line in lines}) == 2
    assert test.contact_sheet().size == PIL.Image.open(tmp_path / comparison.SHEET).size
    mean = {row["name"]: row["identity"]["mean"] for row in scores["rows"]}
    said = comparison.conclusion(scores, 2)
    assert (
        f"**{mean[comparison.TUNED]:.0%}** of her" in said and f"{mean[comparison.CAREFUL]:.0%} for the careful" in said
    )


def test_drawings_of_a_stranger_are_drawn_but_not_scored(girl_run, tiny_sdxl, tmp_path):
    base = Base.load(tiny_sdxl)
    drawings = drawings_of([world.sample_scene(seed) for seed in range(3)])
    test = comparison.draw(base, girl_run, drawings, tmp_path, scenes=2, seeds=1, sampling=FAST)
    assert test.pictures.keys() == {comparison.TUNED, comparison.SAME} and test.scenes == []
    assert comparison.scored(test, base) is None and not list(tmp_path.rglob("scores.json*"))
    assert "nothing is measured" in comparison.conclusion(None, 2)


def test_what_the_base_sees_is_the_whole_drawing(tiny_sdxl):
    wide = Drawing("wide.png", PIL.Image.fromarray(np.full((40, 80, 3), 200, np.uint8)), "")
    assert [picture.size for picture in as_seen(Base.load(tiny_sdxl), [wide])] == [(32, 32)]
