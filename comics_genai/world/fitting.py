"""The inverse of the skeleton: find the jitter, scale and shift that put a pose's joints where they were seen."""

from dataclasses import replace

import numpy as np

from .factors import Pose, Setting
from .skeleton import ARMS, GROUND, JITTER_DEGREES, JOINTS, LEGS, TORSO, UNIT, direction, skeleton

SCALES = (0.6, 1.5)  # wider than the world's own 0.9 to 1.05, because other pictures may show smaller or larger figures
HIP, LEG_SHARE = 4.6, 0.7  # of `skeleton`: half the hips' width, and how much of the jitter a leg takes


def _degrees(start: np.ndarray, end: np.ndarray) -> float:
    """Angle of a bone from straight down, positive towards the picture's right; y is up."""
    x, y = end - start
    return float(np.degrees(np.arctan2(x, -y)))


def fitted(pose: Pose, joints: np.ndarray) -> tuple[Pose, Setting]:
    """The pose with the jitter, and a setting with the scale and shift, that lie nearest to `joints`.

    joints: (13, 2) in fractions of the picture, y down, in the order of JOINTS. Positions that no jitter and no scale
    of the world can produce are only approximated.
    """
    upwards = np.asarray(joints, float) * (1, -1)
    at = dict(zip(JOINTS, upwards, strict=True))
    unit = max(np.linalg.norm(at["neck"] - at["pelvis"]) / TORSO, 1e-6)
    rear, front = LEGS[pose.legs]
    left, right = (rear, front) if direction(pose) > 0 else (tuple(-a for a in front), tuple(-a for a in rear))
    excess = []
    for side, sign, arm in (("left", -1, pose.left_arm), ("right", 1, pose.right_arm)):
        chain = [at[f"{side}_{name}"] for name in ("shoulder", "elbow", "hand")]
        found = [sign * _degrees(*bone) for bone in zip(chain, chain[1:], strict=False)]
        excess += [angle - usual for angle, usual in zip(found, ARMS[arm], strict=True)]
    for side, sign, leg in (("left", -1, left), ("right", 1, right)):
        chain = [at["pelvis"] + (sign * HIP * unit, 0), at[f"{side}_knee"], at[f"{side}_foot"]]
        found = [_degrees(*bone) for bone in zip(chain, chain[1:], strict=False)]
        excess += [(angle - usual) / LEG_SHARE for angle, usual in zip(found, leg, strict=True)]
    wrapped = (np.array(excess) + 180) % 360 - 180
    jittered = replace(pose, jitter=tuple(float(j) for j in (wrapped / JITTER_DEGREES).clip(-1, 1)))

    points = skeleton(jittered)
    drawn = np.stack([points[name] for name in JOINTS])
    middle_drawn, middle_seen = drawn.mean(0), upwards.mean(0)
    spread = drawn - middle_drawn
    scale = float(((upwards - middle_seen) * spread).sum() / (spread**2).sum() / UNIT)
    scale = min(max(scale, SCALES[0]), SCALES[1])
    x, y = middle_seen - middle_drawn * UNIT * scale
    return jittered, Setting(scale=scale, shift=(float(x - 0.5), float(-y - GROUND)))
