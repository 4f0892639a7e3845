"""Identify the character of a picture in a gallery with look-alikes: identification at rank 1.

    right = rank_one(reader.read(pictures), character, reader.readable)

The distance of readings to a character is a mean over the readable attributes. A class counts 0 or 1; a colour or a
scalar counts its difference divided by twice the tolerance, at most 1. As it uses the attribute reader, it has the same
errors. It is no second opinion, but tells whether the picture shows this character more than any other.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from comics_genai import world
from comics_genai.evaluation.readings import Readings
from comics_genai.world.color_difference import ciede2000

GALLERY = 200  # characters, the right one among them
LOOK_ALIKES = 40  # look-alikes among them, which differ in one readable attribute by more than its tolerance


@cache
def gallery(character: world.Character, readable: tuple[str, ...]) -> tuple[world.Character, ...]:
    """GALLERY characters, always the same: the character itself, then its look-alikes, then others."""
    rng = np.random.default_rng(17)
    found = [character]
    while len(found) <= LOOK_ALIKES:
        name = readable[rng.integers(len(readable))]
        other = replace(character, **{name: getattr(world.sample_character(rng), name)})
        differs = _differences(Readings.of([world.Scene(character)]), [other], (name,))[0, 0] > 0.5
        if differs and other not in found:
            found.append(other)
    found += [world.sample_character(rng) for _ in range(GALLERY - len(found))]
    return tuple(found)


def _differences(readings: Readings, characters: Sequence[world.Character], names: Sequence[str]) -> np.ndarray:
    truth = Readings.of([world.Scene(character) for character in characters])
    total = np.zeros((len(readings), len(characters)))
    for attribute in world.ATTRIBUTES:
        if attribute.name not in names:
            continue
        read, true = readings.attributes[attribute.name][:, None], truth.attributes[attribute.name][None]
        if attribute.kind == "class":
            total += read != true
        else:
            difference = ciede2000(read, true) if attribute.kind == "color" else np.abs(read - true)
            total += np.minimum(difference / (2 * attribute.tolerance), 1.0)
    return total / len(names)


def rank_one(readings: Readings, character: world.Character, readable: tuple[str, ...]) -> np.ndarray:
    """Whether each picture is legible and its readings are nearest to the character in its gallery: bool (N,)."""
    distances = _differences(readings, gallery(character, readable), readable)
    return (distances[:, 0] < distances[:, 1:].min(1)) & readings.legible
