"""Captions of pictures in the words of the comic world: full, partial, or only the class."""

import numpy as np

from .color import HSV, NAMES, SKIN_NAMES, color_name, skin_name
from .factors import POSE_FACTORS, Character, Pose, Scene

CLASS_PROMPT = "a drawing of a girl"
LEGS = {"standing": "standing", "walking": "walking", "running": "running", "jumping": "jumping", "sitting": "sitting"}
ARMS = {"down": "down", "hip": "on hip", "raised": "raised", "out": "stretched out"}
FACING = {"left": "looking left", "front": "looking ahead", "right": "looking right"}
PLACES = {
    "paper": "on plain paper",
    "meadow": "in a meadow",
    "night": "at night under the moon",
    "city": "in the city",
    "beach": "on the beach",
    "forest": "in the forest",
    "room": "in a room",
}
HAIR = {
    "long": "long {} hair",
    "bob": "a {} bob",
    "ponytail": "a {} ponytail",
    "twin tails": "{} twin tails",
    "curly": "curly {} hair",
    "buns": "{} hair buns",
    "short": "short {} hair",
}
HEADGEAR = {
    "horn": "a {} horn",
    "cat ears": "{} cat ears",
    "bow": "a {} bow",
    "hat": "a {} hat",
    "crown": "a {} crown",
    "flowers": "{} flowers",
    "headphones": "{} headphones",
}
OUTFITS = {
    "dress": "a {} dress",
    "skirt": "a {} skirt",
    "overalls": "{} overalls",
    "trousers": "{} trousers",
    "coat": "a {} coat",
}
ACCESSORIES = {"scarf": "a {} scarf", "cape": "a {} cape", "wings": "{} wings", "tail": "a {} tail"}
_COLORED = ("hair_color", "headgear_color", "outfit_color", "accent_color", "shoes_color")
WORDS: dict[str, tuple[str, ...]] = {  # all words that `said` can find
    "skin": tuple(SKIN_NAMES),
    "hair_style": tuple(HAIR),
    "headgear": tuple(HEADGEAR),
    "outfit": tuple(OUTFITS),
    "accessory": tuple(ACCESSORIES),
    **dict.fromkeys(_COLORED, tuple(NAMES)),
    **POSE_FACTORS,
    "background": tuple(PLACES),
}


def _colored(phrase: str, *colors: HSV) -> str:
    """`phrase` with the colours' names in it; a colour without a name is left out."""
    words = " ".join(phrase.format(*(color_name(hsv) or "" for hsv in colors)).split())
    return words.replace("a orange", "an orange")


def identity_words(character: Character) -> dict[str, dict[str, str]]:
    """Everything that words can say of an identity: clauses, each with its factors and their words."""
    skin = skin_name(character.skin)
    # Trousers come with a jumper: the outfit colour is the jumper's, the accent the trousers'.
    outfit_colors = {"outfit_color": character.outfit_color}
    outfit = OUTFITS[character.outfit]
    if character.outfit == "trousers":
        outfit_colors["accent_color"] = character.accent_color
        outfit = "a {} jumper and {} trousers"
    parts: list[tuple[str, dict[str, str], dict[str, HSV]]] = [
        (HAIR[character.hair_style], {"hair_style": character.hair_style}, {"hair_color": character.hair_color}),
        (HEADGEAR[character.headgear], {"headgear": character.headgear}, {"headgear_color": character.headgear_color}),
        (outfit, {"outfit": character.outfit}, outfit_colors),
        ("{} shoes", {}, {"shoes_color": character.shoes_color}),
    ]
    if character.accessory != "none":
        accessory = {"accessory": character.accessory}
        parts.append((ACCESSORIES[character.accessory], accessory, {"accent_color": character.accent_color}))
    said = {f"{skin} skin": {"skin": skin}} if skin else {}
    for phrase, classes, colors in parts:
        names = {factor: name for factor, hsv in colors.items() if (name := color_name(hsv))}
        said[_colored(phrase, *colors.values())] = classes | names
    return said


def identity_clauses(character: Character) -> list[str]:
    """Clauses with everything that words can say of an identity."""
    return list(identity_words(character))


def said(scene: Scene, text: str) -> dict[str, str]:
    """The word for each factor that a caption of the scene names; the place is the factor "background"."""
    pose = scene.pose
    words = identity_words(scene.character) | {
        clause: {factor: getattr(pose, factor)} for clause, factor in zip(pose_clauses(pose), POSE_FACTORS, strict=True)
    }
    words |= {PLACES[scene.setting.background]: {"background": scene.setting.background}}
    clauses = text.removeprefix("a drawing of ").removeprefix("a girl with ").split(", ")
    found: dict[str, str] = {}
    for clause in clauses:
        found |= words.get(clause, {})
    return found


def pose_clauses(pose: Pose) -> list[str]:
    """The pose in words, with a clause for each factor."""
    return [
        LEGS[pose.legs],
        f"left arm {ARMS[pose.left_arm]}",
        f"right arm {ARMS[pose.right_arm]}",
        FACING[pose.facing],
        pose.expression,
    ]


def scene_prompt(scene: Scene, subject: str) -> str:
    """A prompt for a `subject`, in the caller's own words, in the scene's pose and place."""
    return ", ".join([f"a drawing of {subject}", *pose_clauses(scene.pose), PLACES[scene.setting.background]])


def careful_subject(character: Character) -> str:
    """The subject in words, for a base that does not know the character: every attribute that has a name."""
    return "a girl with " + ", ".join(identity_clauses(character))


def caption(scene: Scene, detail: str = "full", rng: np.random.Generator | None = None) -> str:
    """A caption of the scene. detail: full, partial (a random part of the clauses, which needs `rng`) or class."""
    if detail == "class":
        return CLASS_PROMPT
    identity, rest = (
        identity_clauses(scene.character),
        [*pose_clauses(scene.pose), PLACES[scene.setting.background]],
    )
    if detail == "partial":
        keep = rng.uniform(0.2, 0.9)
        identity = [clause for clause in identity if rng.random() < keep]
        rest = [clause for clause in rest if rng.random() < keep]
    subject = "a girl with " + ", ".join(identity) if identity else "a girl"
    return ", ".join([f"a drawing of {subject}", *rest])


def sample_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A random caption for pretraining: 70 % full, 20 % partial, 10 % only the class."""
    return caption(scene, rng.choice(["full", "partial", "class"], p=[0.7, 0.2, 0.1]), rng)
