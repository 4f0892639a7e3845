"""Whatever people give it, the command line trains rightly or says one clear sentence; and nothing is lost."""

import json
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.files import load_tensors
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.sampling.generate import Sampling
from tests.small_drawings import claiming


@pytest.fixture
def command(tiny_sdxl, tmp_path):
    """finetune on a tiny base, two steps, with other options behind."""
    options = ["--base", str(tiny_sdxl), "--method", "lora", "--steps", "2", "--batch-size", "2", "--rank", "2"]
    options += ["--variants", "1", "--device", "cpu", "--run", str(tmp_path / "run")]
    return lambda drawings, *more: ["finetune", "--drawings", str(drawings), *options, *map(str, more)]


def drawing(seed: int, size: tuple[int, int] = (80, 80), mode: str = "RGB") -> PIL.Image.Image:
    rng = np.random.default_rng(seed)
    return PIL.Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).convert(mode)


def fill(folder: Path, count: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        drawing(i).save(folder / f"{i:03}.png")
    return folder


def truncated(folder: Path) -> None:
    path = fill(folder) / "000.png"
    path.write_bytes(path.read_bytes()[:2000])


def animated(folder: Path) -> None:
    frames = [drawing(i).quantize() for i in range(3)]
    frames[0].save(fill(folder) / "moving.gif", save_all=True, append_images=frames[1:])


def captioned(*names: str):
    def make(folder: Path) -> None:
        rows = [json.dumps({"file_name": name, "text": "a girl"}) + "\n" for name in names]
        (fill(folder) / "metadata.jsonl").write_text("".join(rows))

    return make


REFUSED = {
    "no drawings": (lambda folder: fill(folder, 0), "There are no pictures in"),
    "one drawing": (lambda folder: fill(folder, 1), "There is only one picture in"),
    "a truncated PNG": (truncated, "000.png is cut off or damaged"),
    "a text named .png": (lambda folder: (fill(folder) / "a.png").write_text("hello"), "a.png is not a picture"),
    "an animation": (animated, "moving.gif holds 3 pictures, an animation or pages"),
    "8×8 px": (lambda folder: drawing(0, (8, 8)).save(fill(folder) / "tiny.png"), "tiny.png is 8x8 px"),
    "20,000×20,000 px": (
        lambda folder: (fill(folder) / "bomb.png").write_bytes(claiming(20_000)),
        "bomb.png claims more pixels than can be read",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_drawings_that_cannot_be_learnt_from_are_one_sentence(command, capsys, name, tmp_path):
    make, sentence = REFUSED[name]
    make(tmp_path / "drawings")
    assert main(command(tmp_path / "drawings")) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.endswith(".\n") and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_odd_drawings_are_learnt_from_and_twins_are_told(command, capsys, tmp_path):
    folder = fill(tmp_path / "drawings")
    drawing(2, mode="CMYK").save(folder / "print.jpg")
    deep = np.random.default_rng(3).integers(0, 65535, (80, 80), dtype=np.uint16)
    PIL.Image.fromarray(deep).save(folder / "deep.png")
    drawing(4).quantize(8).save(folder / "palette.png", transparency=3)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    drawing(5, (100, 80)).save(folder / "phone.jpg", exif=exif)
    drawing(0).save(folder / "again.png")
    assert main(command(folder)) == 0
    said = capsys.readouterr()
    assert "finished after 2 steps" in said.out
    assert (
        "Note: 000.png and again.png are the same picture, so it counts twice in training: remove one." in said.err
    )


def test_two_hundred_drawings_are_learnt_from(command, capsys, tmp_path):
    assert main(command(fill(tmp_path / "drawings", 200))) == 0
    assert "finished after 2 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("base", "sentence"),
    [("minny", "There is no base 'minny': give mini, sd15, sdxl"), ("sdxl", "or use the base mini")],
)
def test_a_base_that_is_not_there_is_one_sentence(command, capsys, monkeypatch, base, sentence, tmp_path):
    from huggingface_hub import constants

    from comics_genai import hardware

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hardware, "free_memory", lambda: 2**60)
    assert main(command(fill(tmp_path / "drawings"), "--base", base)) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_an_ordinary_word_and_a_caption_that_is_too_long_are_told(command, capsys, tmp_path):
    folder = fill(tmp_path / "drawings")
    for i in range(2):
        (folder / f"{i:03}.txt").write_text("beach, " + "girl smiling " * 60)
    assert main(command(folder, "--identifier", "beach")) == 0
    said = capsys.readouterr().err
    assert "Note: The identifier 'beach' is a word that this base knows" in said
    assert "tokens and this base reads 77:" in said and "at its end has no effect; shorten the prompt." in said


def test_a_loss_that_is_no_number_stops_and_the_last_good_checkpoint_stays(command, capsys, tmp_path):
    # The scheduler's rate rises until the weights leave what float32 can hold.
    rate = ("--learning-rate", "1e18", "--warmup-steps", "60", "--steps", "60", "--checkpoint-every", "1")
    assert main(command(fill(tmp_path / "drawings"), *rate)) == 2
    said = capsys.readouterr().err
    checkpoints = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert " at step " in said and "training stopped" in said and said.count("\n") == 1
    if checkpoints:
        assert f"the last good checkpoint is {checkpoints[-1]}" in said
        tensors, _ = load_tensors(checkpoints[-1])
        assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_a_disk_that_fills_up_at_a_checkpoint_costs_nothing_that_was_saved(tiny_sdxl, tmp_path):
    settings = FinetuneSettings(
        drawings=str(fill(tmp_path / "drawings")), base=str(tiny_sdxl), method="lora", steps=4, batch_size=2, rank=2,
        variants=1, checkpoint_every=1, validate_every=3, sampling=Sampling(steps=1),
    )  # fmt: skip
    checkpoints = tmp_path / "run" / "checkpoints"

    def fill_the_disk(step, pictures):
        if step == 3:  # writing to /dev/full fails as a write to a full disk does
            (checkpoints / f".step_000003.safetensors.{os.getpid()}.partial").symlink_to("/dev/full")
        return {}

    with pytest.raises(UserError, match=r"The disk is full: .*step_000003.*what was saved earlier is intact"):
        finetune(settings, tmp_path / "run", validate=fill_the_disk)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step_000001.safetensors", "step_000002.safetensors"]
    for name in ("run", "whole"):
        assert finetune(settings, tmp_path / name).finished
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
