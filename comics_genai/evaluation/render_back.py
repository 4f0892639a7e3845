"""Check readings by drawing them: a drawing of the right factors must look like the picture.

A network may read a horn and a turquoise dress in pure noise. Here the factors that it reads become a scene of the
comic world, the figure of that scene is drawn, and within the figure the colours are compared with the picture's.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image
from skimage.color import lab2rgb

from comics_genai import world
from comics_genai.evaluation.readings import Readings
from comics_genai.world.color_difference import lab_of_srgb

SIZE = 64  # pixels of the drawing: no more than the comparison needs
CELLS = 16  # cells in each direction over which colours are averaged, so that a line may be off by a pixel
COVERED = 0.9  # least share of a pixel that the figure must cover for it to count
FEWEST = 3  # least number of counting pixels in a cell; fewer give no colour


def _hsv(lab: np.ndarray) -> tuple[float, float, float]:
    hue, saturation, value = colorsys.rgb_to_hsv(*lab2rgb(np.asarray(lab, np.float64)))
    return 360 * hue, saturation, value


def scene_of(readings: Readings, i: int) -> world.Scene:
    """The scene of the readings of picture `i`, without its background."""
    values = {}
    for a in world.ATTRIBUTES:
        read = readings.attributes[a.name][i]
        if a.kind == "class":
            values[a.name] = a.classes[int(read)]
        else:
            values[a.name] = _hsv(read) if a.kind == "color" else float(np.clip(read, 0, 1))
    pose = world.Pose(**{name: world.POSE_FACTORS[name][int(readings.pose[name][i])] for name in world.POSE_FACTORS})
    return world.Scene(world.Character(**values), *world.fitted(pose, readings.joints[i]))


def _cells(values: np.ndarray) -> np.ndarray:
    side = SIDE_OF_CELL
    return values.reshape(CELLS, side, CELLS, side, -1).sum((1, 3))


SIDE_OF_CELL = SIZE // CELLS


def difference(picture: Image.Image | np.ndarray, scene: world.Scene) -> float:
    """Mean distance in CIELAB between a picture and the figure of a scene, over the cells that the figure covers.

    A cell's weight is its covered share. Equal pictures give 0; true drawings that were read rightly give about 3.
    The distance is infinite if the figure lies outside of the picture.
    """
    redrawn, parts = world.draw_with_parts(scene, SIZE, SIZE)
    weight = (parts.sum(0) >= COVERED)[..., None].astype(np.float64)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    count = _cells(weight)[..., 0]
    count = np.where(count >= FEWEST, count, 0)
    if not count.any():
        return float("inf")
    apart = [
        _cells(lab_of_srgb(np.asarray(shown)) * weight) / np.maximum(count, 1)[..., None] for shown in (small, redrawn)
    ]
    return float((np.linalg.norm(apart[0] - apart[1], axis=-1) * count).sum() / count.sum())


def differences(pictures: Sequence[Image.Image] | np.ndarray, readings: Readings) -> np.ndarray:
    """The `difference` of each picture to its own readings: float (N,)."""
    return np.array([difference(picture, scene_of(readings, i)) for i, picture in enumerate(pictures)], np.float64)
