"""Records of pictures: ours, whole, by several processes at once, and never among someone else's."""

import json
import multiprocessing
from pathlib import Path

import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from comics_genai.errors import UserError
from comics_genai.sampling import records
from tests.small_drawings import claiming


def record(i: int, prompt: str = "a girl") -> dict:
    return records.with_file_name({"prompt": prompt, "seed": i, "base_digest": "00000000"})


def add(folder: str, first: int) -> None:
    for i in range(first, first + 20):
        records.write_metadata(Path(folder), [record(i)])


def test_processes_that_write_at_once_lose_no_row(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["comics_genai.sampling.records"])
    children = [context.Process(target=add, args=(str(tmp_path), first)) for first in (0, 20, 40)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert sorted(row["seed"] for row in records.read_metadata(tmp_path)) == list(range(60))


def test_a_prompt_with_a_line_separator_stays_one_row(tmp_path):
    rows = [record(i, "a\u2028girl\u0085jumps\x1c") for i in range(2)]
    records.write_metadata(tmp_path, rows)
    assert records.read_metadata(tmp_path) == rows


def picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    PIL.Image.new("RGB", (4, 4)).save(path)


FOREIGN = {
    "drawings with captions": lambda folder: (folder / "metadata.jsonl").write_text(
        json.dumps({"file_name": "a.png", "text": "a girl"}) + "\n"
    ),
    "drawings alone": lambda folder: picture(folder / "a.png"),
    "a grid alone": lambda folder: picture(folder / "grid.png"),
    "photos": lambda folder: picture(folder / "IMG_1.JPG"),
    "bitmaps": lambda folder: picture(folder / "a.bmp"),
    "scans": lambda folder: picture(folder / "a.TIF"),
    "drawings in train": lambda folder: picture(folder / "train" / "a.png"),
    "drawings in kohya's folders": lambda folder: picture(folder / "10_girl" / "a.png"),
    "captions of drawings elsewhere": lambda folder: (folder / "Metadata.csv").write_text("file_name,text\n"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_folder_of_someone_elses_pictures_is_refused(tmp_path, kind):
    FOREIGN[kind](tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="holds pictures of others, such as .*: give generated ones another folder"):
        records.check_own(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("name", "what"), [("settings.json", "run"), ("model_index.json", "base")])
def test_a_run_and_a_base_get_no_pictures(tmp_path, name, what):
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=f"is the folder of a {what}, as its {name} says: give pictures another"):
        records.check_own(tmp_path)


def test_own_folders_new_ones_and_those_without_their_list_are_taken(tmp_path):
    records.check_own(tmp_path / "new")
    records.write_picture(tmp_path / "moved.png", PIL.Image.new("RGB", (4, 4)), record(0))
    picture(tmp_path / "grid.png")
    records.check_own(tmp_path)
    records.write_metadata(tmp_path, [record(0)])
    records.check_own(tmp_path)


def test_rows_of_others_and_a_file_for_a_folder_are_one_sentence(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"image": "a.png"}\n')
    with pytest.raises(UserError, match='Line 1 of .*metadata.jsonl is no JSON object with a text "file_name"'):
        records.check_own(tmp_path)
    with pytest.raises(UserError, match="metadata.jsonl is a file: give a folder"):
        records.check_own(tmp_path / "metadata.jsonl")


def test_a_picture_deleted_by_hand_and_one_that_claims_a_billion_pixels_are_one_sentence(tmp_path):
    (tmp_path / "bomb.png").write_bytes(claiming(40_000))
    for name in ("gone.png", "bomb.png"):
        with pytest.raises(UserError, match=f"{name} is gone or damaged: start the same command again"):
            records.read_image(tmp_path / name)
        assert records.read_record(tmp_path / name) is None


def test_a_text_that_is_no_record_is_none(tmp_path):
    for i, text in enumerate(["[1]", '"x"', "5", "{", "null"]):
        info = PngInfo()
        info.add_itxt(records.TEXT_CHUNK, text)
        PIL.Image.new("RGB", (4, 4)).save(tmp_path / f"{i}.png", pnginfo=info)
        assert records.read_record(tmp_path / f"{i}.png") is None


def test_a_picture_of_others_is_on_white_where_it_is_transparent(tmp_path):
    PIL.Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "b.png")
    assert records.read_image(tmp_path / "a.png").getpixel((0, 0)) == (255, 255, 255)
    assert records.read_image(tmp_path / "b.png").getpixel((0, 0)) == (1, 2, 3)
