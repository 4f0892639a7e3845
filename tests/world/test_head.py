"""An expression changes the face and nothing else."""

from dataclasses import replace

import numpy as np

from comics_genai import world


def test_expressions_differ_within_the_head_alone():
    scene = world.Scene(world.UNICORN_GIRL)
    drawn = {
        expression: np.asarray(world.draw(replace(scene, pose=replace(scene.pose, expression=expression)), 128))
        for expression in world.POSE_FACTORS["expression"]
    }
    x, y = world.joints(scene)[world.JOINTS.index("head")] * 128
    rows, columns = np.mgrid[:128, :128]
    far = np.hypot(columns - x, rows - y) > 0.2 * 128
    smiling = drawn.pop("smiling").astype(int)
    for expression, picture in drawn.items():
        changed = np.abs(picture.astype(int) - smiling).max(-1) > 24
        assert changed[~far].sum() >= 16 and not changed[far].any(), expression
