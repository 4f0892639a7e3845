"""The models from scratch as runs: their drawings, resuming, what a folder keeps and refuses."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from comics_genai import world
from comics_genai.baselines import data, ddpm, gan
from comics_genai.errors import UserError
from comics_genai.training.loop import LoopSettings
from tests.baseline_settings import DDPM, LITE, TRAIN, noise, rows


def test_drawings_are_whole_and_in_range():
    wide = Image.fromarray(np.full((20, 60, 3), 255, np.uint8))
    wide.paste((0, 0, 0), (0, 8, 4, 12))  # at the very edge, where a crop would lose it
    pictures = data.prepare([wide, Image.new("RGB", (40, 40), (255, 0, 0))], 32)
    assert pictures.shape == (2, 3, 32, 32) and pictures.dtype == torch.float32
    assert pictures[0, :, 15, 0].max() < -0.95 and pictures[0, :, 0].min() == 1
    assert torch.equal(pictures[1, :, 0, 0], torch.tensor([1.0, -1.0, -1.0]))


def test_variants_follow_their_drawing_which_comes_first():
    images = [world.draw(scene, 64) for scene in world.reference_scenes(world.UNICORN_GIRL)[:2]]
    plain, varied = data.prepare(images, 32), data.prepare(images, 32, variants=3)
    assert varied.shape == (6, 3, 32, 32)
    assert torch.equal(varied[::3], plain)
    assert not torch.equal(varied[1], varied[0]) and not torch.equal(varied[1], varied[2])


def test_drawings_come_in_turn_so_that_each_is_seen_equally_often():
    seen = torch.cat([data.in_turn(6, step, 4) for step in range(30)])
    assert torch.bincount(seen).tolist() == [20] * 6


def test_pictures_that_do_not_fit_are_refused(tmp_path):
    image = Image.new("RGB", (64, 64))
    with pytest.raises(UserError, match="size is 4 px, but must be in 8 to 1024"):
        data.prepare([image], 4)
    with pytest.raises(UserError, match="There is no drawing"):
        data.prepare([], 32)
    with pytest.raises(UserError, match=r"\(2, 3, 16, 16\) do not fit a model of 32 px"):
        gan.train_gan(LITE, noise(2, 3, 16, 16), tmp_path)
    with pytest.raises(UserError, match="do not fit a model of 8 px"):
        ddpm.train_ddpm(DDPM, noise(0, 3, 8, 8), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", TRAIN)
def test_stopped_and_resumed_gives_the_bytes_of_an_uninterrupted_run(tmp_path, name):
    train, settings = TRAIN[name]
    drawings = noise(5, 3, settings.size, settings.size)

    def stop(step, pictures):
        if step == 3 and not (tmp_path / "two/checkpoints/step_000003.safetensors").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return {"pictures": len(pictures)}

    whole = train(settings, drawings, tmp_path / "one", measure=lambda step, pictures: {"pictures": len(pictures)})
    assert (whole.step, whole.finished) == (6, True)
    stopped = train(settings, drawings, tmp_path / "two", measure=stop)
    assert (stopped.step, stopped.finished) == (3, False)
    assert train(settings, drawings, tmp_path / "two", measure=stop).finished
    files = ["weights.safetensors", *(["ema.safetensors"] if settings.loop.ema_decay else [])]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    if name == "lite":
        assert safetensors.torch.load_file(tmp_path / "two/weights.safetensors")["controller.p"] > 0


def test_a_gan_run_logs_and_keeps_what_the_notebooks_show(tmp_path):
    seen = []
    drawings, held_out = noise(5, 3, 32, 32), noise(9, 3, 32, 32, seed=1)
    gan.train_gan(
        LITE,
        drawings,
        tmp_path,
        held_out=held_out,
        threshold=1e3,
        measure=lambda step, pictures: seen.append(pictures) or {"seen": len(seen)},
    )
    first, last = rows(tmp_path)[0], rows(tmp_path)[-1]
    assert {"loss_discriminator", "loss_generator", "accuracy_real", "accuracy_fake", "p", "r1"} <= first.keys()
    assert 0 <= first["accuracy_real"] <= 1 and first["p"] == 0
    assert last["validation_gap"] == pytest.approx(last["validation_d_drawings"] - last["validation_d_held_out"])
    assert last["validation_copied"] == 1 and last["validation_diversity"] > 0 and last["validation_seen"] == 2
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["drawings.png", "step_000003.png", "step_000006.png"]
    # What is loaded is what was validated last: the averaged weights.
    again = gan.generate(gan.load(tmp_path), gan.latents(2, 8, 1000))
    assert [picture.tobytes() for picture in again] == [picture.tobytes() for picture in seen[-1]]


def test_a_ddpm_run_keeps_its_samples_and_loads_them_again(tmp_path):
    seen = []
    ddpm.train_ddpm(
        DDPM, noise(5, 3, 8, 8), tmp_path, threshold=0.0, measure=lambda step, pictures: seen.append(pictures) or {}
    )
    assert rows(tmp_path)[-1]["validation_copied"] == 0
    assert (tmp_path / "samples/step_000006.png").exists()
    model = ddpm.load(tmp_path)
    assert model.settings == DDPM
    assert [p.tobytes() for p in ddpm.sample(model, 2, 1000)] == [p.tobytes() for p in seen[-1]]


def test_a_folder_begun_with_other_drawings_is_refused(tmp_path):
    ddpm.train_ddpm(DDPM, noise(5, 3, 8, 8), tmp_path)
    with pytest.raises(UserError, match="was started with drawings_digest"):
        ddpm.train_ddpm(DDPM, noise(5, 3, 8, 8, seed=1), tmp_path)
    with pytest.raises(UserError, match="There is no run in"):
        gan.load(tmp_path / "none")
    with pytest.raises(UserError, match="it is of another model"):
        gan.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "wrong", "sentence"),
    [
        (LITE, {"size": 48}, "size is 48, but must be 32, 64 or 128"),
        (LITE, {"model": "stylegan"}, "model is 'stylegan', but must be dcgan or lite"),
        (LITE, {"batch_size": 1}, "batch_size is 1, but must be at least 2"),
        (LITE, {"ada_target": 1.5}, r"ada_target is 1.5, but must be in \[-1, 1\]"),
        (LITE, {"loop": LoopSettings(steps=1, precision="fp16")}, "'fp16', in which R1"),
        (DDPM, {"size": 7}, "size is 7, but must be in 8 to 512"),
        (DDPM, {"size": 12, "channels": (32, 32, 32), "patch": 2}, "size is 12, .*multiple of 8"),
        (DDPM, {"channels": (33,)}, "multiples of 32"),
        (DDPM, {"schedule": "linear"}, "schedule is 'linear', but must be cosine or scaled_linear"),
        (DDPM, {"sampling": ddpm.DdpmSampling(steps=21)}, "sampling is .*must be of at most 20 steps"),
        (DDPM.sampling, {"eta": 2.0}, r"eta is 2.0, but must be in \[0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(settings, wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(settings, **wrong)
