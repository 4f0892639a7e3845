"""Statistics of drawings: where the character is, duplicates, framing, palettes, hues, and what a set lacks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageOps

from comics_genai import world
from comics_genai.color_difference import ciede2000, lab_of_srgb
from comics_genai.describe import (
    character,
    clusters,
    hsv,
    hsv_plots,
    lacks,
    overview,
    overview_plots,
    palette,
    palette_plots,
    studies,
    tables,
)
from comics_genai.drawings import Drawing
from comics_genai.errors import UserError
from comics_genai.plotting.tables import markdown

ROOT = Path(__file__).parents[2]
RED, GREEN, BLUE, WHITE = (220, 30, 40), (40, 160, 70), (40, 70, 200), (255, 255, 255)


@pytest.fixture(scope="module")
def girl() -> list[studies.Study]:
    return studies.load(ROOT / "1_data" / "unicorn_girl")


def figure_on(paper, color, size=(120, 120), box=(40, 20, 80, 110)) -> PIL.Image.Image:
    """A rectangle on paper."""
    picture = PIL.Image.new("RGB", size, paper)
    picture.paste(color, box)
    return picture


def studied(picture: PIL.Image.Image, name: str = "a.png", caption: str = "") -> studies.Study:
    return studies.study(Drawing(name, picture, caption))


def noise(seed: int, side: int = 96) -> PIL.Image.Image:
    cells = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return PIL.Image.fromarray(cells).resize((side, side), PIL.Image.Resampling.BICUBIC)


# Where the character is


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


# Files and true aspect


def test_a_folder_is_read_at_true_aspect_with_what_its_files_say(tmp_path):
    figure_on(WHITE, RED, (200, 100), (80, 20, 120, 90)).save(tmp_path / "wide.png")
    with_alpha = figure_on(WHITE, RED, (90, 180), (20, 20, 70, 150)).convert("RGBA")
    with_alpha.putalpha(ImageOps.invert(figure_on(WHITE, (0, 0, 0), (90, 180), (20, 20, 70, 150)).convert("L")))
    with_alpha.save(tmp_path / "tall.png")
    PIL.Image.fromarray(np.full((80, 80), 40000, np.uint16)).save(tmp_path / "deep.png")
    found = {study.name: study for study in studies.load(tmp_path)}
    sizes = {name: study.image.size for name, study in found.items()}
    assert sizes == {"wide.png": (200, 100), "tall.png": (90, 180), "deep.png": (80, 80)}
    assert found["wide.png"].stored.bytes == (tmp_path / "wide.png").stat().st_size
    assert (found["tall.png"].stored.mode, found["tall.png"].stored.has_alpha) == ("RGBA", True)
    assert character.bounding_box(found["tall.png"].mask) == (20, 20, 70, 150)
    assert (found["deep.png"].stored.bits, found["wide.png"].stored.bits) == (16, 8)
    assert "| tall.png | 90 | 180 | RGBA | used | 8 |" in tables.files(list(found.values()))


def test_a_photo_turned_by_exif_stands_upright(tmp_path):
    exif = PIL.Image.Exif()
    exif[studies.EXIF_ORIENTATION] = 6
    noise(0).resize((120, 80)).save(tmp_path / "a.jpg", exif=exif)
    noise(1).save(tmp_path / "b.png")
    assert studies.load(tmp_path)[0].image.size == (80, 120)


def test_every_pixel_of_the_colours_is_one_of_the_drawing():
    fine = PIL.Image.fromarray(np.random.default_rng(0).choice([0, 255], (600, 600, 1)).astype(np.uint8).repeat(3, 2))
    assert set(np.unique(studied(fine).colors)) == {0, 255}


def test_names_that_occur_twice_are_told_apart():
    assert studies._told_apart(["image.png", "b.png", "image.png"]) == ["image.png", "b.png", "image.png (2)"]
    assert len(studies._label("a_very_long_name_of_a_drawing_17.png")) == studies.LABEL


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_drawings_are_refused_in_a_sentence(tmp_path, count):
    for i in range(count):
        noise(i).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match="put at least 2 there"):
        studies.load(tmp_path)


# Overview


def test_dhash_is_the_sign_of_horizontal_steps():
    rising = PIL.Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (8, 1)))
    assert overview.difference_hash(rising) == 2**64 - 1
    assert overview.difference_hash(ImageOps.mirror(rising)) == 0


def test_duplicates_are_found_the_same_resized_recoloured_and_mirrored():
    first = noise(0)
    set_of = [
        studied(first, "0"),
        studied(first.copy(), "same"),
        studied(first.resize((80, 80), PIL.Image.Resampling.LANCZOS), "smaller"),
        studied(ImageOps.mirror(first), "mirrored"),
        studied(noise(1), "other"),
    ]
    found = {(pair.first, pair.second): pair.kind for pair in overview.duplicates(set_of)}
    assert found[("0", "same")] == "identical"
    assert found[("0", "smaller")] == "near"
    assert found[("0", "mirrored")] == "mirrored"
    assert not any("other" in pair for pair in found)
    assert overview.duplicates_in_words(set_of[:2]) == ["0 and same are the same picture (0 of 64 bits differ)."]


def test_the_six_drawings_hold_no_duplicates(girl):
    assert overview.duplicates(girl) == []
    assert "00.png and 02.png, differ in 8 of 64 bits" in overview.duplicates_in_words(girl)[0]


def test_framing_tells_padding_crop_and_the_characters_box():
    square = PIL.Image.new("RGB", (200, 200), WHITE)
    square.paste(figure_on((250, 240, 200), RED, (200, 100), (30, 20, 70, 90)), (0, 50))
    study = studies.study(Drawing("wide.png", square, ""), studies.Stored(200, 100, "RGB", False, 8, 1))
    found = overview.framing(study)
    assert found.padded == found.cropped == 0.5
    assert found.box == (30, 20, 70, 90)
    assert found.character_cropped == pytest.approx(0.5)  # the crop keeps columns 50 to 150
    assert (found.character, found.margin) == (pytest.approx(0.14, abs=0.001), pytest.approx(0.05))
    assert overview.scaling(study, 512) == "enlarged to 256%" and overview.scaling(study, 100) == "reduced to 50%"


def test_likeness_is_one_for_the_same_and_less_for_others():
    set_of = [studied(noise(0)), studied(noise(0)), studied(noise(1))]
    for matrix in (overview.layout_similarity(set_of), overview.color_similarity(set_of)):
        assert matrix.shape == (3, 3) and np.array_equal(matrix, matrix.T)
        assert matrix[0, 1] == pytest.approx(1) and matrix[0, 2] < 0.6


def test_likeness_of_one_drawing_is_refused_in_a_sentence(girl):
    for compare in (overview.layout_similarity, overview.color_similarity, palette.left_out_distances):
        with pytest.raises(UserError, match="there is 1"):
            compare(girl[:1])


def test_mean_and_variation_of_black_and_white():
    set_of = [studied(PIL.Image.new("RGB", (64, 64), color)) for color in ((0, 0, 0), WHITE)]
    assert overview.mean_drawing(set_of, 32).getpixel((5, 5)) == (128, 128, 128)
    assert overview.variation(set_of, 32) == pytest.approx(50, abs=0.01)
    assert not overview.variation(set_of[:1], 32).any()


# What a set lacks


def test_what_the_six_drawings_lack_is_sitting_anger_and_plain_paper(girl):
    found = lacks.coverage([study.caption for study in girl])
    missing = {factor: values for factor, values in found.missing.items() if values}
    assert missing == {"legs": ["sitting"], "expression": ["angry"], "background": ["on plain paper"]}
    assert (found.combinations, found.possible) == (6, 5 * 4 * 4 * 3 * 4 * 7)
    assert lacks.sentences(found)[0] == "Never seen, legs: sitting."


def test_the_worlds_words_are_all_of_its_factors():
    assert [len(values) for values in lacks.WORLD.values()] == [
        *map(len, world.POSE_FACTORS.values()),
        len(world.BACKGROUNDS),
    ]


def test_foreign_captions_are_held_against_common_words():
    found = lacks.coverage(["A fox sits in the woods, facing left.", "", "The fox, angry, runs down a street by night"])
    assert not found.is_world and found.captions == 2
    seen = {value for values in found.counts.values() for value, count in values.items() if count}
    assert seen == {"sitting", "running", "left", "angry", "a forest", "a street", "night"}
    assert "standing" in lacks.sentences(found)[0]


def test_without_captions_that_is_what_is_said():
    assert "no captions" in lacks.sentences(lacks.coverage(["", " "]))[0]


# Palettes


def test_kmeans_finds_the_colours_that_points_lie_around():
    rng, true = np.random.default_rng(0), np.array([[20.0, 5, 5], [60, 40, -30], [80, -40, 30], [50, 0, 60]])
    points = np.concatenate([centre + rng.normal(0, 1, (100, 3)) for centre in true])
    centres, labels = clusters.kmeans(points, 4)
    nearest = np.linalg.norm(true[:, None] - centres[None], axis=-1)
    assert nearest.min(1).max() < 0.5 and sorted(np.bincount(labels)) == [100] * 4
    assert np.array_equal(clusters.kmeans(points, 4)[0], centres)


def test_no_more_clusters_than_colours():
    centres, labels = clusters.kmeans(np.array([[50.0, 0, 0]] * 5 + [[20.0, 0, 0]] * 2), 6)
    assert len(centres) == 2 and sorted(np.bincount(labels)) == [2, 5]


def test_k_is_the_least_that_is_near_enough():
    assert clusters.choose_k(np.array([30.0, 12, 6, 4.9, 5.1, 3])) == 4
    assert clusters.choose_k(np.array([30.0, 12, 6])) == 3
    assert clusters.choose_k(np.array([0.0])) == 1


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


# Hue, saturation, value


def test_hsv_of_known_colours():
    pixels = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 128], [128, 128, 128]], np.uint8)
    values = hsv.hsv(pixels)
    assert values[:3, 0] == pytest.approx([0, 120, 240])
    assert values[:, 1] == pytest.approx([1, 1, 1, 0])
    assert values[2, 2] == pytest.approx(128 / 255)
    assert np.array_equal(hsv.turned(pixels[:1], 120), pixels[1:2])


def test_warm_cool_and_grey_shares():
    pixels = np.array([[255, 120, 0]] * 5 + [[0, 120, 255]] * 3 + [[90, 90, 90]] * 2, np.uint8)
    found = hsv.summary(pixels)
    assert (found.warm, found.cool, found.grey) == pytest.approx((0.5, 0.3, 0.2))


def test_the_mean_hue_goes_around_the_circle():
    found = hsv.summary(np.array([[255, 0, 43], [255, 43, 0]], np.uint8))  # 350 and 10 degrees
    assert min(found.hue, 360 - found.hue) < 0.5
    assert np.isnan(hsv.summary(np.full((4, 3), 80, np.uint8)).hue)


def test_the_hue_distance_is_the_angle_of_a_turn_the_short_way_around():
    first = np.zeros(36)
    first[35] = 0.4
    assert hsv.hue_distance(first, np.roll(first, 3)) == pytest.approx(30)
    assert hsv.hue_distance(first, np.roll(first, 33)) == pytest.approx(30)
    assert np.isnan(hsv.hue_distance(first, np.zeros(36)))


def test_the_drawing_whose_colours_disagree_is_named(girl):
    assert hsv.outliers(girl) == []
    odd = replace(girl[3], colors=hsv.turned(girl[3].colors, 120))
    named = hsv.outliers([*girl[:3], odd, *girl[4:]])
    assert {(one.drawing, one.what) for one in named} == {("03.png", "hue")}
    assert str(named[0]).startswith("03.png disagrees in hue: ")


def test_a_grey_drawing_among_coloured_ones_disagrees_in_saturation(girl):
    grey = replace(girl[0], colors=np.asarray(girl[0].image.convert("L").convert("RGB")))
    assert ("00.png", "saturation") in {(one.drawing, one.what) for one in hsv.outliers([grey, *girl[1:]])}


def test_two_drawings_have_no_rest_to_disagree_with(girl):
    assert hsv.outliers([girl[0], replace(girl[1], colors=255 - girl[1].colors)]) == []


# Tables and figures


def test_a_table_is_markdown_with_numbers_to_the_right():
    text = markdown([{"file": "a|b", "share %": 3}, {"file": "c", "share %": 12}])
    assert text.splitlines() == ["| file | share % |", "| :-- | --: |", "| a\\|b | 3 |", "| c | 12 |"]
    assert markdown([]) == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "pictures",
    [
        [PIL.Image.new("RGB", (64, 64), RED)] * 2,
        [PIL.Image.new("L", (64, 64), 128).convert("RGB")] * 3,
        [figure_on(WHITE, RED), figure_on(GREEN, BLUE, (90, 120), (20, 20, 60, 110))],
    ],
    ids=["all alike", "all grey", "different"],
)
def test_every_figure_is_drawn_without_a_warning(pictures, tmp_path):
    set_of = [studied(picture, f"{i}.png", "a fox in the rain") for i, picture in enumerate(pictures)]
    pixels = {study.label: study.character for study in set_of}
    whole = palette.sample([study.colors for study in set_of])
    palettes = {study.name: palette.palette(study.colors.reshape(-1, 3)) for study in set_of}
    drawn = [
        overview_plots.framing(set_of),
        overview_plots.likeness(set_of),
        overview_plots.mean_and_variation(set_of),
        overview_plots.coverage(lacks.coverage([study.caption for study in set_of])),
        palette_plots.elbow({"all": (clusters.errors(lab_of_srgb(whole), most=4), 5.0)}),
        palette_plots.swatches(palette.palette(whole)),
        palette_plots.palette_rows(set_of, palettes),
        palette_plots.rgb_histograms(set_of),
        palette_plots.identity(palette.character_colors(set_of), list(pixels)),
        palette_plots.contrast({study.label: palette.contrast(study) for study in set_of}),
        palette_plots.distances({"left out": list(palette.left_out_distances(set_of).values())}),
        hsv_plots.hue_roses(pixels),
        hsv_plots.saturation_and_value(pixels),
        hsv_plots.cylinder(pixels),
        hsv_plots.warm_and_cool({name: hsv.summary(part) for name, part in pixels.items()}),
        hsv_plots.disagreement(set_of),
    ]
    for i, figure in enumerate(drawn):
        figure.savefig(tmp_path / f"{i}.png", dpi=40)
