"""Where the character is in a drawing."""

import numpy as np
import PIL.Image

from comics_genai import world
from comics_genai.describe import character, studies
from comics_genai.drawings import Drawing
from tests.small_drawings import RED, WHITE, figure_on, noise


def test_a_rectangle_on_paper_is_found_but_for_its_corners():
    mask = character.estimate_mask(figure_on(WHITE, RED, (160, 120), (60, 20, 100, 110)))
    assert character.bounding_box(mask) == (60, 20, 100, 110)
    assert 40 * 90 - 4 <= mask.sum() <= 40 * 90


def test_white_inside_an_outline_belongs_to_the_character():
    picture = figure_on(WHITE, (20, 20, 30))
    picture.paste(WHITE, (45, 25, 75, 105))
    assert character.estimate_mask(picture)[60, 60]


def test_where_nothing_stands_out_everything_is_the_character():
    assert character.estimate_mask(PIL.Image.new("RGB", (100, 70), RED)).all()


def test_a_box_of_nothing_is_empty():
    assert character.bounding_box(np.zeros((4, 5), bool)) == (0, 0, 0, 0)


def test_the_estimate_overlaps_the_true_character_of_the_six_drawings(girl):
    overlaps = []
    for study, scene in zip(girl, world.reference_scenes(world.UNICORN_GIRL), strict=True):
        true = world.figure_mask(scene, 256)
        overlaps.append((study.mask & true).sum() / (study.mask | true).sum())
    assert np.mean(overlaps) > 0.92 and min(overlaps) > 0.88


def test_the_estimate_holds_for_another_character_too():
    overlaps = []
    for scene in world.reference_scenes(world.COMPANIONS[0])[::2]:
        estimated, true = character.estimate_mask(world.draw(scene, 160)), world.figure_mask(scene, 160)
        overlaps.append((estimated & true).sum() / (estimated | true).sum())
    assert min(overlaps) > 0.75


def test_transparency_tells_the_character_without_an_estimate():
    alpha = PIL.Image.new("L", (100, 100), 0)
    alpha.paste(255, (10, 20, 50, 90))
    study = studies.study(Drawing("a.png", noise(0, 100), "", alpha))
    assert not study.is_estimated and character.bounding_box(study.mask) == (10, 20, 50, 90)
