"""The parts of a figure, by number: what a part map of a drawing tells apart."""

PARTS = ("hair", "headgear", "face", "outfit", "arms", "legs", "behind")  # behind: cape, wings or tail


def number_of(part: str) -> int:
    """The number of a part in a part map, from 1; 0 is the background."""
    return PARTS.index(part) + 1
