import json
import shutil
from dataclasses import replace

import pytest
import torch

from comics_genai import drawings
from comics_genai.bases.base import Base
from comics_genai.bases.semantic_channels import FILE
from comics_genai.errors import UserError
from comics_genai.finetuning.encoded_data import prepare
from comics_genai.finetuning.loss import FinetuneLoss
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.trainable import make_trainable
from comics_genai.training.seeding import seed_step


@pytest.fixture(scope="module")
def semantic_base(tiny_sdxl, tmp_path_factory):
    """The tiny base, of whose six latent channels the last two are semantic."""
    folder = tmp_path_factory.mktemp("semantic") / "base"
    shutil.copytree(tiny_sdxl, folder)
    (folder / "vae" / FILE).write_text(json.dumps({"first": 4, "names": ["head", "arms"]}))
    return folder


@pytest.fixture
def settings(character_folder, semantic_base) -> FinetuneSettings:
    return FinetuneSettings(
        drawings=str(character_folder), base=str(semantic_base), steps=2, batch_size=2, rank=4, variants=1
    )


def loss_of(settings: FinetuneSettings, cache, learnt: float = 0.0) -> FinetuneLoss:
    """learnt: what fills the adapters' second factors."""
    base = Base.load(settings.base)
    data = prepare(base, drawings.load(settings.drawings), settings, cache)
    make_trainable(base.unet, settings)
    for name, parameter in base.unet.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(learnt)
    return FinetuneLoss(base, data, settings)


def test_semantic_channels_that_learn_nothing_get_no_gradient(settings, tmp_path):
    loss = loss_of(replace(settings, method="lora", semantic_loss="none"), tmp_path)
    assert loss.channel_weights.tolist() == [1.5] * 4 + [0, 0]
    seen = []
    predict = loss.base.predict
    loss.base.predict = lambda *inputs: seen.append(predict(*inputs).requires_grad_()) or seen[-1]
    seen_loss, _ = loss(0, seed_step(0, 0))
    (gradient,) = torch.autograd.grad(seen_loss, seen[0])
    assert gradient[:, 4:].abs().max() == 0 and gradient[:, :4].abs().min() > 0


def test_semantic_channels_with_the_prior_as_target_begin_without_error(settings, tmp_path):
    common = replace(settings, method="lora", caption_dropout=0.0)
    prior = loss_of(replace(common, semantic_loss="prior"), tmp_path)
    # The prompts differ (the name is not in the class prompt), so said as one: before learning the base is right.
    prior.data = replace(prior.data, class_prompts=prior.data.prompts)
    none = loss_of(replace(common, semantic_loss="none"), tmp_path)
    # "none" is the mean over 4 of 6 channels, "prior" over all with no error in the other two.
    value, expected = prior(0, seed_step(0, 0))[0], none(0, seed_step(0, 0))[0] * 4 / 6
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)


def test_the_blank_prior_asks_base_and_adapter_without_words(settings, tmp_path):
    loss = loss_of(replace(settings, prior="blank"), tmp_path)
    assert loss(0, seed_step(0, 0))[1]["loss_prior"] < 1e-10
    changed = loss_of(replace(settings, prior="blank"), tmp_path, learnt=0.3)
    asked = []
    predict = changed.base.predict
    changed.base.predict = lambda z, t, prompts, ids: asked.append(prompts) or predict(z, t, prompts, ids)
    assert changed(0, seed_step(0, 0))[1]["loss_prior"] > 1e-6
    blank = changed.data.unconditional.hidden
    torch.testing.assert_close(asked[0].hidden, blank.expand(2, -1, -1))
    torch.testing.assert_close(asked[1].hidden[2:], blank.expand(2, -1, -1))


def test_timesteps_stay_in_their_range(settings, tmp_path):
    loss = loss_of(replace(settings, timesteps=(0.2, 0.5), batch_size=32), tmp_path)
    t, _ = loss._noised(loss.data.latents[[0] * 32, [0] * 32], seed_step(0, 0))
    assert 200 <= t.min() < 220 and 480 <= t.max() < 500


def test_a_range_narrower_than_a_step_is_the_last_step(settings, tmp_path):
    loss = loss_of(replace(settings, timesteps=(0.9999, 1.0), batch_size=4), tmp_path)
    t, _ = loss._noised(loss.data.latents[[0] * 4, [0] * 4], seed_step(0, 0))
    assert t.tolist() == [999] * 4


def test_a_base_without_semantic_channels_says_so(settings, tiny_sdxl, tmp_path):
    with pytest.raises(UserError, match="no semantic latent channels"):
        loss_of(replace(settings, base=str(tiny_sdxl), semantic_loss="none"), tmp_path)


def test_recipes_have_ranges():
    for wrong in ({"least_rank": 17}, {"timesteps": (0.5, 0.5)}, {"left_out": (-2,)}, {"semantic_loss": "some"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            FinetuneSettings(**wrong)
