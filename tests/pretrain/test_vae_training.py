"""The autoencoder's training, with tiny numbers."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import torch

from comics_genai import world
from comics_genai.pretrain import (
    dataset,
    vae,
    vae_training,
)


def test_the_autoencoder_learns_and_its_latents_come_near_unit_variance(tmp_path):
    images, maps = dataset.draw_maps(range(4), 128)
    settings = vae.VaeSettings(channels=8, batch_size=4, color_mixing=0.0)
    loop = replace(settings.loop, steps=60, warmup_steps=0, log_every=10, checkpoint_every=0, validate_every=0)
    assert vae_training.train_vae(replace(settings, loop=loop), images, maps, tmp_path).finished
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["reconstruction"] < 0.7 * rows[0]["reconstruction"]


def test_a_reconstruction_sheet_shows_scenes_and_drawings_above_what_became_of_them(smoke):
    with PIL.Image.open(smoke.folder / "vae" / "reconstructions_000004.png") as sheet:
        assert sheet.size == (6 * 128, 4 * 128)
        third = np.asarray(sheet.convert("RGB"))[256:384, :128]
    assert np.array_equal(third, np.asarray(world.draw(world.reference_scenes(world.UNICORN_GIRL)[0], 128)))
    row = json.loads((smoke.folder / "vae" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < row["validation_psnr"] < 60 and row["validation_latent_smallest_std"] > 0


def test_stage_weights_are_the_averaged_ones_or_those_of_the_newest_checkpoint(smoke, tmp_path):
    trained = vae.load(smoke.folder / "vae")
    stopped = replace(smoke.vae, loop=replace(smoke.vae.loop, max_minutes=1e-9))
    images, maps = (np.load(smoke.folder / "dataset" / name) for name in (dataset.IMAGES, dataset.MAPS))
    result = vae_training.train_vae(stopped, images, maps, tmp_path)
    assert (result.step, result.finished) == (1, False)
    early = vae.load(tmp_path)
    assert vae_training.train_vae(smoke.vae, images, maps, tmp_path).finished
    again = vae.load(tmp_path)
    for one, same in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, same) and not one.requires_grad
    assert not all(torch.equal(one, other) for one, other in zip(trained.parameters(), early.parameters(), strict=True))
