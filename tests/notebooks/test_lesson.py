"""What the lesson takes apart is what the package trains: the same batch and loss; the base is left as it was."""

from dataclasses import replace

import pytest
import torch

from comics_genai import drawings
from comics_genai.bases.base import Base
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.notebooks import lesson


@pytest.mark.parametrize("method", ["lora", "dreambooth-lora", "dreambooth"])
def test_the_loss_by_hand_is_the_packages_and_the_base_is_left_as_it_was(method, tiny_sdxl, character_folder):
    base, character = Base.load(tiny_sdxl), drawings.load(character_folder)
    settings = FinetuneSettings(drawings=str(character_folder), base=str(tiny_sdxl), method=method, rank=4, alpha=8.0)
    before = {name: weight.clone() for name, weight in base.unet.state_dict().items()}
    batch = lesson.first_batch(base, character, settings)
    a = batch.alpha_bar[:, None, None, None]
    z_t, v = a.sqrt() * batch.z + (1 - a).sqrt() * batch.eps, a.sqrt() * batch.eps - (1 - a).sqrt() * batch.z
    weight = (5 / (batch.alpha_bar / (1 - batch.alpha_bar) + 1)).clamp(max=1)
    with lesson.in_training(base, settings, nudge=0.1) as networks, torch.no_grad():
        error = networks.trained(z_t, batch.t, batch.prompts, batch.time_ids) - v
        loss = (weight * error.square().mean((1, 2, 3))).mean()
        asked = (z_t, batch.t, batch.class_prompts, batch.time_ids)
        drift = (weight * (networks.trained(*asked) - networks.frozen(*asked)).square().mean((1, 2, 3))).mean()
        assert drift > 0
        if method != "lora":
            loss = loss + drift
        assert lesson.package_loss(base, batch, networks) == pytest.approx(loss.item(), abs=1e-6)
    after = base.unet.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


def test_an_adapter_trains_only_its_own_weights(tiny_sdxl):
    base = Base.load(tiny_sdxl)
    settings = FinetuneSettings(base=str(tiny_sdxl), method="lora", rank=1)
    counts = [
        int(lesson.weights_by_part(base, replace(settings, rank=rank))[-1]["trained"].replace(",", ""))
        for rank in (1, 3)
    ]
    assert counts[1] == 3 * counts[0] > 0
