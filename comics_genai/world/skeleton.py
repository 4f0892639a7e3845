"""From a pose to joints: figure units, y up, ground at 0, about 115 units from sole to the tip of a horn."""

import numpy as np

from .factors import Pose, Scene

JOINTS = (
    "head", "neck", "pelvis", "left_shoulder", "left_elbow", "left_hand", "right_shoulder", "right_elbow",
    "right_hand", "left_knee", "left_foot", "right_knee", "right_foot",
)  # fmt: skip
UNIT = 0.0074  # one figure unit as a fraction of the picture, at scale 1
GROUND = 0.955  # the ground's height in the picture, y down
JITTER_DEGREES = 7.0
UPPER_ARM, FOREARM, THIGH, SHIN, TORSO, NECK_TO_HEAD = 13.0, 12.5, 14.0, 14.0, 24.0, 20.0

# (upper, fore) angles from straight down, positive away from the body
ARMS = {"down": (22, 8), "hip": (58, -62), "raised": (122, 162), "out": (86, 96)}
# (thigh, shin) from straight down, positive towards the picture's right; the first leg is the rear one
LEGS = {
    "standing": ((-7, -3), (7, 3)),
    "walking": ((-22, -44), (26, 4)),
    "running": ((-34, -98), (66, -6)),
    "jumping": ((-44, 34), (52, -52)),
    "sitting": ((-66, -80), (66, 80)),
}
LEAN = {"walking": 4.0, "running": 11.0}
LIFT = {"jumping": 8.0}


def direction(pose: Pose) -> int:
    """-1 where the figure moves to the picture's left, else 1."""
    return -1 if pose.facing == "left" else 1


def _down(degrees: float, length: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.array([np.sin(angle), -np.cos(angle)]) * length


def skeleton(pose: Pose) -> dict[str, np.ndarray]:
    """The joints of a pose in figure units; left and right are the picture's."""
    d = direction(pose)
    jitter = np.array(pose.jitter) * JITTER_DEGREES
    rear, front = LEGS[pose.legs]
    left, right = (rear, front) if d > 0 else (tuple(-a for a in front), tuple(-a for a in rear))
    points = {"pelvis": np.zeros(2)}
    for side, sign, (thigh, shin), (j0, j1) in (
        ("left", -1, left, jitter[4:6]), ("right", 1, right, jitter[6:8])
    ):  # fmt: skip
        hip = np.array([sign * 4.6, 0.0])
        points[f"{side}_hip"] = hip
        points[f"{side}_knee"] = hip + _down(thigh + 0.7 * j0, THIGH)
        points[f"{side}_foot"] = points[f"{side}_knee"] + _down(shin + 0.7 * j1, SHIN)
    lean = LEAN.get(pose.legs, 0.0) * d
    points["neck"] = -_down(-lean, TORSO)
    points["head"] = points["neck"] - _down(-0.5 * lean, NECK_TO_HEAD)
    across = np.array([np.cos(np.deg2rad(lean)), -np.sin(np.deg2rad(lean))])
    for side, sign, arm, (j0, j1) in (
        ("left", -1, pose.left_arm, jitter[0:2]), ("right", 1, pose.right_arm, jitter[2:4])
    ):  # fmt: skip
        upper, fore = ARMS[arm]
        shoulder = points["neck"] + across * sign * 8.6 + np.array([0, -4.0])
        points[f"{side}_shoulder"] = shoulder
        points[f"{side}_elbow"] = shoulder + _down(sign * (upper + j0), UPPER_ARM)
        points[f"{side}_hand"] = points[f"{side}_elbow"] + _down(sign * (fore + j1), FOREARM)
    sole = 3.2 if pose.legs != "sitting" else 4.2
    lowest = min(points["left_foot"][1], points["right_foot"][1]) - sole
    rise = np.array([0.0, LIFT.get(pose.legs, 0.0) - lowest])
    return {name: point + rise for name, point in points.items()}


def to_picture(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Figure units (..., 2), y up, to fractions of the picture (..., 2), y down."""
    setting = scene.setting
    unit = UNIT * setting.scale
    origin = np.array([0.5 + setting.shift[0], GROUND + setting.shift[1]])
    return origin + np.asarray(points) * np.array([unit, -unit])


def joints(scene: Scene) -> np.ndarray:
    """The 13 JOINTS as float32 (13, 2): x, y in fractions of the picture, y down."""
    points = skeleton(scene.pose)
    return to_picture(scene, np.stack([points[name] for name in JOINTS])).astype(np.float32)
