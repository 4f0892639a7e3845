"""Made-up runs to build a gallery of, and a real Chromium to open it in."""

import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import sync_playwright

from tests.gallery_runs import PROMPTS, record, save_picture, save_run


@pytest.fixture(scope="session")
def drawings(tmp_path_factory) -> Path:
    """The folder "ann" of three drawings, 300 px, without captions."""
    folder = tmp_path_factory.mktemp("characters") / "ann"
    for i in range(3):
        save_picture(folder / f"{i}.png", 70 + i, side=300)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """Two methods on two prompts with two seeds, a series of three training steps, and a model that takes no prompt."""
    folder = tmp_path_factory.mktemp("runs")
    for method, scheduler in (("lora", "DDIMScheduler"), ("dreambooth", "dpm++")):
        rows = [
            record(f"{p}-{s}.png", prompt, s, scheduler=scheduler, adapter=method, adapter_scale=1.0)
            for p, prompt in enumerate(PROMPTS)
            for s in (0, 1)
        ]
        for i, row in enumerate(rows):
            row["scores"] = {"right": {"hair_color": True, "left_arm": i == 0}, "identity": 0.25 * i, "copied": False}
            row["true_drawing"] = "../true/jumping.png"
        save_run(folder / method, rows)
    save_picture(folder / "true" / "jumping.png", 5)
    series = [
        record(f"{step}.png", PROMPTS[0], 0, method="study", training_step=step, learning_rate=0.001)
        for step in (100, 200, 400)
    ]
    save_run(folder / "study", series)
    gan = {"prompt": "", "model": "GAN", "seed": 1}
    save_run(folder / "gan", [gan | {"file_name": f"{i}.png", "index": i} for i in (0, 1)])
    return folder


@pytest.fixture(scope="session")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "These tests open the gallery in Chromium: install it, for example with sudo apt install chromium."
    with sync_playwright() as playwright:
        # A container's root has no sandbox; nothing but the tests' own pages is opened.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page that keeps what went wrong on it, and which files it asked for."""

    def __init__(self, page):
        self.page, self.errors, self.requests = page, [], []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(unquote(request.url)))

    def open(self, index: Path, state: str = ""):
        self.page.goto(index.as_uri() + ("#" + state if state else ""))
        return self.page

    def outside(self, folder: Path) -> list[str]:
        """Requests for anything outside the folder."""
        inside = (unquote(folder.resolve().as_uri()) + "/", "data:", "blob:")
        return [address for address in self.requests if not address.startswith(inside)]


@pytest.fixture
def watched(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(60_000)
    yield Watched(context.new_page())
    context.close()
