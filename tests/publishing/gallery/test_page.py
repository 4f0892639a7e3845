"""The page in a real browser: what a person clicks and types, and what must not happen."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from comics_genai.publishing.gallery import GallerySettings, build
from comics_genai.sampling.picked import read_picked
from tests.gallery_runs import PROMPTS, record, save_picture, save_run

HOSTILE = (
    '<script>window.hit = 1</script></script><!-- <img src=x onerror="window.hit = 2"> '
    "\"'& \u2028\u2029 \U0001f984 {{ 7 * 7 }} {% raw %}"
)
VIEWS = ["", "view=browse", "view=compare", "view=training", "view=picked", "open=lora/0-1.png"]


@pytest.fixture(scope="module")
def index(runs, drawings) -> Path:
    return build(GallerySettings((runs,), into=runs, drawings=(drawings,))).index


def cards(page, view: str) -> int:
    return page.locator(f"#view-{view} .card .open").count()


def test_the_first_screen_shows_the_drawings_and_one_pose_by_every_method(watched, index):
    page = watched.open(index)
    assert page.locator("h1:visible").inner_text() == "What did three drawings become?"
    assert page.locator("#drawings img").count() == 3
    first = page.locator("#story .row").first
    assert first.locator(".caption b").all_inner_texts() == ["the true drawing", "DreamBooth", "LoRA", "study"]
    assert "Every picture of every run is here" in page.locator(".rule:visible").inner_text()
    page.get_by_role("button", name="Next pose").click()
    assert "sitting, in a room" in page.locator("blockquote").inner_text().lower()
    assert watched.errors == [] and watched.outside(index.parent) == []


def test_an_artists_own_pictures_without_records_appear_with_her_drawings(watched, tmp_path, drawings):
    for i in range(3):
        save_picture(tmp_path / "mine" / f"sketch {i}.png", i, side=300)
    built = build(GallerySettings((tmp_path / "mine",), into=tmp_path / "site", drawings=(drawings,), title="Ann's"))
    page = watched.open(built.index)
    assert page.locator("h1:visible").inner_text() == "What did three drawings become?"
    assert page.locator("#story .card").count() == 3 and page.locator("#tabs li").count() == 3
    page.locator("#story .open").first.click()
    dialog = page.get_by_role("dialog")
    assert dialog.locator("h2").inner_text() == "sketch 0.png, mine"
    assert dialog.locator("figcaption").all_inner_texts() == ["mine", "nearest drawing by colours"]
    for image in dialog.locator("img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 300
    assert watched.errors == [] and watched.outside(tmp_path / "site") == []


def test_filters_search_and_order_narrow_and_sort_and_are_in_the_address(watched, index):
    page = watched.open(index, "view=browse")
    assert page.locator("#count").inner_text() == "13 of 13 pictures"
    page.get_by_label("Method", exact=True).select_option("LoRA")
    assert page.locator("#count").inner_text() == "4 of 13 pictures" and cards(page, "browse") == 4
    page.get_by_label("Search in prompts").fill("beach JUMPING")
    assert page.locator("#count").inner_text() == "2 of 13 pictures"
    page.get_by_label("Order").select_option("character right:down")
    shares = page.locator("#found .caption").all_inner_texts()
    assert ["25 %" in shares[0], "0 %" in shares[1]] == [True, True]
    again = watched.open(index, page.evaluate("location.hash").removeprefix("#"))
    assert again.locator("#count").inner_text() == "2 of 13 pictures"
    assert again.get_by_label("Search in prompts").input_value() == "beach JUMPING"
    page.get_by_role("button", name="Show everything again").click()
    assert page.locator("#count").inner_text() == "13 of 13 pictures"
    page.go_back()
    assert page.locator("#count").inner_text() == "2 of 13 pictures"
    page.get_by_label("Search in prompts").fill("no such words")
    assert "No picture fits" in page.locator("#found").inner_text()


def test_the_size_of_pictures_is_a_choice(watched, index):
    page = watched.open(index, "view=browse")
    widths = []
    for size in ("128", "256"):
        page.get_by_label("Size").select_option(size)
        widths.append(page.locator("#found img").first.bounding_box()["width"])
    assert widths == [128, 256]


def test_comparison_sets_methods_side_by_side_with_one_seed(watched, index):
    page = watched.open(index, "view=compare&seed=1")
    row = page.locator("#view-compare .group").first
    assert row.locator(".caption b").all_inner_texts() == ["the true drawing", "DreamBooth", "LoRA"]
    shown = row.locator(".open").evaluate_all("all => all.map((one) => one.dataset.id)")
    assert shown == ["dreambooth/0-1.png", "lora/0-1.png"]
    page.get_by_role("checkbox", name="LoRA", exact=True).uncheck()
    assert row.locator(".caption b").all_inner_texts() == ["the true drawing", "DreamBooth"]
    assert "without=LoRA" in page.url


def test_the_slider_goes_through_training(watched, index):
    page = watched.open(index, "view=training&step=100")
    slider = page.get_by_label("Training steps", exact=True)
    assert page.locator("#training-told").inner_text() == "after 100 of 400 steps"
    slider.press("ArrowRight")
    assert page.locator("#training-told").inner_text() == "after 200 of 400 steps"
    assert page.locator("#training-rows .open").get_attribute("data-id").endswith("study/200.png")
    slider.press("End")
    assert page.locator("#training-rows .open").get_attribute("data-id").endswith("study/400.png")


def test_the_large_view_tells_everything_of_a_picture(watched, index):
    page = watched.open(index, "open=lora/0-1.png")
    dialog = page.get_by_role("dialog")
    assert dialog.locator("h2").inner_text() == PROMPTS[0]
    told = dialog.inner_text()
    assert "Wrong: left arm." in told and "Right: hair colour." in told and "It is no copy of a drawing." in told
    assert dialog.locator("figcaption").all_inner_texts() == ["LoRA", "the true drawing", "nearest drawing by colours"]
    assert "python -m comics_genai generate runs/lora --base mini" in told
    dialog.get_by_text("The whole record").click()
    assert json.loads(dialog.locator("details pre").inner_text())["scheduler"] == "DDIMScheduler"
    dialog.get_by_label("Set beside it").select_option("dreambooth/0-1.png")
    assert dialog.locator("figcaption").all_inner_texts() == ["LoRA", "beside it: DreamBooth, seed 1"]
    assert "beside=" in page.url


def test_keys_search_move_open_pick_and_close(watched, index):
    page = watched.open(index)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("jumping")
    page.keyboard.press("Escape")
    page.locator("#found .open").first.focus()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.dataset.id")
    page.keyboard.press("Enter")
    assert page.locator("#closeup[open]").count() == 1
    page.keyboard.press("ArrowRight")
    after = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('open')")
    assert after not in (focused, None)
    page.keyboard.press("h")
    page.keyboard.press("Escape")
    assert page.locator("#closeup[open]").count() == 0
    assert page.evaluate("document.activeElement.dataset.id") == focused
    assert page.locator("#tabs").inner_text().strip().endswith("♥ 1")


def test_picked_pictures_stay_and_are_saved_as_a_list_that_python_reads(watched, index):
    page = watched.open(index, "view=browse")
    for name in ("lora/0-0.png", "gan/1.png"):
        page.locator(f'.heart[data-id="{name}"]').click()
    page.reload()
    page.get_by_role("link", name="Picked: 2").click()
    assert cards(page, "picked") == 2
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the list").click()
    assert download.value.suggested_filename == "picked.json"
    saved = download.value.path()
    assert read_picked(saved, index.parent) == [index.parent / "lora/0-0.png", index.parent / "gan/1.png"]
    assert watched.errors == []


def test_hostile_words_damaged_pictures_and_torn_lines_are_shown_harmlessly(watched, tmp_path, drawings):
    rows = [record(f"{i}.png", prompt, i) for i, prompt in enumerate((HOSTILE, "long " * 2000, "gone", "broken"))]
    rows += [record("#1 100%?.png", "odd name", 4, method=HOSTILE)]
    save_run(tmp_path / "run", rows)
    (tmp_path / "run" / "2.png").unlink()
    (tmp_path / "run" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with open(tmp_path / "run" / "metadata.jsonl", "a", encoding="utf-8") as file:
        file.write('{"file_name": "5.png", "prompt": "to')
    built = build(GallerySettings((tmp_path,), into=tmp_path, drawings=(drawings,)))
    assert len(built.problems) == 3
    page = watched.open(built.index, "view=browse")
    assert page.locator("#count").inner_text() == "5 of 5 pictures"
    assert page.get_by_text("This picture is missing").count() == 1
    assert page.get_by_text("This picture is damaged").count() == 1
    odd = page.locator('img[alt="odd name"]')
    odd.scroll_into_view_if_needed()
    assert odd.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    assert page.locator("#problems li").count() == 3
    for i in range(4):
        watched.open(built.index, f"open=run/{i}.png")
        assert page.locator("#closeup-title").inner_text().split() == rows[i]["prompt"].split()
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert watched.errors == [] and watched.outside(tmp_path) == []


def test_fields_of_any_type_break_neither_the_building_nor_the_page(watched, tmp_path, drawings):
    fields = "prompt seed index steps method model character test_prompt training_step learning_rate scheduler"
    fields += " adapter adapter_scale strength base drawn_at true_drawing scores guidance size negative __proto__"
    values = [None, True, -1, 0.5, "", "x|y", [], [1, None], {}, {"right": 3, "identity": "x", "length": 2}, 2**70]
    rows = [
        record(f"{name}-{i}.png", "a girl", 0) | {name: value}
        for name in fields.split()
        for i, value in enumerate(values)
    ]
    save_run(tmp_path / "run", rows, side=8)
    built = build(GallerySettings((), into=tmp_path, drawings=(drawings,)))
    assert built.pictures == len(rows)
    for state in (*VIEWS, "view=browse&sort=time:down", "view=browse&sort=seed:up&q=girl", "view=browse&group=asked"):
        page = watched.open(built.index, state)
        assert page.locator("main section:visible h1").count() == 1
    for row in rows[:: len(values) // 2]:
        watched.open(built.index, f"open=run/{row['file_name']}")
        assert page.locator("#closeup[open] .bar").count() == 1
    assert watched.errors == []


def test_a_web_server_may_serve_the_folder_from_anywhere(watched, index):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=index.parent.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = f"http://127.0.0.1:{server.server_port}/{index.parent.name}/"
        watched.page.goto(folder + "index.html#view=compare")
        for image in watched.page.locator("#view-compare .group").first.locator("img").all():
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
        server.shutdown()
    assert watched.page.locator("#view-compare img").count() > 4
    assert watched.errors == [] and all(address.startswith((folder, "data:")) for address in watched.requests)


def test_a_picture_that_went_away_after_the_page_was_built_is_said_to_be_missing(watched, tmp_path, drawings):
    save_run(tmp_path / "run", [record("0.png", "a girl", 0)])
    built = build(GallerySettings((tmp_path,), into=tmp_path, drawings=(drawings,)))
    (tmp_path / "run" / "0.png").unlink()
    page = watched.open(built.index, "view=browse")
    page.get_by_text("This picture is missing").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", VIEWS)
def test_axe_finds_nothing_serious(chromium, index, scheme, state):
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(index.as_uri() + "#" + state)
    findings = Axe().run(page).response["violations"]
    assert [(f["id"], f["nodes"][0]["html"]) for f in findings if f["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a phone must not scroll sideways"
    context.close()


def test_three_thousand_pictures_load_only_what_is_near(watched, tmp_path, drawings):
    rows = [record(f"{i}.png", f"a girl, pose {i % 100}", i // 100, method=f"method {i % 3}") for i in range(3000)]
    save_run(tmp_path / "run", rows, side=16)
    built = build(GallerySettings((tmp_path,), into=tmp_path, drawings=(drawings,)))
    page = watched.open(built.index, "view=browse&group=none")
    assert page.locator("#count").inner_text() == "3000 of 3000 pictures"
    page.locator("#found img").first.evaluate("image => image.decode()")
    assert cards(page, "browse") < 300 and len(watched.requests) < 300
    while (before := cards(page, "browse")) < 3000:
        page.mouse.wheel(0, 100_000)
        expect(page.locator("#found .open")).not_to_have_count(before, timeout=60_000)
    assert cards(page, "browse") == 3000 and watched.errors == []
