"""The gallery's speed: the script opens a real page in a real browser; the committed figures are of 3,000 pictures."""

import json
from concurrent.futures import ThreadPoolExecutor

from comics_genai import environment
from comics_genai.bench.gallery import COMMAND, GalleryBenchSettings, main


def test_a_page_is_opened_scrolled_and_its_figures_written(tmp_path):
    settings = GalleryBenchSettings(pictures=30, openings=1, frames=20, target=tmp_path / "gallery.json")
    # The browser of the page's tests may still be open in this process, and Playwright takes one a thread.
    with ThreadPoolExecutor(1) as thread:
        told = thread.submit(main, settings).result()
    record = json.loads((tmp_path / "gallery.json").read_text())
    assert told.startswith("30 pictures: first paint after") and record["settings"]["pictures"] == 30
    for view in ("first_screen", "all_pictures"):
        assert 0 < record[view]["first_paint_ms"] <= record[view]["first_contentful_paint_ms"]
    assert record["scroll"]["frames"] == 20 and record["scroll"]["pixels"] > 0
    assert record["scroll"]["late_frames"] <= 20 and record["browser"].startswith("Chromium")


def test_the_committed_figures_are_of_three_thousand_pictures_and_painted_within_a_second():
    path = environment.root() / "5_documents" / "benchmarks" / "gallery.json"
    record = json.loads(path.read_text())
    assert record["settings"]["pictures"] == 3000 and record["command"] == COMMAND
    assert record["first_screen"]["first_contentful_paint_ms"] < 1000
