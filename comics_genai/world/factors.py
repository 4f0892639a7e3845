"""The factors of a picture of the comic world (identity, pose, setting), and how they are sampled."""

from dataclasses import dataclass, field, fields, replace

import numpy as np

from .color import HSV, lab, sample_color, sample_skin

HAIR_STYLES = ("long", "bob", "ponytail", "twin tails", "curly", "buns", "short")
FRINGES = ("straight", "parted", "swept")
HEADGEAR = ("horn", "cat ears", "bow", "hat", "crown", "flowers", "headphones")
OUTFITS = ("dress", "skirt", "overalls", "trousers", "coat")
ACCESSORIES = ("none", "scarf", "cape", "wings", "tail")
PATTERNS = ("plain", "dots", "stripes", "hem")
MARKINGS = ("star", "heart", "moon")
SIDES = ("left", "right")
ODD_SOCKS = ("none", "left", "right")
BACKGROUNDS = ("paper", "meadow", "night", "city", "beach", "forest", "room")

POSE_FACTORS: dict[str, tuple[str, ...]] = {
    "legs": ("standing", "walking", "running", "jumping", "sitting"),
    "left_arm": ("down", "hip", "raised", "out"),
    "right_arm": ("down", "hip", "raised", "out"),
    "facing": ("left", "front", "right"),
    "expression": ("smiling", "sad", "surprised", "angry"),
}


@dataclass(frozen=True)
class Character:
    """An identity. Colours are HSV (degrees, 0-1, 0-1), scalars are in [0, 1]; left and right are the picture's."""

    skin: HSV
    hair_style: str
    hair_color: HSV
    hair_wave: float  # amplitude of the waves in the locks
    fringe: str
    streak_color: HSV  # one lock of the fringe, on the picture's right
    eye_color: HSV
    eye_shape: float  # 0 narrow, 1 round and tall
    headgear: str
    headgear_color: HSV
    outfit: str
    outfit_color: HSV
    accent_color: HSV
    shoes_color: HSV
    pattern: str
    marking: str
    marking_side: str
    odd_sock: str
    accessory: str


@dataclass(frozen=True)
class Pose:
    """A pose: one value of each of POSE_FACTORS, and jitter: 8 joint offsets in [-1, 1] (units of 7 degrees)."""

    legs: str = "standing"
    left_arm: str = "down"
    right_arm: str = "down"
    facing: str = "front"
    expression: str = "smiling"
    jitter: tuple[float, ...] = field(default=(0.0,) * 8)


@dataclass(frozen=True)
class Setting:
    """Background with its seed, scale of the figure, shift (in fractions of the picture) and line width."""

    background: str = "paper"
    seed: int = 0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    line_width: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One picture: a character, a pose and a setting."""

    character: Character
    pose: Pose = Pose()
    setting: Setting = Setting()


@dataclass(frozen=True)
class Attribute:
    """One measurable identity factor. `tolerance`: CIEDE2000 for colours, absolute for scalars, unused for classes."""

    name: str
    kind: str  # class | color | scalar
    classes: tuple[str, ...] = ()
    tolerance: float = 0.0
    named: bool = True  # whether captions have words for it


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("skin", "color", tolerance=10),
    Attribute("hair_style", "class", HAIR_STYLES),
    Attribute("hair_color", "color", tolerance=10),
    Attribute("headgear", "class", HEADGEAR),
    Attribute("headgear_color", "color", tolerance=12),
    Attribute("outfit", "class", OUTFITS),
    Attribute("outfit_color", "color", tolerance=10),
    Attribute("accent_color", "color", tolerance=14),
    Attribute("shoes_color", "color", tolerance=12),
    Attribute("accessory", "class", ACCESSORIES),
    Attribute("hair_wave", "scalar", tolerance=0.3, named=False),
    Attribute("fringe", "class", FRINGES, named=False),
    Attribute("streak_color", "color", tolerance=14, named=False),
    Attribute("eye_color", "color", tolerance=18, named=False),
    Attribute("eye_shape", "scalar", tolerance=0.3, named=False),
    Attribute("pattern", "class", PATTERNS, named=False),
    Attribute("marking", "class", MARKINGS, named=False),
    Attribute("marking_side", "class", SIDES, named=False),
    Attribute("odd_sock", "class", ODD_SOCKS, named=False),
)


def attribute_value(character: Character, name: str) -> int | float | tuple[float, float, float]:
    """The true value of an attribute: a class index, a CIELAB triple or a scalar, by the attribute's kind."""
    attribute = next(a for a in ATTRIBUTES if a.name == name)
    value = getattr(character, name)
    if attribute.kind == "class":
        return attribute.classes.index(value)
    return lab(value) if attribute.kind == "color" else value


def _choice(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]


def sample_character(rng: np.random.Generator) -> Character:
    """A character with every factor drawn independently; the caller rejects held-out ones (`cast.is_held_out`)."""
    hair = sample_color(rng)
    return Character(
        skin=sample_skin(rng),
        hair_style=_choice(rng, HAIR_STYLES),
        hair_color=hair,
        hair_wave=float(rng.random()),
        fringe=_choice(rng, FRINGES),
        streak_color=hair if rng.random() < 0.3 else sample_color(rng, named=0.4),
        eye_color=sample_color(rng, named=0.4),
        eye_shape=float(rng.random()),
        headgear=_choice(rng, HEADGEAR),
        headgear_color=sample_color(rng),
        outfit=_choice(rng, OUTFITS),
        outfit_color=sample_color(rng),
        accent_color=sample_color(rng),
        shoes_color=sample_color(rng),
        pattern=_choice(rng, PATTERNS),
        marking=_choice(rng, MARKINGS),
        marking_side=_choice(rng, SIDES),
        odd_sock=_choice(rng, ODD_SOCKS),
        accessory=_choice(rng, ACCESSORIES),
    )


def sample_pose(rng: np.random.Generator) -> Pose:
    """A pose with every factor drawn independently and jittered joints."""
    chosen = {name: _choice(rng, values) for name, values in POSE_FACTORS.items()}
    return Pose(**chosen, jitter=tuple(float(j) for j in rng.uniform(-1, 1, 8)))


def sample_setting(rng: np.random.Generator) -> Setting:
    """A background with its own seed, a scale in [0.9, 1.05], a shift of at most 4 %, a line width in [0.8, 1.3]."""
    return Setting(
        background=_choice(rng, BACKGROUNDS),
        seed=int(rng.integers(2**31)),
        scale=float(rng.uniform(0.9, 1.05)),
        shift=(float(rng.uniform(-0.04, 0.04)), float(rng.uniform(-0.02, 0.02))),
        line_width=float(rng.uniform(0.8, 1.3)),
    )


def look_alike(character: Character, rng: np.random.Generator, changes: int = 1) -> Character:
    """The character with `changes` of its attributes replaced by another character's."""
    other = sample_character(rng)
    names = rng.choice([f.name for f in fields(Character)], size=changes, replace=False)
    return replace(character, **{name: getattr(other, name) for name in names})
