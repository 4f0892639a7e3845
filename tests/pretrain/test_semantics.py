"""Semantic maps say what a drawing shows."""

import numpy as np

from comics_genai import world
from comics_genai.pretrain import semantics


def test_semantic_maps_say_where_parts_bones_and_the_face_are():
    scene = world.Scene(world.UNICORN_GIRL, world.Pose(facing="left", expression="angry"))
    _, parts = world.draw_with_parts(scene, 128, semantics.SIDE)
    assert parts.shape == (len(world.PARTS), 16, 16) and 0 <= parts.min() and parts.sum(0).max() <= 1 + 1e-6
    maps = dict(zip(semantics.CHANNELS, semantics.raw_maps(scene, parts), strict=True))
    x, y = (world.joints(scene)[world.JOINTS.index("head")] * 16).astype(int)
    assert maps["face"][y, x] > 0.9 and maps["head"][y, x] > 0.85
    assert maps["angry"][y, x] > 0.6 and maps["sad"][y, x] < -0.2 and maps["facing"][y, x] < -0.8
    across = np.arange(16) @ maps["left arm"].sum(0) / maps["left arm"].sum()
    assert across < np.arange(16) @ maps["right arm"].sum(0) / maps["right arm"].sum()
    standard = semantics.standardised(semantics.raw_maps(scene, parts))
    assert np.allclose(standard * semantics.SPREAD[:, None, None] + semantics.CENTER[:, None, None], [*maps.values()])
