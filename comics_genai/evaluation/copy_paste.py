"""Test whether a picture is nearer to a training drawing than to true drawings of its prompt (as in ViStoryBench).

    pasted = copy_paste(pictures, scenes, references)

The copy rate of `metrics` has a threshold, so it misses a drawing that was pasted with changes. This measure compares
instead: a picture that really shows a new pose is nearer to other true drawings of that pose and place.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import PIL.Image

from comics_genai import world
from comics_genai.evaluation.metrics import reference_distances


def other_drawings(scene: world.Scene, count: int, size: int = 128) -> list[PIL.Image.Image]:
    """`count` true drawings for the scene's prompt, with other joints, background, position and line width."""
    rng, drawn = np.random.default_rng(23), []
    for _ in range(count):
        pose, setting = world.sample_pose(rng), world.sample_setting(rng)
        setting = replace(setting, background=scene.setting.background)
        drawn.append(world.draw(world.Scene(scene.character, replace(scene.pose, jitter=pose.jitter), setting), size))
    return drawn


def copy_paste(
    pictures: Sequence[PIL.Image.Image], scenes: Sequence[world.Scene], references: Sequence[PIL.Image.Image]
) -> np.ndarray:
    """Whether each picture is nearer to the nearest of `references` than to the nearest true drawing: bool (N,).

    As many true drawings of its scene are made as there are references, so that neither side has the better chance.
    """
    nearest_reference = reference_distances(pictures, references).min(1)
    asked: dict[world.Scene, list[int]] = {}
    for i, scene in enumerate(scenes):
        asked.setdefault(scene, []).append(i)
    pasted = np.zeros(len(pictures), bool)
    for scene, places in asked.items():
        true = reference_distances([pictures[i] for i in places], other_drawings(scene, len(references)))
        pasted[places] = nearest_reference[places] < true.min(1)
    return pasted
