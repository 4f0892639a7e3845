"""Thumbnails are made once, small pictures need none, and the nearest drawing is found by its colours."""

import numpy as np
import PIL.Image
import pytest

from comics_genai.publishing.gallery.pictures import Unreadable, nearest, show
from tests.gallery_runs import save_picture


def test_a_large_picture_gets_one_webp_and_a_small_one_is_its_own(tmp_path):
    save_picture(tmp_path / "run" / "large.png", 0, side=600)
    save_picture(tmp_path / "run" / "small.png", 1, side=64)
    large, small = (show(tmp_path / "run" / name, tmp_path) for name in ("large.png", "small.png"))
    thumbnail = tmp_path / large.thumbnail
    assert (large.width, PIL.Image.open(thumbnail).size, thumbnail.suffix) == (600, (256, 256), ".webp")
    assert (small.source, small.thumbnail) == ("run/small.png", "run/small.png")
    made = thumbnail.stat().st_mtime_ns
    again = show(tmp_path / "run" / "large.png", tmp_path)
    assert thumbnail.stat().st_mtime_ns == made and np.array_equal(again.pooled, large.pooled)


def test_a_picture_from_elsewhere_is_copied_beside_the_page(tmp_path):
    save_picture(tmp_path / "elsewhere" / "a b#.png", 0)
    shown = show(tmp_path / "elsewhere" / "a b#.png", tmp_path / "gallery")
    copy = tmp_path / "gallery" / shown.source
    assert copy.read_bytes() == (tmp_path / "elsewhere" / "a b#.png").read_bytes()
    assert show(tmp_path / "elsewhere" / "a b#.png", tmp_path).source == "elsewhere/a%20b%23.png"


def test_a_missing_and_a_torn_picture_are_told_apart(tmp_path):
    save_picture(tmp_path / "whole.png", 0, side=300)
    (tmp_path / "torn.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    (tmp_path / "whole.html").write_bytes((tmp_path / "whole.png").read_bytes())
    with pytest.raises(Unreadable, match="browsers do not show"):
        show(tmp_path / "whole.html", tmp_path)
    with pytest.raises(Unreadable, match="missing"):
        show(tmp_path / "gone.png", tmp_path)
    with pytest.raises(Unreadable, match="damaged"):
        show(tmp_path / "torn.png", tmp_path)


def test_the_nearest_drawing_has_the_nearest_colours():
    drawings = [np.full((16, 16, 3), shade, np.float32) for shade in (0.0, 0.5, 1.0)]
    best, distance = nearest(np.full((16, 16, 3), 0.6, np.float32), drawings)
    assert best == 1 and distance == pytest.approx(0.1, abs=1e-6)
