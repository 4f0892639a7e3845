"""Palettes, identity colours, and the distance of a picture to them."""

import json

import numpy as np
import PIL.Image
import pytest

from comics_genai import world
from comics_genai.describe import hsv, palette
from comics_genai.errors import UserError
from comics_genai.world.color_difference import ciede2000, lab_of_srgb
from tests.small_drawings import BLUE, GREEN, RED, WHITE, figure_on, studied


def test_a_flat_drawing_has_exactly_its_colours_and_shares():
    pixels = np.array([RED] * 600 + [GREEN] * 300 + [BLUE] * 100, np.uint8)
    found = palette.palette(pixels)
    assert [color.hex for color in found] == ["#dc1e28", "#28a046", "#2846c8"]
    assert [color.share for color in found] == pytest.approx([0.6, 0.3, 0.1])
    assert tuple(found[0].rgb) == RED


def test_identity_colours_are_those_of_every_character_and_no_background():
    set_of = []
    for i, paper in enumerate([(250, 240, 200), (200, 230, 250), (210, 240, 210)]):
        picture = figure_on(paper, RED)
        picture.paste(BLUE, (50, 60, 70, 90))
        if i:
            picture.paste(GREEN, (50, 30, 70, 50))
        set_of.append(studied(picture, f"{i}.png"))
    found = {color.hex: color for color in palette.character_colors(set_of)}
    assert {name for name, color in found.items() if color.is_identity} == {"#dc1e28", "#2846c8"}
    assert found["#28a046"].shares == pytest.approx({"0.png": 0, "1.png": 1 / 9, "2.png": 1 / 9}, abs=0.02)


def test_turquoise_and_pink_are_unicorn_girls_identity(girl):
    colors = [color for color in palette.character_colors(girl) if color.is_identity]
    drawn = lab_of_srgb(np.stack([color.rgb for color in colors]))
    for name in ("hair_color", "outfit_color", "skin", "accent_color"):
        true = world.attribute_value(world.UNICORN_GIRL, name)
        assert ciede2000(np.array(true), drawn).min() < 8, name


def test_the_palette_distance_is_nothing_for_the_same_colours_however_much_of_each():
    colors = [palette.Color("#dc1e28", 0.5), palette.Color("#2846c8", 0.5)]
    assert palette.palette_distance(figure_on(RED, BLUE), colors) == pytest.approx(0)


def test_the_palette_distance_of_one_colour_to_another_is_their_difference():
    difference = ciede2000(*lab_of_srgb(np.array([RED, BLUE], np.uint8)))
    picture = PIL.Image.new("RGB", (64, 64), RED)
    assert palette.palette_distance(picture, [palette.Color("#2846c8", 1.0)]) == pytest.approx(difference)


def test_foreign_and_missing_colours_are_told_apart():
    red, both = [palette.Color("#dc1e28", 1.0)], [palette.Color("#dc1e28", 0.5), palette.Color("#2846c8", 0.5)]
    foreign, missing = palette.palette_distances(figure_on(RED, BLUE), red)
    assert foreign > 5 and missing == 0
    foreign, missing = palette.palette_distances(PIL.Image.new("RGB", (64, 64), RED), both)
    assert foreign == 0 and missing > 20


def test_a_mask_leaves_the_background_out():
    colors, mask = [palette.Color("#2846c8", 1.0)], np.zeros((120, 120), bool)
    mask[20:110, 40:80] = True
    assert palette.palette_distance(figure_on(RED, BLUE), colors, mask) == 0
    with pytest.raises(UserError, match="mask is empty"):
        palette.palette_distance(figure_on(RED, BLUE), colors, mask & False)
    with pytest.raises(UserError, match="no colour"):
        palette.palette_distance(figure_on(RED, BLUE), [])


def test_true_drawings_are_nearer_to_the_palette_than_recoloured_ones(girl):
    colors = palette.character_colors(girl)
    left_out = palette.left_out_distances(girl[::2])
    turned = [palette.palette_distance(hsv.turned(study.character, 60), colors) for study in girl]
    assert max(left_out.values()) < 2.5 and min(turned) > 3 * max(left_out.values())


def test_the_character_is_more_colourful_than_its_paper():
    found = palette.contrast(studied(figure_on(WHITE, RED)))
    assert found.background_lightness == pytest.approx(100, abs=0.1) and found.background_chroma < 0.1
    assert found.chroma > 60 and found.lightness < 60
    assert np.isnan(palette.contrast(studied(PIL.Image.new("RGB", (64, 64), RED))).background_chroma)


def test_what_is_saved_is_read_back(tmp_path):
    identity = palette.CharacterColor("#dc1e28", 0.6, {"a": 0.5, "b": 0.7})
    varying = palette.CharacterColor("#28a046", 0.4, {"a": 0.0, "b": 0.3})
    whole = [palette.Color("#2846c8", 1.0)]
    with pytest.raises(UserError, match="Image_ColorBreakdown"):
        palette.load_identity("1_data/girl", tmp_path)
    path = palette.save("1_data/girl", whole, [identity, varying], {"a": whole}, {"a": 1.234}, tmp_path)
    assert path == tmp_path / "runs/descriptive_stats/1_data_girl/palette.json"
    assert palette.report_path(tmp_path / "1_data" / "girl", tmp_path) == path
    assert palette.load_identity("1_data/girl", tmp_path) == [identity]
    written = json.loads(path.read_text())
    assert written["palette"] == [{"hex": "#2846c8", "share": 1.0}] and written["left_out_distances"] == {"a": 1.23}
    path.write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        palette.load_identity("1_data/girl", tmp_path)
