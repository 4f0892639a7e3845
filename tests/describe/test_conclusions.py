"""Conclusions are computed: another character's drawings give other sentences, and each number is the set's own."""

from dataclasses import replace

import pytest

from comics_genai.describe import conclusions, hsv, palette
from tests.small_drawings import RED, WHITE, figure_on, noise, studied


def colors_of(drawn) -> list[str]:
    """As Image_ColorBreakdown asks, of fewer pixels."""
    whole = palette.palette(palette.sample([study.colors for study in drawn], 300))
    character = palette.character_colors(drawn, 6)
    by_drawing = {study.name: whole[: 2 + i] for i, study in enumerate(drawn)}
    true = [palette.palette_distance(study.character, character) for study in drawn]
    turned = [palette.palette_distance(hsv.turned(study.character, 60), character) for study in drawn]
    return conclusions.colors(drawn, whole, character, by_drawing, {"true": true, "hues turned by 60°": turned})


def hues_of(drawn, turn: float = 40) -> list[str]:
    changed = [*drawn[:-1], replace(drawn[-1], colors=hsv.turned(drawn[-1].colors, turn))]
    return conclusions.hues(drawn, turn, hsv.outliers(changed))


@pytest.mark.parametrize("concluded", [lambda drawn: conclusions.overview(drawn, 5, (512, 1024)), colors_of, hues_of],
                         ids=["overview", "colours", "hues"])  # fmt: skip
def test_another_characters_drawings_give_other_sentences(concluded, girl, companion):
    ours, theirs = concluded(girl), concluded(companion)
    assert ours == concluded(girl)
    # Both sets show the same poses in the same places, and their captions say so.
    captions = ("Never seen", "Seen in one drawing", "Of 6,720")
    assert [line for line in set(ours) & set(theirs) if not line.startswith(captions)] == []


def test_the_overview_tells_sizes_places_and_what_was_padded():
    wide = studied(figure_on(WHITE, RED, (120, 120), (4, 20, 44, 110)), "left.png")
    lines = conclusions.overview([wide, studied(noise(1, 120), "noise.png")], 5, (60,))
    assert lines[0].startswith("The 2 files are 120×120 pixels, RGB of 8 bits a channel; none is padded.")
    assert "60 px: reduced to 50%" in lines[0]
    assert "away from the middle in left.png" in lines[2] and "(margin " in lines[2]


def test_identity_and_varying_colours_are_named_with_the_drawings_that_lack_them(girl):
    lines = colors_of(girl)
    identity = [color for color in palette.character_colors(girl, 6) if color.is_identity]
    assert lines[1].startswith(f"{len(identity)} of the character's 6 colours are identity: `{identity[0].hex}`")
    assert "one drawing takes 2 to 7." in lines[0] and ", 6 for the character alone" in lines[0]
    assert "hues turned by 60° " in lines[-1] and "at least" in lines[-1]
    lacking = palette.CharacterColor("#28a046", 0.4, {"a": 0.0, "b": 0.3, "c": 0.001})
    distances = {"true": [1.0, 1.2], "turned": [0.9]}
    told = conclusions.colors(girl, [palette.Color("#28a046", 1)], [lacking], {"a": []}, distances)
    assert told[1] == "0 of the character's 1 colours are identity: none."
    assert told[2] == "`#28a046` (40%) varies: a and c do not show it."
    assert "it tells no change from them; what it does not: turned." in told[-1]


def test_a_turned_drawing_is_named_and_a_dark_one_is_told(girl):
    lines = hues_of(girl)
    assert "No drawing's colours disagree" in lines[-1] and lines[-1].endswith("turned by 40° is named.")
    assert hues_of(girl, 0.1)[-1].endswith("turned by 0.1° is not noticed.")
    assert "with the same hues throughout" in lines[1] and "The character stays bright there (04.png" in lines[2]
    dark = [replace(girl[0], colors=girl[0].colors // 4, name="dark.png"), *girl[1:4], girl[5]]
    assert hues_of(dark)[2].endswith("dark.png 0.25. The character is dimmed with them.")
