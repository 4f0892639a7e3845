"""The held-out cast: UnicornGirl, her nine companions, the six reference poses, and how pretraining avoids them all."""

import numpy as np

from .factors import Character, Pose, Scene, Setting, sample_character, sample_pose, sample_setting

TOKEN = "UnicornGirl"

# Her dress is turquoise and her streak mint; no word in `color.NAMES` covers these hues.
UNICORN_GIRL = Character(
    skin=(24, 0.19, 0.99), hair_style="long", hair_color=(330, 0.40, 0.98), hair_wave=0.85, fringe="swept",
    streak_color=(166, 0.45, 0.95), eye_color=(265, 0.65, 0.70), eye_shape=0.85, headgear="horn",
    headgear_color=(50, 0.65, 0.98), outfit="dress", outfit_color=(182, 0.62, 0.74), accent_color=(53, 0.55, 0.99),
    shoes_color=(272, 0.55, 0.62), pattern="hem", marking="star", marking_side="right", odd_sock="left",
    accessory="tail",
)  # fmt: skip

COMPANIONS: tuple[Character, ...] = (
    # Fox: an unseen combination of common values.
    Character((24, 0.30, 0.95), "bob", (28, 0.85, 0.95), 0.3, "parted", (0, 0.02, 0.98), (120, 0.6, 0.6), 0.4,
              "cat ears", (28, 0.85, 0.95), "overalls", (218, 0.6, 0.7), (0, 0.02, 0.98), (20, 0.6, 0.4), "plain",
              "heart", "left", "right", "tail"),
    # Witch.
    Character((24, 0.14, 1.0), "curly", (0, 0.85, 0.8), 0.6, "straight", (0, 0.85, 0.8), (100, 0.7, 0.7), 0.6,
              "hat", (272, 0.6, 0.5), "coat", (275, 0.45, 0.6), (30, 0.85, 0.95), (250, 0.1, 0.16), "dots",
              "moon", "right", "none", "cape"),
    # Princess in lime, a hue without a word.
    Character((22, 0.52, 0.68), "buns", (250, 0.15, 0.18), 0.2, "parted", (300, 0.6, 0.9), (30, 0.6, 0.5), 0.7,
              "crown", (52, 0.7, 0.98), "skirt", (78, 0.65, 0.85), (330, 0.45, 0.98), (0, 0.03, 0.97), "stripes",
              "heart", "right", "right", "scarf"),
    # DJ.
    Character((24, 0.25, 0.97), "short", (215, 0.7, 0.85), 0.1, "swept", (60, 0.5, 0.98), (215, 0.8, 0.8), 0.3,
              "headphones", (0, 0.85, 0.85), "trousers", (0, 0.02, 0.55), (52, 0.75, 0.98), (0, 0.8, 0.85), "plain",
              "star", "left", "none", "scarf"),
    # Fairy with mint skin.
    Character((150, 0.28, 0.92), "ponytail", (275, 0.6, 0.65), 0.9, "straight", (335, 0.4, 0.98), (48, 0.8, 0.9), 0.9,
              "flowers", (335, 0.45, 0.98), "dress", (110, 0.6, 0.6), (52, 0.6, 0.98), (24, 0.65, 0.45), "dots",
              "moon", "left", "left", "wings"),
    # Sailor.
    Character((20, 0.58, 0.45), "twin tails", (0, 0.03, 0.97), 0.4, "parted", (190, 0.7, 0.8), (190, 0.7, 0.8), 0.5,
              "bow", (2, 0.85, 0.85), "skirt", (220, 0.75, 0.6), (0, 0.03, 0.98), (2, 0.8, 0.8), "hem",
              "star", "left", "left", "none"),
    # Detective.
    Character((24, 0.2, 0.99), "short", (20, 0.6, 0.4), 0.7, "parted", (20, 0.6, 0.4), (170, 0.6, 0.6), 0.2,
              "hat", (20, 0.6, 0.45), "coat", (38, 0.42, 0.72), (5, 0.85, 0.75), (20, 0.65, 0.35), "stripes",
              "moon", "right", "right", "none"),
    # Ice skater.
    Character((24, 0.16, 1.0), "ponytail", (200, 0.25, 0.95), 0.15, "swept", (330, 0.5, 0.95), (205, 0.8, 0.75), 0.8,
              "headphones", (0, 0.02, 0.98), "skirt", (205, 0.35, 0.95), (265, 0.45, 0.75), (0, 0.02, 0.6), "hem",
              "heart", "left", "none", "cape"),
    # Gardener.
    Character((23, 0.45, 0.82), "curly", (48, 0.6, 0.95), 0.35, "parted", (120, 0.5, 0.6), (25, 0.7, 0.45), 0.35,
              "flowers", (0, 0.75, 0.9), "overalls", (118, 0.55, 0.55), (25, 0.85, 0.95), (5, 0.8, 0.75), "dots",
              "heart", "right", "left", "scarf"),
)  # fmt: skip

HELD_OUT = (UNICORN_GIRL, *COMPANIONS)

# Six poses: each factor varies, but "sitting", "angry" and many combinations are not shown.
REFERENCE_POSES: tuple[Pose, ...] = (
    Pose("standing", "down", "raised", "front", "smiling"),
    Pose("walking", "out", "down", "right", "smiling"),
    Pose("standing", "hip", "hip", "left", "sad"),
    Pose("running", "raised", "down", "left", "surprised"),
    Pose("jumping", "raised", "out", "front", "smiling"),
    Pose("walking", "down", "hip", "right", "surprised"),
)
REFERENCE_BACKGROUNDS = ("meadow", "city", "room", "beach", "night", "forest")


def _signature(character: Character) -> tuple[str, ...]:
    return character.hair_style, character.headgear, character.outfit


_HELD_OUT_SIGNATURES = {_signature(character) for character in HELD_OUT}


def is_held_out(character: Character) -> bool:
    """Whether hair style, headgear and outfit together are those of a held-out character."""
    return _signature(character) in _HELD_OUT_SIGNATURES


def reference_scenes(character: Character) -> tuple[Scene, ...]:
    """The six drawings an artist would have of the character: fixed poses, one background each."""
    return tuple(
        Scene(character, pose, Setting(background, seed=40 + i, line_width=1.05))
        for i, (pose, background) in enumerate(zip(REFERENCE_POSES, REFERENCE_BACKGROUNDS, strict=True))
    )


def sample_scene(seed: int) -> Scene:
    """Scene number `seed` of the pretraining world: never a held-out character.

    Scenes 2k and 2k+1 are look-alikes: the second keeps the first's setting and changes a few identity
    factors and half of the pose, so that a contrastive model must read every word.
    """
    rng = np.random.default_rng([7, seed // 2])
    character = _allowed(rng)
    pose, setting = sample_pose(rng), sample_setting(rng)
    if seed % 2:
        other, other_pose = _allowed(rng), sample_pose(rng)
        character = _mixed(character, other, rng)
        pose = _mixed(pose, other_pose, rng)
    return Scene(character, pose, setting)


def _allowed(rng: np.random.Generator) -> Character:
    while is_held_out(character := sample_character(rng)):
        pass
    return character


def _mixed(first: Character | Pose, second: Character | Pose, rng: np.random.Generator) -> Character | Pose:
    """`first` with each field replaced by `second`'s with probability one half; a held-out mixture is refused."""
    while True:
        names = [name for name in vars(first) if rng.random() < 0.5]
        mixed = type(first)(**{**vars(first), **{name: getattr(second, name) for name in names}})
        if not isinstance(mixed, Character) or not is_held_out(mixed):
            return mixed
