"""Parts are numbered from 1, since 0 is the background."""

from comics_genai.world.parts import PARTS, number_of


def test_every_part_has_a_number_of_its_own():
    assert [number_of(part) for part in PARTS] == list(range(1, len(PARTS) + 1))
    assert number_of("hair") == 1 and number_of("behind") == 7
