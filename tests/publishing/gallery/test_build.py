"""Building: which folders, which drawings, the same bytes each time, and the committed gallery's size and rule."""

import json
import shutil
import subprocess

import pytest

from comics_genai import environment
from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.publishing.gallery import GallerySettings, build
from tests.gallery_runs import record, save_picture, save_run

MOST_COMMITTED = 25_000_000  # bytes of pictures in the repository


def data_of(index):
    text = index.read_text(encoding="utf-8")
    return json.loads(text.split('id="gallery-data">')[1].split("</script>")[0])


def test_the_same_folders_give_the_same_bytes_and_nothing_is_made_twice(runs, drawings, tmp_path):
    settings = GallerySettings((runs,), into=tmp_path, drawings=(drawings,))
    first = build(settings).index.read_bytes()
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "gallery").rglob("*.webp")}
    assert made and build(settings).index.read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "gallery").rglob("*.webp")} == made


def test_pictures_from_elsewhere_make_a_folder_that_stands_alone(runs, drawings, tmp_path):
    built = build(GallerySettings((runs,), into=tmp_path / "site", drawings=(drawings,)))
    moved = shutil.move(tmp_path / "site", tmp_path / "moved")
    told = data_of(tmp_path / "moved" / built.index.name)
    named = [each[key] for each in told["pictures"] + told["drawings"] for key in ("source", "thumbnail")]
    assert len(told["pictures"]) == 13 and all((tmp_path / "moved" / name).is_file() for name in named), moved


def test_the_same_picture_in_two_runs_is_shown_once(tmp_path, drawings):
    for run in ("one", "two"):
        save_run(tmp_path / run / "base_same_prompt", [record("0.png", "a girl", 0, adapter=None)])
    told = data_of(build(GallerySettings((), into=tmp_path, drawings=(drawings,))).index)
    assert [each["id"] for each in told["pictures"]] == ["one/base_same_prompt/0.png"]
    assert told["pictures"][0]["also"] == ["two/base_same_prompt/0.png"]


def test_each_character_is_compared_with_her_own_drawings(tmp_path):
    for name, seeds in (("ann", (0, 1)), ("bob_smith", (2, 3))):
        for seed in seeds:
            save_picture(tmp_path / "drawings" / name / f"{seed}.png", seed, side=64)
    rows = [record("0.png", "", 0, character="BobSmith"), record("1.png", "", 0)]
    rows += [record("2.png", "", 0, character="Eve")]
    rows += [record("3.png", "", 0, character="ann", scores={"nearest_reference": 1})]
    save_run(tmp_path / "runs" / "x", rows)
    folders = tuple(tmp_path / "drawings" / name for name in ("ann", "bob_smith"))
    told = data_of(build(GallerySettings((), into=tmp_path / "runs", drawings=folders)).index)
    found = [each.get("nearest") for each in told["pictures"]]
    assert found[0]["drawing"] in (2, 3) and found[0]["by"] == "colours"
    assert found[1:] == [None, None, {"drawing": 1, "by": "scores"}]


def test_a_true_drawing_outside_the_folder_is_not_shown(tmp_path, drawings):
    save_picture(tmp_path / "secret.png", 0)
    save_run(tmp_path / "runs" / "x", [record("0.png", "a girl", 0, true_drawing="../../secret.png")])
    built = build(GallerySettings((), into=tmp_path / "runs", drawings=(drawings,)))
    assert "true" not in data_of(built.index)["pictures"][0] and "outside runs" in built.problems[0]


def test_the_rule_of_choice_is_kept_and_stands_on_the_page(tmp_path, drawings):
    save_run(tmp_path / "run", [record(f"{seed}.png", "a girl", seed) for seed in range(6)])
    index = build(GallerySettings((), into=tmp_path, drawings=(drawings,), first_seeds=4)).index
    assert [each["record"]["seed"] for each in data_of(index)["pictures"]] == [0, 1, 2, 3]
    assert "the first four seeds of each test prompt" in index.read_text(encoding="utf-8")


def test_the_command_prints_the_address_and_what_could_not_be_read(runs, drawings, tmp_path, capsys):
    save_run(tmp_path / "run", [record("0.png", "a girl", 0)])
    (tmp_path / "run" / "0.png").unlink()
    assert main(["gallery", "--into", str(tmp_path), "--drawings", str(drawings)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"1 picture is in the gallery {(tmp_path / 'index.html').as_uri()}"
    assert told.err == "Note: run/0.png: the picture is missing.\n"


def test_a_page_of_something_else_stays_and_an_earlier_gallery_goes(runs, drawings, tmp_path):
    settings = GallerySettings((runs,), into=tmp_path / "site", drawings=(drawings,))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<h1>Mine</h1>")
    with pytest.raises(UserError, match="index.html is a page of something else, which the gallery's would replace"):
        build(settings)
    assert [path.read_text() for path in (tmp_path / "site").iterdir()] == ["<h1>Mine</h1>"]
    (tmp_path / "site" / "index.html").unlink()
    first = build(settings).index.read_bytes()
    assert build(settings).index.read_bytes() == first


def test_a_folder_that_is_not_there_and_one_without_pictures_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="There is no folder .*gone"):
        build(GallerySettings((tmp_path / "gone",), into=tmp_path))
    with pytest.raises(UserError, match="There are no pictures"):
        build(GallerySettings((), into=tmp_path))
    save_picture(tmp_path / "pictures" / "0.png", 0)
    with pytest.raises(UserError, match="There is no folder .*sketches: name folders that hold a character's drawings"):
        build(GallerySettings((tmp_path / "pictures",), into=tmp_path / "site", drawings=(tmp_path / "sketches",)))
    with pytest.raises(UserError, match="first_seeds is -1"):
        GallerySettings(first_seeds=-1)


def test_the_committed_pictures_stay_small():
    root = environment.root()
    listed = subprocess.run(["git", "ls-files", "-z", "6_generated"], cwd=root, capture_output=True, check=True)
    files = [root / name.decode() for name in listed.stdout.split(b"\0") if name]
    assert len(files) > 100 and sum(path.stat().st_size for path in files if path.exists()) <= MOST_COMMITTED
