"""The drawn comic world: every factor of every picture is known, so identity and pose can be measured."""

from .album import reference_caption, write_album
from .captions import (
    CLASS_PROMPT,
    WORDS,
    caption,
    careful_subject,
    identity_clauses,
    pose_clauses,
    said,
    sample_caption,
    scene_prompt,
)
from .cast import (
    COMPANIONS,
    HELD_OUT,
    REFERENCE_POSES,
    TOKEN,
    UNICORN_GIRL,
    is_held_out,
    reference_scenes,
    sample_scene,
)
from .color import nearest_name
from .drawing import draw, draw_with_parts, figure_mask
from .factors import (
    ATTRIBUTES,
    BACKGROUNDS,
    POSE_FACTORS,
    Attribute,
    Character,
    Pose,
    Scene,
    Setting,
    attribute_value,
    look_alike,
    sample_character,
    sample_pose,
    sample_setting,
)
from .fitting import fitted
from .parts import PARTS
from .skeleton import JOINTS, joints

__all__ = [
    "ATTRIBUTES",
    "BACKGROUNDS",
    "CLASS_PROMPT",
    "COMPANIONS",
    "HELD_OUT",
    "JOINTS",
    "PARTS",
    "POSE_FACTORS",
    "REFERENCE_POSES",
    "TOKEN",
    "UNICORN_GIRL",
    "WORDS",
    "Attribute",
    "Character",
    "Pose",
    "Scene",
    "Setting",
    "attribute_value",
    "caption",
    "careful_subject",
    "draw",
    "draw_with_parts",
    "figure_mask",
    "fitted",
    "identity_clauses",
    "is_held_out",
    "joints",
    "look_alike",
    "nearest_name",
    "pose_clauses",
    "reference_caption",
    "reference_scenes",
    "said",
    "sample_caption",
    "sample_character",
    "sample_pose",
    "sample_scene",
    "sample_setting",
    "scene_prompt",
    "write_album",
]
