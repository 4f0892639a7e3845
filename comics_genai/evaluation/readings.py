"""The factors of pictures of the comic world, as they are read or known, and a comparison of the two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comics_genai import world
from comics_genai.world.color_difference import ciede2000

FACTORS = (*(a.name for a in world.ATTRIBUTES), *world.POSE_FACTORS)


@dataclass(frozen=True)
class Readings:
    """Factors of N pictures, read by an attribute reader or known: numpy arrays.

    attributes: name -> class index (N,), CIELAB (N, 3) or scalar (N,); pose: name -> index into
    world.POSE_FACTORS[name], (N,); joints: (N, 13, 2) in fractions of the picture. legible: bool (N,), whether a
    picture shows a figure that can be read; by default all do.
    """

    attributes: dict[str, np.ndarray]
    pose: dict[str, np.ndarray]
    joints: np.ndarray
    legible: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.legible is None:
            object.__setattr__(self, "legible", np.ones(len(self.joints), bool))

    def __len__(self) -> int:
        return len(self.joints)

    @staticmethod
    def of(scenes: Sequence[world.Scene]) -> "Readings":
        """The true factors of scenes."""
        attributes = {}
        for a in world.ATTRIBUTES:
            values = [world.attribute_value(scene.character, a.name) for scene in scenes]
            attributes[a.name] = np.array(values, np.int64 if a.kind == "class" else np.float32)
        pose = {
            name: np.array([values.index(getattr(scene.pose, name)) for scene in scenes], np.int64)
            for name, values in world.POSE_FACTORS.items()
        }
        joints = np.array([world.joints(scene) for scene in scenes], np.float32)
        return Readings(attributes, pose, joints.reshape(len(scenes), len(world.JOINTS), 2))


def compare(readings: Readings, truth: Readings) -> dict[str, np.ndarray]:
    """Whether each attribute and pose factor is right, bool (N,): the class is equal, or the difference small enough.

    In an illegible picture nothing is right, whatever a network reads in it.
    """
    right = {}
    for a in world.ATTRIBUTES:
        read, true = readings.attributes[a.name], truth.attributes[a.name]
        if a.kind == "class":
            right[a.name] = read == true
        elif a.kind == "color":
            right[a.name] = ciede2000(read, true) <= a.tolerance
        else:
            right[a.name] = np.abs(read - true) <= a.tolerance
    right |= {name: readings.pose[name] == truth.pose[name] for name in world.POSE_FACTORS}
    return {name: values & readings.legible for name, values in right.items()}
