from dataclasses import replace

from comics_genai import world
from comics_genai.evaluation.identification import GALLERY, LOOK_ALIKES, gallery, rank_one
from comics_genai.evaluation.readings import Readings, compare

GIRL = world.UNICORN_GIRL
READABLE = tuple(a.name for a in world.ATTRIBUTES)


def readings(*characters: world.Character) -> Readings:
    return Readings.of([world.Scene(character) for character in characters])


def test_the_gallery_holds_her_and_look_alikes_that_differ_in_one_attribute_visibly():
    cast = gallery(GIRL, READABLE)
    assert len(set(cast)) == GALLERY and cast[0] == GIRL and cast == gallery(GIRL, READABLE)
    alike = cast[1 : 1 + LOOK_ALIKES]
    right = compare(readings(*alike), readings(*[GIRL] * LOOK_ALIKES))
    wrong = [sum(not right[name][i] for name in READABLE) for i in range(LOOK_ALIKES)]
    assert wrong == [1] * LOOK_ALIKES


def test_she_is_first_as_she_is_and_a_little_off_but_not_as_a_look_alike():
    cast = gallery(GIRL, READABLE)
    off = replace(GIRL, hair_wave=GIRL.hair_wave - 0.1)
    assert rank_one(readings(GIRL, off, cast[1], cast[-1]), GIRL, READABLE).tolist() == [True, True, False, False]
