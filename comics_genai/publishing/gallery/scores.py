"""Put a picture's scores into words: what is right, what is wrong, and whether it is a copy."""

from collections.abc import Mapping
from typing import Any

NAMES = {
    "identity": "character right",
    "identity_named": "named attributes right",
    "identity_unnamed": "unnamed attributes right",
    "pose": "pose right",
    "reference_distance": "distance to the nearest drawing",
    "reference_similarity": "similarity to the nearest drawing",
    "joint_error": "distance of joints",
}
SHARES = frozenset({"identity", "identity_named", "identity_unnamed", "pose"})  # fractions, shown as percent
NO_MEASURE = frozenset({"nearest_reference"})  # an index


def scores_in_words(scores: Any) -> dict[str, Any]:
    """{"right": [words], "wrong": [words], "sentences": [str], "numbers": {label: number}, "shares": [label]} of a
    record's `scores`; empty for a value of another shape."""
    if not isinstance(scores, Mapping):
        return {}
    factors = scores.get("right")
    factors = factors if isinstance(factors, Mapping) else {}
    told: dict[str, Any] = {
        "right": [factor_in_words(name) for name, right in factors.items() if right is True],
        "wrong": [factor_in_words(name) for name, right in factors.items() if right is False],
        "sentences": [],
        "numbers": {},
        "shares": [],
    }
    if isinstance(scores.get("joint_success"), bool):
        told["sentences"].append(
            "The character and the pose are both right."
            if scores["joint_success"]
            else "The character and the pose are not both right."
        )
    if isinstance(scores.get("copied"), bool):
        told["sentences"].append(
            "It counts as a copy of one of the drawings." if scores["copied"] else "It is no copy of a drawing."
        )
    for name, value in scores.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in NO_MEASURE:
            label = NAMES.get(name, factor_in_words(name))
            told["numbers"][label] = value
            if name in SHARES:
                told["shares"].append(label)
    return told


def factor_in_words(name: str) -> str:
    """"hair_color" is "hair colour"."""
    return str(name).replace("_", " ").replace("color", "colour")
