"""Measure how fast the gallery opens and scrolls with 3,000 pictures, in Debian's Chromium.

python -m comics_genai.bench.gallery            writes 5_documents/benchmarks/gallery.json

The pictures are made up: 300 px each way, with records of three methods and a hundred prompts. First paint is what the
browser itself notes (W3C Paint Timing), counted from the beginning of navigation. Scrolling goes down the wall of all
pictures by 80 px a frame, about 10 screens a second, while thumbnails load; a frame is late when it took over 50 ms.
"""

import json
import os
import shutil
import statistics
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tyro

from comics_genai import environment
from comics_genai.bench import machine
from comics_genai.errors import UserError
from comics_genai.files import write_atomic
from comics_genai.publishing.gallery import GallerySettings, build

COMMAND = "python -m comics_genai.bench.gallery"
SIDE = 300  # pixels: larger than a thumbnail, so that thumbnails are what is shown
LATE = 50.0  # milliseconds
PAINTED = """() => new Promise(done => {
  const look = () => performance.getEntriesByName("first-contentful-paint").length ? done() : setTimeout(look, 20);
  look();
})"""
SCROLL = """frames => new Promise(done => {
  const times = [];
  const step = now => {
    times.push(now);
    if (times.length > frames) return done(times.slice(1).map((time, i) => time - times[i]));
    scrollBy(0, 80);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


@dataclass(frozen=True)
class GalleryBenchSettings:
    """Measure the gallery's first paint and its scrolling in Chromium."""

    pictures: int = 3000
    openings: int = 5
    """of each view; the median is reported"""
    frames: int = 600
    """of scrolling"""
    target: Path | None = None
    """file to write; by default 5_documents/benchmarks/gallery.json"""


def main(settings: GalleryBenchSettings) -> str:
    """Write the figures; the sentence about them. Raises UserError where Chromium or Playwright is missing."""
    target = settings.target or environment.root() / "5_documents" / "benchmarks" / "gallery.json"
    with tempfile.TemporaryDirectory() as folder:
        index = made_up(Path(folder), settings.pictures)
        figures = measured(index, settings)
    record = {
        "command": COMMAND,
        "date": date.today().isoformat(),
        "settings": {name: value for name, value in asdict(settings).items() if name != "target"},
        "machine": machine.describe("cpu"),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        **figures,
    }
    write_atomic(target, (json.dumps(record, indent=2) + "\n").encode())
    story, wall, scroll = record["first_screen"], record["all_pictures"], record["scroll"]
    return (
        f"{settings.pictures} pictures: first paint after {story['first_paint_ms']:.0f} ms, of all pictures after "
        f"{wall['first_paint_ms']:.0f} ms; scrolling {scroll['frames_per_second']:.0f} frames a second, "
        f"{scroll['late_frames']} of {scroll['frames']} late. All of it is in {target}."
    )


def made_up(folder: Path, count: int) -> Path:
    """A gallery of made-up pictures and two made-up drawings in `folder`; its index.html."""
    rng, lines = np.random.default_rng(0), []
    for i in range(count):
        name = f"{i:04d}.png"
        _picture(rng, folder / "run" / name)
        told = {"method": f"method {i % 3}", "seed": i // 300, "steps": 25, "base": "mini"}
        lines.append({"file_name": name, "prompt": f"a drawing of a girl, pose {i // 3 % 100}", **told})
    write_atomic(folder / "run" / "metadata.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    for name in ("0.png", "1.png"):
        _picture(rng, folder / "drawings" / name)
    return build(GallerySettings((folder / "run",), into=folder / "page", drawings=(folder / "drawings",))).index


def _picture(rng: np.random.Generator, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    PIL.Image.fromarray(coarse).resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC).save(path)


def measured(index: Path, settings: GalleryBenchSettings) -> dict[str, Any]:
    """First paints of the first screen and of the wall of all pictures, and the frames of scrolling down that wall."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise UserError("Measuring the gallery takes Playwright: pip install playwright.") from error
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise UserError("Measuring the gallery takes Chromium: install it, for example with sudo apt install chromium.")
    with sync_playwright() as playwright:
        # A container's root has no sandbox; nothing but this page is opened.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        views = {"first_screen": "", "all_pictures": "#view=browse&group=none"}
        paints = {
            name: _medians([_paints(browser, index.as_uri() + state) for _ in range(settings.openings)])
            for name, state in views.items()
        }
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(index.as_uri() + views["all_pictures"])
        page.locator("#found img").first.evaluate("image => image.decode()")
        frames = page.evaluate(SCROLL, settings.frames)
        scrolled = page.evaluate("scrollY")
        told = {"browser": f"Chromium {browser.version}", "page_bytes": index.stat().st_size}
        browser.close()
    return told | paints | {"scroll": _scrolling(frames, scrolled)}


def _paints(browser: Any, address: str) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.evaluate(PAINTED)
    entries = page.evaluate("performance.getEntriesByType('paint').map(e => [e.name, e.startTime])")
    page.close()
    return {f"{name.replace('-', '_')}_ms": start for name, start in entries}


def _medians(openings: list[dict[str, float]]) -> dict[str, Any]:
    medians = {name: round(statistics.median(one[name] for one in openings), 1) for name in openings[0]}
    return medians | {"each": [{name: round(value, 1) for name, value in one.items()} for one in openings]}


def _scrolling(frames: list[float], scrolled: float) -> dict[str, Any]:
    """Times of frames in milliseconds, put together."""
    return {
        "frames": len(frames),
        "pixels": round(scrolled),
        "frames_per_second": round(1000 * len(frames) / sum(frames), 1),
        "median_frame_ms": round(statistics.median(frames), 1),
        "longest_frame_ms": round(max(frames), 1),
        "late_frames": sum(frame > LATE for frame in frames),
    }


if __name__ == "__main__":
    print(main(tyro.cli(GalleryBenchSettings, prog=COMMAND)))
