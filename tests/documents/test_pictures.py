"""The pictures of the report and the front page."""

import io
from pathlib import Path

import PIL.Image

from comics_genai import world
from comics_genai.documents import pictures
from comics_genai.documents.sources import Sources

ROOT = Path(__file__).parents[2]


def test_the_strip_is_what_the_committed_pictures_make():
    made = io.BytesIO()
    strip = pictures.strip(Sources(ROOT))
    strip.save(made, "JPEG", quality=pictures.QUALITY, subsampling=0)
    assert (ROOT / pictures.STRIP).read_bytes() == made.getvalue(), "run `make report`"


def test_new_poses_are_the_first_seed_of_each_prompt_each_once():
    words = [text for text, _ in pictures.new_poses(Sources(ROOT))]
    assert len(words) == len(set(words)) == 12
    assert all(text.split(", ")[0] in world.POSE_FACTORS["legs"] for text in words)


def test_look_alikes_differ_from_her_in_the_one_attribute():
    sheet = pictures.unnamed(Sources(ROOT))
    tiles = [sheet.crop((x, 0, x + pictures.SIDE, pictures.SIDE)) for x in range(0, sheet.width, pictures.SIDE)]
    first, *others = (tile.tobytes() for tile in tiles)
    assert len(others) == 6 and first not in others


def test_a_jpeg_keeps_full_colour(tmp_path):
    pictures.save_jpeg(PIL.Image.new("RGB", (64, 64), (250, 20, 40)), tmp_path / "x.jpg")
    red = PIL.Image.open(tmp_path / "x.jpg").getpixel((30, 30))
    assert max(abs(a - b) for a, b in zip(red, (250, 20, 40), strict=True)) <= 3
