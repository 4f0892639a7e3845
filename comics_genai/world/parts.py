"""The parts of a figure that a part map of a drawing distinguishes, by number."""

PARTS = ("hair", "headgear", "face", "outfit", "arms", "legs", "behind")  # behind: cape, wings or tail


def number_of(part: str) -> int:
    """The number of a part in a part map, from 1; 0 is the background."""
    return PARTS.index(part) + 1
