"""Runs of the baselines: stopped, resumed, refused."""

import os
import signal
from dataclasses import replace

import pytest
import safetensors.torch

from comics_genai.baselines import ddpm, gan
from comics_genai.errors import UserError
from comics_genai.training.loop import LoopSettings
from tests.baseline_settings import DDPM, LITE, TRAIN, noise, rows


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


def test_a_folder_begun_with_other_drawings_is_refused(tmp_path):
    ddpm.train_ddpm(DDPM, noise(5, 3, 8, 8), tmp_path)
    with pytest.raises(UserError, match="was started with other drawings or captions: put back"):
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
