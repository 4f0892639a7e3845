from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.evaluation.readings import FACTORS, Readings, compare


@pytest.fixture(scope="module")
def truth() -> Readings:
    return Readings.of([world.sample_scene(i) for i in range(12)])


def test_true_factors_are_right_and_others_are_not(truth):
    assert all(right.all() for right in compare(truth, truth).values())
    shifted = Readings(
        {
            a.name: truth.attributes[a.name] + (1 if a.kind == "class" else 60 if a.kind == "color" else 0.5)
            for a in world.ATTRIBUTES
        },
        {name: values + 1 for name, values in truth.pose.items()},
        truth.joints,
    )
    assert not any(right.any() for right in compare(shifted, truth).values())


def test_tolerances_decide(truth):
    a = next(a for a in world.ATTRIBUTES if a.kind == "scalar")
    for difference, expected in ((a.tolerance - 0.01, True), (a.tolerance + 0.01, False)):
        read = replace(truth, attributes={**truth.attributes, a.name: truth.attributes[a.name] + difference})
        assert compare(read, truth)[a.name].all() == expected
    read = replace(truth, attributes={**truth.attributes, "skin": truth.attributes["skin"] + np.float32([3, 0, 0])})
    assert compare(read, truth)["skin"].all()


def test_of_an_illegible_picture_nothing_is_right(truth):
    assert truth.legible.all()
    right = compare(replace(truth, legible=np.arange(12) != 3), truth)
    assert set(right) == set(FACTORS)
    for values in right.values():
        assert not values[3] and values.sum() == 11
