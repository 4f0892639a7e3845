"""Picked pictures join the drawings, with their prompts; what cannot be learnt from is one sentence."""

import json

import pytest

from comics_genai import drawings
from comics_genai.__main__ import main
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.encoded_data import prepare
from comics_genai.finetuning.picked import picked_drawings, with_picked
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.run import finetuning_settings
from comics_genai.sampling.generate import Sampling, generate
from comics_genai.sampling.records import read_record
from tests.gallery_runs import save_picture, write_lines

NAMED, CAREFUL = "a drawing of UnicornGirl, a girl, jumping", "a drawing of a girl, smiling"


@pytest.fixture(scope="module")
def gallery(tiny_sdxl, tmp_path_factory):
    """A gallery's folder with two generated pictures and the list that names both."""
    folder = tmp_path_factory.mktemp("gallery")
    made = generate(Base.load(tiny_sdxl), [NAMED, CAREFUL], [0], folder / "run", Sampling(steps=1, size=64))
    names = [picture.path.relative_to(folder).as_posix() for picture in made]
    listed = {"format": "comics-genai-picked", "version": 1, "pictures": names}
    (folder / "picked.json").write_text(json.dumps(listed))
    return folder


@pytest.fixture
def settings(character_folder, tiny_sdxl, gallery) -> FinetuneSettings:
    return FinetuneSettings(drawings=str(character_folder), base=str(tiny_sdxl), gallery=str(gallery), variants=1)


def test_picked_pictures_are_encoded_beside_the_drawings_with_their_prompts(settings, gallery, tiny_sdxl, tmp_path):
    settings = with_picked(settings, gallery / "picked.json")
    picked = picked_drawings(settings)
    assert [drawing.caption for drawing in picked] == [NAMED, "a girl, smiling"]
    alone = drawings.load(settings.drawings)
    data = prepare(Base.load(tiny_sdxl), [*alone, *picked], settings, tmp_path)
    assert data.texts[: len(alone)] == prepare(Base.load(tiny_sdxl), alone, settings, tmp_path).texts
    assert data.texts[len(alone) :] == [NAMED, "a drawing of UnicornGirl, a girl, a girl, smiling"]
    assert with_picked(settings, gallery / "picked.json") == settings  # each once


def test_the_command_trains_on_them_and_the_run_records_them(settings, gallery, tmp_path, capsys):
    arguments = ["finetune", "--drawings", settings.drawings, "--base", settings.base, "--gallery", str(gallery)]
    arguments += ["--steps", "1", "--batch-size", "5", "--rank", "2", "--variants", "1", "--warmup-steps", "0"]
    assert main([*arguments, "--run", str(tmp_path / "alone")]) == 0
    told = [*arguments, "--add-picked", str(gallery / "picked.json"), "--run", str(tmp_path / "with")]
    assert main(told) == 0
    recorded = {name: finetuning_settings(tmp_path / name) for name in ("alone", "with")}
    assert recorded["alone"]["picked"] == [] and len(recorded["with"]["picked"]) == 2
    assert all(read_record(gallery / name)["prompt"] in (NAMED, CAREFUL) for name in recorded["with"]["picked"])
    assert f"Picked pictures join them: {', '.join(recorded['with']['picked'])}." in capsys.readouterr().out
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("alone", "with")]
    assert weights[0] != weights[1]
    assert FinetuneSettings.of_run(recorded["with"]).picked == tuple(recorded["with"]["picked"])
    assert main(told) == 0 and "finished before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ("../secret.png", "outside the gallery"),
        ("run/gone.png", "no such picture"),
        ("run/silent.png", "has no prompt"),
        ("run/small.png", "64 px are the least"),
        ("run/torn.png", "not a picture, or a damaged one"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_sentence(listed, sentence, settings, tmp_path, capsys):
    gallery = tmp_path / "gallery"
    for name, side in (("silent", 64), ("small", 32)):
        save_picture(gallery / "run" / f"{name}.png", 0, side)
    (gallery / "run" / "torn.png").write_bytes(b"no picture")
    write_lines(gallery / "run" / "metadata.jsonl", [
        {"file_name": f"{name}.png", "prompt": "a girl"} for name in ("small", "torn")])  # fmt: skip
    save_picture(tmp_path / "secret.png", 0, 64)
    (tmp_path / "list.txt").write_text(listed)
    arguments = ["--drawings", settings.drawings, "--base", settings.base, "--steps", "1", "--gallery", str(gallery)]
    assert main(["finetune", *arguments, "--add-picked", str(tmp_path / "list.txt"), "--run", str(tmp_path / "r")]) == 2
    assert sentence in (said := capsys.readouterr().err) and said.count("\n") == 1


def test_a_gallery_that_is_not_there_is_one_sentence(settings, tmp_path):
    elsewhere = FinetuneSettings(gallery=str(tmp_path / "gone"), picked=("a.png",))
    with pytest.raises(UserError, match="There is no gallery .*gone: give --gallery"):
        picked_drawings(elsewhere)
