"""A stage's folder: settings and weights."""

from dataclasses import replace

import numpy as np
import torch

from comics_genai.pretrain import dataset, vae, vae_training


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
