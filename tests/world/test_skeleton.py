"""Joints lie in the picture and follow the pose."""

import numpy as np

from comics_genai import world


def test_joints_lie_in_the_picture_and_follow_the_pose():
    for seed in range(0, 400, 2):
        points = world.joints(world.sample_scene(seed))
        assert points.shape == (len(world.JOINTS), 2) and points.dtype == np.float32
        assert points.min() > 0 and points.max() < 1
    hand = world.JOINTS.index("left_hand")
    girl = world.UNICORN_GIRL
    raised = world.joints(world.Scene(girl, world.Pose(left_arm="raised")))[hand]
    assert raised[1] < world.joints(world.Scene(girl, world.Pose(left_arm="down")))[hand][1] - 0.2
