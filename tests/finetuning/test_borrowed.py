"""A base that is lent comes back as it was."""

import pytest
import torch

from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.borrowed import borrowed
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.trainable import make_trainable


@pytest.mark.parametrize("method", ["dreambooth", "lora"])
def test_weights_adapters_and_gradients_are_as_before(method, tiny_sdxl):
    base = Base.load(tiny_sdxl)
    settings = FinetuneSettings(base=str(tiny_sdxl), method=method, rank=2)
    before = {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}
    digest = base.digest()
    with pytest.raises(InterruptedError), borrowed(base, settings, "cpu") as lent:
        unet = make_trainable(lent.unet, settings).train()
        with torch.no_grad():
            for parameter in unet.parameters():
                if parameter.requires_grad:
                    parameter.add_(1)
        lent.drop_vae()
        raise InterruptedError
    after = base.unet.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert base.digest() == digest and not base.unet.training
    assert not any(parameter.requires_grad for parameter in base.unet.parameters())
    assert base.decode(torch.zeros(1, base.latent_channels, 8, 8)).shape == (1, 32, 32, 3)


def test_a_base_that_is_not_the_settings_own_is_refused(tiny_sdxl, tiny_sd):
    with (
        pytest.raises(UserError, match="The name of the base that was handed over"),
        borrowed(Base.load(tiny_sdxl), FinetuneSettings(base=str(tiny_sd)), "cpu"),
    ):
        pass
