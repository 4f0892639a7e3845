"""Score pictures that were drawn without a prompt: copies, diversity, poses, and whether they show the character.

    records = score_samples(pictures, world.UNICORN_GIRL, references, reader)
    conclusion = summarise_samples(records, pictures)
    scores = score.table({"GAN v2": records})          # pose columns are null: not applicable
"""

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import PIL.Image

from comics_genai import world
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.metrics import NEW_POSE_PARTS, POSE_PARTS, Record, reference_distances, score_run
from comics_genai.plotting import figures

POSES = prod(len(world.POSE_FACTORS[part]) for part in POSE_PARTS)  # combinations of legs, arms and facing
NOT_APPLICABLE = ("prompt", "pose", "pose_right", "joint_success", "joint_error")  # no pose was asked for


def copy_rate(pictures: Sequence[PIL.Image.Image], references: Sequence[PIL.Image.Image], threshold: float) -> float:
    """The share of pictures nearer than `threshold` to a reference drawing; see `metrics.reference_distances`."""
    return float((reference_distances(pictures, references).min(1) < threshold).mean())


def pairwise_distance(pictures: Sequence[PIL.Image.Image]) -> float:
    """The mean of `metrics.reference_distances` over all pairs of pictures; 0 if all are equal."""
    distances = reference_distances(pictures, pictures)
    return float(distances[np.triu_indices(len(pictures), 1)].mean())


def beside_nearest(
    pictures: Sequence[PIL.Image.Image], references: Sequence[PIL.Image.Image], columns: int = 6, side: int = 0
) -> PIL.Image.Image:
    """Rows of samples, each above the training drawings nearest to them.

    Pictures are about `side` px, 0 = unchanged.
    """
    nearest = [references[i] for i in reference_distances(pictures, references).argmin(1)]
    rows = {}
    for i in range(0, len(pictures), columns):
        last = min(i + columns, len(pictures))
        rows[f"samples {i + 1} to {last}"] = pictures[i:last]
        rows[f"the drawing nearest to each ({i + 1} to {last})"] = nearest[i:last]
    return figures.labelled_grid(rows, side=side)


def score_samples(
    pictures: Sequence[PIL.Image.Image],
    character: world.Character,
    references: Sequence[PIL.Image.Image],
    reader: AttributeReader,
    threshold: float | None = None,
    drawn: Sequence[world.Pose] = world.REFERENCE_POSES,
    labels: Sequence[dict[str, Any]] | None = None,
) -> list[Record]:
    """Records like those of `metrics.score_run`, but with the pose that the reader sees instead of scores of a pose.

    pose_read: {part: value}, even if nobody can be recognised. new_pose: no drawing in `drawn` has these legs and arms.
    novel: the right character (identity_right) in a new pose, and no copy. threshold: that of the copy test, by default
    `metrics.copy_threshold`. labels: further entries of each record, among them the groups of the bootstrap.
    """
    records = score_run(pictures, [world.Scene(character)] * len(pictures), references, reader, threshold=threshold)
    known = {tuple(getattr(pose, part) for part in NEW_POSE_PARTS) for pose in drawn}
    readings = reader.read(pictures)
    found = []
    for i, record in enumerate(records):
        read = {part: world.POSE_FACTORS[part][int(readings.pose[part][i])] for part in POSE_PARTS}
        new_pose = tuple(read[part] for part in NEW_POSE_PARTS) not in known
        attributes = {name: right for name, right in record["right"].items() if name not in world.POSE_FACTORS}
        kept = {name: value for name, value in record.items() if name not in (*NOT_APPLICABLE, "right")}
        seen = {"pose_read": read, "new_pose": new_pose}
        seen["novel"] = bool(record["identity_right"] and new_pose and not record["copied"])
        found.append({**(labels[i] if labels else {}), **kept, **seen, "right": attributes})
    return found


def _parts(pose: world.Pose) -> tuple[str, ...]:
    return tuple(getattr(pose, part) for part in POSE_PARTS)


def summarise_samples(
    records: Sequence[Record],
    pictures: Sequence[PIL.Image.Image],
    drawn: Sequence[world.Pose] = world.REFERENCE_POSES,
) -> dict[str, Any]:
    """The conclusion in numbers, JSON-able; shares of all pictures unless said otherwise.

    identity, identity_right, copy_rate, novel; diversity: see `pairwise_distance`; pose_coverage: share of the POSES
    combinations of legs, arms and facing that appear among the pictures recognisable as the character (the reader reads
    a pose even in noise), and to compare with it pose_coverage_drawings, which pure copying reaches at most,
    and pose_coverage_uniform, which as many pictures in poses drawn uniformly reach on average; pose_chance: how often
    such a pose would be the one asked for; poses: how often each combination appears among the recognisable.
    """
    recognisable = [tuple(record["pose_read"].values()) for record in records if record["identity_right"]]
    return {
        "pictures": len(records),
        **{name: float(np.mean([record[name] for record in records])) for name in ("identity", "identity_right")},
        "copy_rate": float(np.mean([record["copied"] for record in records])),
        "novel": float(np.mean([record["novel"] for record in records])),
        "diversity": pairwise_distance(pictures),
        "pose_coverage": len(set(recognisable)) / POSES,
        "pose_coverage_drawings": len({_parts(pose) for pose in drawn}) / POSES,
        "pose_coverage_uniform": 1 - (1 - 1 / POSES) ** len(records),
        "pose_chance": 1 / POSES,
        "poses": {", ".join(pose): count for pose, count in Counter(recognisable).most_common()},
    }
