import numpy as np
import pytest

from comics_genai import world


def test_the_joints_of_a_scene_give_back_its_jitter_scale_and_shift():
    for seed in range(40):
        scene = world.sample_scene(seed)
        plain = world.Pose(*(getattr(scene.pose, name) for name in world.POSE_FACTORS))
        pose, setting = world.fitted(plain, world.joints(scene))
        np.testing.assert_allclose(pose.jitter, scene.pose.jitter, atol=2e-3)
        assert setting.scale == pytest.approx(scene.setting.scale, abs=1e-4)
        assert setting.shift == pytest.approx(scene.setting.shift, abs=1e-4)


def test_what_no_jitter_explains_is_left():
    scene = world.Scene(world.UNICORN_GIRL, world.Pose(left_arm="down"))
    raised = world.joints(world.Scene(world.UNICORN_GIRL, world.Pose(left_arm="raised")))
    pose, setting = world.fitted(scene.pose, raised)
    assert max(map(abs, pose.jitter)) == 1
    assert 0.6 <= setting.scale <= 1.5
    hand = world.JOINTS.index("left_hand")
    redrawn = world.joints(world.Scene(world.UNICORN_GIRL, pose, setting))
    assert np.linalg.norm(redrawn[hand] - raised[hand]) > 0.1
