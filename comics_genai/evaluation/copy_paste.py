"""Is a picture nearer to a training drawing than to true drawings of what was asked? After ViStoryBench's copy-paste.

    pasted = copy_paste(pictures, scenes, references)

The copy rate of `metrics` has a threshold, so it misses a drawing pasted with changes. This one compares: a picture
that shows a new pose lies nearer to other true drawings of that pose and place.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import PIL.Image

from comics_genai import world
from comics_genai.evaluation.metrics import reference_distances


def other_drawings(scene: world.Scene, count: int, size: int = 128) -> list[PIL.Image.Image]:
    """`count` true drawings of what the scene's prompt asks for: other joints, another background, place and line."""
    rng, drawn = np.random.default_rng(23), []
    for _ in range(count):
        pose, setting = world.sample_pose(rng), world.sample_setting(rng)
        setting = replace(setting, background=scene.setting.background)
        drawn.append(world.draw(world.Scene(scene.character, replace(scene.pose, jitter=pose.jitter), setting), size))
    return drawn


def copy_paste(
    pictures: Sequence[PIL.Image.Image], scenes: Sequence[world.Scene], references: Sequence[PIL.Image.Image]
) -> np.ndarray:
    """Whether each picture is nearer to one of `references` than to one of as many other drawings of its scene (N,).

    Both minima are taken over equally many drawings, so neither side has the better chance.
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
