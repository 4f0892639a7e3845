"""Every attribute of identity shows."""

from dataclasses import replace

import numpy as np
import pytest

from comics_genai import world


def pixels(scene, size=128):
    return np.asarray(world.draw(scene, size)).astype(int)


@pytest.mark.parametrize("attribute", world.ATTRIBUTES, ids=lambda a: a.name)
def test_every_identity_factor_shows_in_at_least_sixteen_pixels(attribute):
    girl = world.UNICORN_GIRL
    scene = world.Scene(replace(girl, streak_color=(60.0, 0.9, 0.9)), world.Pose("standing", "out", "out"))
    old = getattr(scene.character, attribute.name)
    new = {"class": lambda: next(c for c in attribute.classes if c != old), "color": lambda: (210.0, 0.95, 0.4),
           "scalar": lambda: 0.0 if old > 0.5 else 1.0}[attribute.kind]()  # fmt: skip
    changed = replace(scene, character=replace(scene.character, **{attribute.name: new}))
    different = (np.abs(pixels(scene) - pixels(changed)).max(-1) > 24).sum()
    assert different >= 16
