"""Drawings read for statistics: files as they are stored, true aspect, names."""

import numpy as np
import PIL.Image
import pytest
from PIL import ImageOps

from comics_genai.describe import character, studies, tables
from comics_genai.errors import UserError
from tests.small_drawings import RED, WHITE, figure_on, noise, studied


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
