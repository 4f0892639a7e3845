"""What no drawing of a set shows, by its captions: against the words of this world, or a list of common ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from comics_genai.world.captions import ARMS, FACING, LEGS, PLACES
from comics_genai.world.factors import POSE_FACTORS

# What this world's captions say, clause by clause: factor -> words as they stand there.
WORLD: dict[str, tuple[str, ...]] = {
    "legs": tuple(LEGS.values()),
    "left arm": tuple(f"left arm {words}" for words in ARMS.values()),
    "right arm": tuple(f"right arm {words}" for words in ARMS.values()),
    "facing": tuple(FACING.values()),
    "expression": POSE_FACTORS["expression"],
    "background": tuple(PLACES.values()),
}
# For captions in anybody's words: factor -> what is asked for -> any of these words (regular expressions) says it.
COMMON: dict[str, dict[str, str]] = {
    "pose": {
        "standing": r"stand\w*|stood",
        "sitting": r"sit|sits|sitting|sat|seated",
        "lying": r"lying|lies|lay|sleep\w*",
        "kneeling": r"kneel\w*|crouch\w*|squat\w*",
        "walking": r"walk\w*",
        "running": r"run|runs|running|ran|sprint\w*",
        "jumping": r"jump\w*|leap\w*|hop\w*",
        "flying": r"fly|flies|flying|float\w*",
        "dancing": r"danc\w*",
        "arms raised": r"wav(?:e|es|ing)|(?:arm|hand)s? (?:is |are )?(?:raised|up)|(?:raised|raising)",
        "pointing": r"point(?:s|ing)?",
    },
    "facing": {
        "the viewer": r"front\w*|ahead|at (?:the )?(?:viewer|camera|us)|facing forward",
        "left": r"(?:look\w*|fac\w*|turn\w*)(?: to)?(?: the| her| his| their)? left",
        "right": r"(?:look\w*|fac\w*|turn\w*)(?: to)?(?: the| her| his| their)? right",
        "from the side": r"profile|side view|from the side|sideways",
        "from behind": r"behind|back view|from the back",
        "from above": r"above|bird\W?s.eye|high angle",
        "from below": r"below|low angle|worm\W?s.eye",
    },
    "expression": {
        "smiling": r"smil\w*|happy|happily|grin\w*|cheerful\w*",
        "laughing": r"laugh\w*",
        "sad": r"sad|sadly|cry|cries|crying|tear\w*|unhappy",
        "angry": r"angry|angrily|furious\w*|scowl\w*|frown\w*",
        "surprised": r"surpris\w*|astonish\w*|shock\w*",
        "afraid": r"afraid|scared|fear\w*|frighten\w*|terrified",
        "calm": r"calm\w*|neutral|serious\w*",
        "eyes closed": r"(?:closed|shut) eyes|eyes (?:closed|shut)|asleep|sleep\w*|wink\w*",
    },
    "background": {
        "plain": r"plain|white (?:background|paper)|blank|no background",
        "a room": r"room|indoors?|kitchen|bedroom|house|home|office|classroom",
        "a street": r"street|road|city|town|building\w*",
        "a meadow": r"meadow|field|grass\w*|park|garden",
        "a forest": r"forest|woods?|jungle|trees?",
        "a beach": r"beach|sea|ocean|shore|coast|water",
        "mountains": r"mountains?|hills?|cliffs?",
        "the sky": r"sky|clouds?|space|stars",
        "night": r"night|dark|moon\w*",
        "rain or snow": r"rain\w*|snow\w*|storm\w*",
    },
}


@dataclass(frozen=True)
class Coverage:
    """The number of captions that name each value of each factor."""

    counts: dict[str, dict[str, int]]  # factor -> value -> drawings
    is_world: bool  # whether the captions use this world's words, so that a value that is not counted is really absent
    captions: int
    combinations: int  # of all factors that occur; of `possible`
    possible: int  # 0 if the captions use other words, because what these leave out is unknown

    @property
    def missing(self) -> dict[str, list[str]]:
        """The values that no caption says, by factor."""
        return {factor: [v for v, n in values.items() if not n] for factor, values in self.counts.items()}


def coverage(captions: Sequence[str]) -> Coverage:
    """How the captions cover this world's vocabulary, if they are all in its words, else the common words.

    Empty captions are left out.
    """
    said = [caption for caption in captions if caption.strip()]
    clauses = [caption.split(", ") for caption in said]
    is_world = bool(said) and all(any(word in found for word in WORLD["legs"]) for found in clauses)
    is_world &= all(any(word in found for word in WORLD["background"]) for found in clauses)
    if is_world:
        counts = {
            factor: {value: sum(value in found for found in clauses) for value in values}
            for factor, values in WORLD.items()
        }
        vocabulary = [word for values in WORLD.values() for word in values]
        seen = {tuple(word for word in vocabulary if word in found) for found in clauses}
        possible = 1
        for values in WORLD.values():
            possible *= len(values)
        return Coverage(counts, True, len(said), len(seen), possible)
    counts = {
        factor: {
            value: sum(bool(re.search(rf"\b(?:{words})\b", caption, re.IGNORECASE)) for caption in said)
            for value, words in values.items()
        }
        for factor, values in COMMON.items()
    }
    return Coverage(counts, False, len(said), 0, 0)


def sentences(found: Coverage) -> list[str]:
    """Sentences on what the set does not show, so that fine-tuning has to invent it."""
    if not found.captions:
        return ["The drawings have no captions, so nothing says what they lack: caption them (metadata.jsonl) to see."]
    lines = []
    for factor, values in found.missing.items():
        if not any(found.counts[factor].values()):
            lines.append(f"No caption says anything of the {factor}.")
        elif values:
            lines.append(f"Never seen, {factor}: {_list(values)}.")
    lines += _seldom(found.counts, found.captions)
    if found.possible:
        lines.append(
            f"Of {found.possible:,} combinations of pose, facing, expression and background the set shows "
            f"{found.combinations}: every other one has to be invented from its parts."
        )
    return lines or ["Every value in the list occurs at least once."]


def _seldom(counts: Mapping[str, Mapping[str, int]], captions: int) -> list[str]:
    once = [value for values in counts.values() for value, count in values.items() if count == 1]
    if captions < 3 or not once:
        return []
    return [f"Seen in one drawing only, so that one is all there is to learn from: {_list(once)}."]


def _list(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]
