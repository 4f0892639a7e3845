"""Semantic channels: maps of what a drawing of the comic world shows, at the size of its latents.

There are three groups of float32 maps with SIDE x SIDE cells: which part of the figure covers a cell (hair, headgear,
face, outfit, arms, legs, what hangs behind); where the bones are (head, each arm, each leg); and the state of the face
(expression, facing) at the head. The autoencoder's encoder learns to read them from the picture, and its decoder uses
them. The UNet diffuses them together with the picture's own channels, as ReDi does with DINO features (Kouzelis et al.
2025). So a pose or an expression is a large, smooth signal instead of a few pixels.
"""

import json
from pathlib import Path

import numpy as np

from comics_genai import world
from comics_genai.files import write_atomic

FILE = "semantic_channels.json"  # beside an autoencoder's weights: from which latent channel on, and their names
SIDE = 16  # cells of the side: a picture of 128 px, eight times smaller
BONES = {
    "head": (("neck", "head"),),
    "left arm": (("left_shoulder", "left_elbow"), ("left_elbow", "left_hand")),
    "right arm": (("right_shoulder", "right_elbow"), ("right_elbow", "right_hand")),
    "left leg": (("pelvis", "left_knee"), ("left_knee", "left_foot")),
    "right leg": (("pelvis", "right_knee"), ("right_knee", "right_foot")),
}
BONE_WIDTH, HEAD_WIDTH, FACE_WIDTH = 0.035, 0.06, 0.09  # standard deviations, in fractions of the picture
FACE = (*world.POSE_FACTORS["expression"], "facing")
CHANNELS = (*world.PARTS, *BONES, *FACE)
# Mean and standard deviation of each channel over 1,000 scenes and all cells; `standardised` subtracts and divides.
CENTER = np.float32((0.080, 0.025, 0.032, 0.032, 0.028, 0.030, 0.012, 0.044, *[0.023] * 2, *[0.027] * 2, *[0.0] * 5))
SPREAD = np.float32(
    (0.226, 0.125, 0.155, 0.150, 0.127, 0.137, 0.082, 0.157, *[0.121] * 2, *[0.130] * 2, *[0.069] * 4, 0.131)
)
_CENTERS = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1) + 0.5) / SIDE  # (SIDE, SIDE, 2): x, y


def _bump(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-0.5 * (distance / width) ** 2)


def _distance(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance of each cell's centre to the segment from `start` to `end`: (SIDE, SIDE)."""
    along = end - start
    t = ((_CENTERS - start) @ along / max(float(along @ along), 1e-9)).clip(0, 1)
    return np.linalg.norm(_CENTERS - (start + t[..., None] * along), axis=-1)


def raw_maps(scene: world.Scene, parts: np.ndarray) -> np.ndarray:
    """The maps of a scene before standardisation, float32 (len(CHANNELS), SIDE, SIDE).

    `parts`: what `world.draw_with_parts` gives. Expressions are one-hot less their mean, facing is -1, 0 or 1; both are
    multiplied by a bump at the head.
    """
    places = dict(zip(world.JOINTS, world.joints(scene), strict=True))
    bones = []
    for name, segments in BONES.items():
        nearest = np.min([_distance(places[a], places[b]) for a, b in segments], axis=0)
        bones.append(_bump(nearest, HEAD_WIDTH if name == "head" else BONE_WIDTH))
    head = _bump(np.linalg.norm(_CENTERS - places["head"], axis=-1), FACE_WIDTH)
    expressions = world.POSE_FACTORS["expression"]
    states = [(scene.pose.expression == name) - 1 / len(expressions) for name in expressions]
    states.append(world.POSE_FACTORS["facing"].index(scene.pose.facing) - 1)
    face = [state * head for state in states]
    return np.concatenate([parts, np.stack(bones), np.stack(face)]).astype(np.float32)


def standardised(maps: np.ndarray) -> np.ndarray:
    """Raw maps (..., C, SIDE, SIDE) with zero mean and unit variance in each channel."""
    return (maps - CENTER[:, None, None]) / SPREAD[:, None, None]


def draw(scene: world.Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene as picture, uint8 (size, size, 3), and its standardised maps, float32 (len(CHANNELS), SIDE, SIDE)."""
    picture, parts = world.draw_with_parts(scene, size, SIDE)
    return np.array(picture), standardised(raw_maps(scene, parts))


def describe(latent_channels: int, folder: Path) -> None:
    """Write FILE into the folder of an autoencoder: the last of its latent channels are semantic."""
    record = {"first": latent_channels - len(CHANNELS), "names": CHANNELS}
    write_atomic(folder / FILE, (json.dumps(record, indent=2) + "\n").encode())
