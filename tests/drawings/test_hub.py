"""A data set of drawings on the Hub loads as a folder does, whichever way it is stored."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from comics_genai import drawings
from comics_genai.drawings import hub
from comics_genai.errors import UserError
from tests.hub_server import serving

HUB_PROGRAM = """
import json, sys
from comics_genai import drawings
from comics_genai.drawings import hub
from comics_genai.errors import UserError
try:
    found = drawings.load(sys.argv[1], size=64)
    print(json.dumps([[d.name, d.caption, d.image.getpixel((32, 32)), d.mask is not None] for d in found]))
except UserError as error:
    print(json.dumps(str(error)))
"""


def fill(folder: Path) -> Path:
    """Two pictures in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(2):
        PIL.Image.new("RGB", (80, 80), (10 * i, 0, 0)).save(folder / f"{i:02}.png")
    return folder


def load_from_hub(dataset_id: str, endpoint: str, home: Path, **environment: str):
    """What a fresh process, whose Hub is `endpoint`, makes of the dataset."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **environment}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", HUB_PROGRAM, dataset_id],
        env=kept | given, cwd=root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hf_secret" not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_dataset_on_the_hub_loads_like_the_folder_it_was_uploaded_from(tmp_path):
    folder = tmp_path / "dataset"
    fill(folder / "train")
    rows = [{"file_name": f"0{i}.png", "text": f"drawing {i}"} for i in range(2)]
    (folder / "train" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    half = PIL.Image.new("RGBA", (100, 80), (20, 40, 210))
    half.putalpha(PIL.Image.linear_gradient("L").resize(half.size))
    half.save(folder / "train" / "01.png")
    with serving(folder, "someone/girl", token="hf_secret") as endpoint:
        found = load_from_hub("someone/girl", endpoint, tmp_path / "home", HF_TOKEN="hf_secret")
        refused = load_from_hub("someone/girl", endpoint, tmp_path / "home2")
        absent = load_from_hub("someone/boy", endpoint, tmp_path / "home3", HF_TOKEN="hf_secret")
    expected = [[d.name, d.caption, list(d.image.getpixel((32, 32))), d.mask is not None]
                for d in drawings.load(folder, size=64)]  # fmt: skip
    assert found == expected
    for sentence in (refused, absent):
        assert "neither a folder here nor a dataset on the Hub that you may read" in sentence


def test_caption_files_on_the_hub_count_as_in_a_folder(tmp_path):
    folder = fill(tmp_path / "dataset" / "train")
    (folder / "01.caption").write_text("jumping")
    with serving(tmp_path / "dataset", "someone/girl") as endpoint:
        found = load_from_hub("someone/girl", endpoint, tmp_path / "home")
    assert [row[:2] for row in found] == [["00.png", ""], ["01.png", "jumping"]]


@pytest.mark.parametrize(("column", "value", "expected"), [
    ("caption", "jumping", [["00.png", "jumping"], ["01.png", "jumping"]]),
    ("text", 7, '"text" in row 0 of someone/girl is 7, not a text: put the caption in quotes.'),
])  # fmt: skip
def test_a_table_on_the_hub_has_captions_in_the_same_columns(tmp_path, column, value, expected):
    import datasets

    paths = sorted(fill(tmp_path / "pictures").iterdir())
    rows = {column: [value, value], "image": [{"path": path.name, "bytes": path.read_bytes()} for path in paths]}
    features = datasets.Features({column: datasets.Value("string" if value == "jumping" else "int64"),
                                  "image": datasets.Image()})  # fmt: skip
    (tmp_path / "dataset" / "data").mkdir(parents=True)
    table = datasets.Dataset.from_dict(rows, features=features)
    table.to_parquet(tmp_path / "dataset" / "data" / "train-00000-of-00001.parquet")
    with serving(tmp_path / "dataset", "someone/girl") as endpoint:
        found = load_from_hub("someone/girl", endpoint, tmp_path / "home")
    assert (found if isinstance(found, str) else [row[:2] for row in found]) == expected


def test_without_a_network_a_hub_dataset_is_refused_in_a_sentence(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    sentence = load_from_hub("someone/girl", endpoint, tmp_path / "home")
    assert sentence.startswith("someone/girl is not a folder here, and the Hub cannot be reached")


def test_a_caption_is_the_named_columns_or_the_first_known_one():
    row = {"image": {}, "prompt": "waving", "note": "x", "text": None}
    assert hub.caption_of(row, "note", "row 3") == "x" and hub.caption_of({"image": {}}, "", "row 3") == ""
    assert hub.caption_of({"image": {}, "caption": " jumping "}, "", "row 3") == "jumping"
    with pytest.raises(UserError, match="row 3 has no column 'words', only image, prompt, note, text: name the one"):
        hub.caption_of(row, "words", "row 3")


ROWS = {
    "a file of this machine": (str, "names .*secret.png, a file of the machine it was made on: upload the pictures"),
    "a path that leads up": (lambda path: f"../../../../../../../../{path}", "a file of the machine it was made on"),
    "nothing": (lambda path: None, "Row 1 of someone/girl has no picture: remove the row"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_table_on_the_hub_names_no_file_here(tmp_path, kind):
    import datasets
    import pyarrow
    import pyarrow.parquet

    path, sentence = ROWS[kind]
    secret = fill(tmp_path / "private") / "00.png"
    secret = secret.rename(secret.with_name("secret.png"))
    own = {"path": "a.png", "bytes": secret.read_bytes()}
    rows = [{"image": own}, {"image": {"path": path(secret), "bytes": None}}]
    table = pyarrow.Table.from_pylist(rows, schema=datasets.Features({"image": datasets.Image()}).arrow_schema)
    (tmp_path / "dataset" / "data").mkdir(parents=True)
    pyarrow.parquet.write_table(table, tmp_path / "dataset" / "data" / "train-00000-of-00001.parquet")
    with serving(tmp_path / "dataset", "someone/girl") as endpoint:
        found = load_from_hub("someone/girl", endpoint, tmp_path / "home")
    assert isinstance(found, str) and re.search(sentence, found)
