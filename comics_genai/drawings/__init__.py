"""A character's drawings: read from a folder or the Hub, checked, captioned, and prepared as squares."""

from .caption_files import METADATA
from .folder import files_of, folder_of
from .opening import orientation_of, upright
from .preparation import AUTO, WHITE, Color, to_square
from .reading import HUB_ID, Drawing, load, load_one, told

__all__ = [
    "AUTO",
    "HUB_ID",
    "METADATA",
    "WHITE",
    "Color",
    "Drawing",
    "files_of",
    "folder_of",
    "load",
    "load_one",
    "orientation_of",
    "to_square",
    "told",
    "upright",
]
