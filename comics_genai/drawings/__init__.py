"""A character's drawings: read from a folder or the Hub, checked, captioned, and prepared as squares."""

from .captions import METADATA
from .preparation import WHITE, Color, to_square
from .reading import HUB_ID, Drawing, fetch, files_of, folder_of, load, load_one, upright

__all__ = [
    "HUB_ID",
    "METADATA",
    "WHITE",
    "Color",
    "Drawing",
    "fetch",
    "files_of",
    "folder_of",
    "load",
    "load_one",
    "to_square",
    "upright",
]
