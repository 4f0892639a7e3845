"""Scores of generated pictures of the comic world: identity, pose, joint success, copying; and their table.

    records = score_run(pictures, scenes, references, reader)
    scores = table({"fine-tuned": records, "ceiling": score_run(true_renders(scenes), scenes, references, reader)})

A picture is a copy if it is nearer to a reference drawing than 99 % of true drawings of the same character in other
poses are. The distance compares whole pictures (figure, pose and background), not identities, so a faithful character
in a new pose is not a copy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import PIL.Image
from PIL import Image
from torch import Tensor

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.readings import Readings, compare
from comics_genai.evaluation.statistics import Interval, clopper_pearson, hierarchical_bootstrap
from comics_genai.images import as_tensor
from comics_genai.world.captions import ARMS, FACING, LEGS, PLACES

IDENTITY_RIGHT = 0.85  # least share of right attributes at which a picture counts as the character
POSE_PARTS = ("legs", "left_arm", "right_arm", "facing")  # the factors of a right pose; the expression may differ
NEW_POSE_PARTS = ("legs", "left_arm", "right_arm")  # a pose is new if no drawing has these together
FALSE_POSITIVES = 0.01
OTHER_POSES = 300  # number of true drawings for the copy threshold
SAME_DRAWING = 0.04  # largest distance between drawings of one scene at two sizes; other characters are beyond 0.1
THUMBNAIL = 32  # pixels each way at which pictures are compared
LEVELS = ("character", "training_seed", "prompt")  # of the bootstrap, outermost first; the last level is pictures
COLUMNS = {
    "identity": "identity",
    "identity_named": "named",
    "identity_unnamed": "unnamed",
    "pose": "pose",
    "joint_success": "joint success",
    "copied": "copy rate",
}
# Scores of a picture that are not yes or no, so that their mean does not count successes.
NO_SHARES = ("identity", "identity_named", "identity_unnamed", "pose", "joint_error", "reference_similarity")
NO_SHARES += ("palette_distance",)
Record = dict[str, Any]


def score_run(
    pictures: Sequence[PIL.Image.Image],
    scenes: Sequence[world.Scene],
    references: Sequence[PIL.Image.Image],
    reader: AttributeReader,
    embed: Callable[[Tensor], Tensor] | None = None,
    threshold: float | None = None,
    labels: Sequence[Mapping[str, Any]] | None = None,
) -> list[Record]:
    """Score each picture against the scene that it should show, as JSON-able records. The scenes show one character.

    right: {attribute or pose factor: bool}. identity, identity_named, identity_unnamed, pose: shares of right factors;
    only attributes in `reader.readable` count. identity_right, pose_right, joint_success: bool. joint_error: mean
    distance of the joints, in fractions of the picture. reference_distance, nearest_reference, copied: see
    `reference_distances`. reference_similarity: the cosine to the most similar reference, only with `embed`, which maps
    pictures of the reader's size, (N, 3, size, size) in [-1, 1], to unit vectors.

    threshold: that of the copy test, by default `copy_threshold`. labels: further entries of each record, among them
    the groups of the bootstrap (LEVELS). By default "prompt" groups the records by scene.
    """
    if not len(pictures) == len(scenes) == len(labels if labels is not None else scenes):
        raise UserError(f"There are {len(pictures)} pictures and {len(scenes)} scenes: give each picture its scene.")
    if not pictures:
        return []
    if any(scene.character != scenes[0].character for scene in scenes):
        raise UserError("The scenes are of several characters: score each character against its own drawings.")
    readings, truth = reader.read(pictures), Readings.of(scenes)
    right = compare(readings, truth)
    joint_error = np.linalg.norm(readings.joints - truth.joints, axis=-1).mean(-1)
    distances = reference_distances(pictures, references)
    if threshold is None:
        threshold = copy_threshold(scenes[0].character, references)
    similarity = None
    if embed is not None:

        def seen(images: Sequence[PIL.Image.Image]) -> Tensor:
            return as_tensor(images, reader.config.size) * 2 - 1

        similarity = (embed(seen(pictures)) @ embed(seen(references)).T).max(-1).values
    records = []
    for i, scene in enumerate(scenes):
        factors = {name: bool(values[i]) for name, values in right.items()}
        record: Record = {"prompt": world.scene_prompt(scene, "a girl"), **(labels[i] if labels else {})}
        record |= _shares(factors, reader.readable)
        record["joint_error"] = float(joint_error[i])
        record["reference_distance"] = float(distances[i].min())
        record["nearest_reference"] = int(distances[i].argmin())
        record["copied"] = bool(distances[i].min() < threshold)
        if similarity is not None:
            record["reference_similarity"] = float(similarity[i])
        records.append(record | {"right": factors})
    return records


def _shares(right: Mapping[str, bool], readable: Sequence[str]) -> Record:
    named = [right[a.name] for a in world.ATTRIBUTES if a.named and a.name in readable]
    unnamed = [right[a.name] for a in world.ATTRIBUTES if not a.named and a.name in readable]
    identity = float(np.mean(named + unnamed))
    identity_right = identity >= IDENTITY_RIGHT
    pose_right = all(right[name] for name in POSE_PARTS)
    return {
        "identity": identity,
        "identity_named": float(np.mean(named)),
        "identity_unnamed": float(np.mean(unnamed)),
        "pose": float(np.mean([right[name] for name in world.POSE_FACTORS])),
        "identity_right": identity_right,
        "pose_right": pose_right,
        "joint_success": identity_right and pose_right,
    }


def reference_distances(pictures: Sequence[PIL.Image.Image], references: Sequence[PIL.Image.Image]) -> np.ndarray:
    """Distances (N, references): root mean square difference of RGB in [0, 1] at 32 px, at the best alignment.

    Shifts of up to 1/16 of the width are tried, in steps of half a pixel. So shift, blur, noise or a colour cast do not
    hide a copy, while another pose or background is far away.
    """
    return _aligned_distances(_thumbnails(pictures), _thumbnails(references))


def _thumbnails(pictures: Sequence[PIL.Image.Image]) -> np.ndarray:
    """Thumbnails (N, 64, 64, 3) in [0, 1] by averaging, twice as fine as the pictures that are compared."""
    side = (2 * THUMBNAIL, 2 * THUMBNAIL)
    small = [picture.convert("RGB").resize(side, Image.Resampling.BOX) for picture in pictures]
    return np.stack([np.asarray(picture, np.float32) for picture in small]) / 255


def _aligned_distances(pictures: np.ndarray, references: np.ndarray) -> np.ndarray:
    most = THUMBNAIL // 8
    inner = 2 * (THUMBNAIL - most)

    def window(x: np.ndarray, dy: int, dx: int) -> np.ndarray:
        part = x[:, dy : dy + inner, dx : dx + inner]
        halved = part[:, ::2, ::2] + part[:, 1::2, ::2] + part[:, ::2, 1::2] + part[:, 1::2, 1::2]
        return halved.reshape(len(x), -1) / 4

    centers = window(references, most, most)
    best = np.full((len(pictures), len(references)), np.inf, np.float32)
    for dy in range(2 * most + 1):
        for dx in range(2 * most + 1):
            shifted = window(pictures, dy, dx)
            squares = np.square(shifted).sum(1)[:, None] + np.square(centers).sum(1) - 2 * shifted @ centers.T
            best = np.minimum(best, squares / centers.shape[1])
    return np.sqrt(np.maximum(best, 0))


def copy_threshold(
    character: world.Character, references: Sequence[PIL.Image.Image], count: int = OTHER_POSES
) -> float:
    """The 1 % quantile of the distances of `count` true drawings, in other poses, to their nearest reference."""
    distances = _aligned_distances(_other_poses(character, count), _thumbnails(references))
    return float(np.quantile(distances.min(-1), FALSE_POSITIVES))


def known_character(drawings: Sequence[PIL.Image.Image]) -> world.Character | None:
    """The held-out character that all these drawings show; None if there is none, and nothing can be scored."""
    if not drawings:
        return None
    for character in world.HELD_OUT:
        references = [world.draw(scene) for scene in world.reference_scenes(character)]
        if reference_distances(drawings, references).min(-1).max() < SAME_DRAWING:
            return character
    return None


@cache
def _other_poses(character: world.Character, count: int) -> np.ndarray:
    return _thumbnails([world.draw(scene) for scene in other_pose_scenes(character, count)])


def other_pose_scenes(
    character: world.Character, count: int, seed: int = 0, half: Literal["all", "validation", "test"] = "all"
) -> list[world.Scene]:
    """Random scenes of a character, with combinations of legs and arms that no reference drawing shows.

    half: settings and checkpoints are chosen on the poses of one half and measured on those of the other.
    """
    rng, scenes = np.random.default_rng([11, seed]), []
    while len(scenes) < count:
        pose, setting = world.sample_pose(rng), world.sample_setting(rng)
        if is_new_pose(pose) and half in ("all", half_of(pose)):
            scenes.append(world.Scene(character, pose, setting))
    return scenes


def half_of(pose: world.Pose) -> str:
    """"test" or "validation", by legs and arms alone, as on a chessboard, so that each half has every value of both."""
    places = [world.POSE_FACTORS[name].index(getattr(pose, name)) for name in NEW_POSE_PARTS]
    return ("test", "validation")[sum(places) % 2]


def is_new_pose(pose: world.Pose) -> bool:
    """Whether no reference drawing has these legs and arms together. Facing and expression do not matter."""
    parts = [getattr(pose, name) for name in NEW_POSE_PARTS]
    return all(parts != [getattr(drawn, name) for name in NEW_POSE_PARTS] for drawn in world.REFERENCE_POSES)


def true_renders(
    scenes: Sequence[world.Scene], size: int = 128, through: Callable[[np.ndarray], np.ndarray] | None = None
) -> list[PIL.Image.Image]:
    """The ceiling: true drawings of the scenes, `size` px each way.

    through: a function of uint8 (N, size, size, 3) that shows what a base can encode at best, for instance
    `lambda x: base.decode(base.encode_images(x))`.
    """
    drawn = [world.draw(scene, size) for scene in scenes]
    if through is None or not drawn:
        return drawn
    return [Image.fromarray(picture) for picture in through(np.stack([np.asarray(picture) for picture in drawn]))]


def other_character_renders(scenes: Sequence[world.Scene], size: int = 128) -> list[PIL.Image.Image]:
    """The floor: the same poses and places with other held-out characters in turn, scored against `scenes`."""
    pictures = []
    for i, scene in enumerate(scenes):
        others = [character for character in world.HELD_OUT if character != scene.character]
        pictures.append(world.draw(replace(scene, character=others[i % len(others)]), size))
    return pictures


def summarise(
    records: Sequence[Record], resamples: int = 10_000, more: Sequence[str] = ()
) -> dict[str, Interval]:
    """The mean and 95 % interval of every score, of every factor under its own name, and of `more` scores.

    The intervals come from a hierarchical bootstrap over the LEVELS that all records have. With one character they
    cover only prompts and seeds. If all pictures fail or all succeed, resampling shows no variation, and the interval
    is the exact one of Clopper and Pearson for that number of pictures. A score that some records do not have is left
    out.
    """
    if not records:
        raise UserError("There is no scored picture to summarise: draw some first.")
    scores = {
        name: [record[name] for record in records]
        for name in (*COLUMNS, "identity_right", "pose_right", "joint_error", "reference_similarity", *more)
        if all(record.get(name) is not None for record in records)
    }
    factors = [name for name in records[0]["right"] if all(name in record["right"] for record in records)]
    scores |= {name: [record["right"][name] for record in records] for name in factors}
    groups = [[record[level] for record in records] for level in LEVELS if all(level in record for record in records)]
    values = np.array(list(scores.values()), np.float64).T
    intervals = dict(zip(scores, hierarchical_bootstrap(values, groups, resamples), strict=True))
    shares = scores.keys() - set(NO_SHARES)
    for name, column in zip(scores, values.T, strict=True):
        if name in shares and (column == column[0]).all() and column[0] in (0, 1):
            intervals[name] = clopper_pearson(int(column.sum()), len(column))
    return intervals


def table(runs: Mapping[str, Sequence[Record]], columns: Mapping[str, str] = COLUMNS) -> dict[str, Any]:
    """The comparison, JSON-able: {"columns": {key: label}, "rows": [{"name": run, "pictures": N, key: interval}]}.

    An interval is {"mean", "low", "high"} in fractions, or null if the run has no such score.
    """
    rows = []
    for name, records in runs.items():
        summary = summarise(records, more=[key for key in columns if key not in COLUMNS])
        intervals = {key: asdict(summary[key]) if key in summary else None for key in columns}
        rows.append({"name": name, "pictures": len(records), **intervals})
    return {"columns": dict(columns), "rows": rows}


def scene_of(prompt: str, character: world.Character) -> world.Scene:
    """The scene that a prompt of `world.scene_prompt` describes. Raises UserError if a part of the pose is missing."""
    clauses = {clause.strip() for clause in prompt.split(",")}
    phrases = {
        "legs": LEGS,
        "left_arm": {value: f"left arm {words}" for value, words in ARMS.items()},
        "right_arm": {value: f"right arm {words}" for value, words in ARMS.items()},
        "facing": FACING,
        "expression": {value: value for value in world.POSE_FACTORS["expression"]},
        "background": PLACES,
    }
    found = {}
    for factor, words in phrases.items():
        values = [value for value, phrase in words.items() if phrase in clauses]
        if len(values) != 1 and factor != "background":
            raise UserError(
                f"The prompt {prompt!r} does not say one {factor.replace('_', ' ')}, so it cannot be scored: name one "
                f"of {', '.join(words.values())}, between commas."
            )
        found[factor] = values[0] if values else "paper"
    return world.Scene(character, setting=world.Setting(found.pop("background")), pose=world.Pose(**found))
