import math

import pytest

from comics_genai.errors import UserError
from comics_genai.training.loop_settings import LoopSettings, learning_rate_at


def test_learning_rate_warms_up_stays_and_falls():
    constant = LoopSettings(steps=10, learning_rate=2.0, warmup_steps=4)
    assert [learning_rate_at(constant, i) for i in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]

    linear = LoopSettings(steps=10, learning_rate=1.0, schedule="linear", decay_from=0.5)
    expected = [1.0] * 6 + [0.8, 0.6, 0.4, 0.2]
    assert [learning_rate_at(linear, i) for i in range(10)] == pytest.approx(expected)

    cosine = LoopSettings(steps=4, learning_rate=1.0, schedule="cosine")
    expected = [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)]
    assert [learning_rate_at(cosine, i) for i in range(4)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, "steps is 0, but must be a whole number from 1"),
        ({"schedule": "cosinus"}, "schedule is 'cosinus', but must be one of constant, linear, cosine"),
        ({"decay_from": 1.0}, "decay_from is 1.0, but must be a number 0 or more and below 1"),
        ({"learning_rate": math.nan}, "learning_rate is nan, but must be a number above 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        LoopSettings(**{"steps": 1, **wrong})
