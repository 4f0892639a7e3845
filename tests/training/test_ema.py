"""The moving average against its recurrence, and the model's own weights given back."""

import pytest
import torch

from comics_genai.training.ema import ExponentialMovingAverage


def test_the_average_follows_the_recurrence_with_a_decay_that_grows():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    ema, expected = ExponentialMovingAverage({"w": weight}, 0.5), 1.0
    for step, value in enumerate((3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0, 21.0)):
        weight.data.fill_(value)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert ema.average["w"].item() == pytest.approx(expected, rel=1e-6)


def test_within_the_model_holds_the_average_and_afterwards_its_own_weights():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    ema = ExponentialMovingAverage({"w": weight}, 0.9)
    weight.data.fill_(4.0)
    with pytest.raises(InterruptedError), ema.weights():
        assert weight.item() == 1.0
        raise InterruptedError
    assert weight.item() == 4.0
