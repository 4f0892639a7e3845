"""The record of a generated picture: in its PNG's text chunk, and in metadata.jsonl beside it."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from comics_genai.drawings.caption_files import is_table
from comics_genai.drawings.folder import KOHYA
from comics_genai.drawings.opening import DAMAGE, suffixes
from comics_genai.drawings.preparation import WHITE, layers_of, on_paper, plain
from comics_genai.errors import UserError
from comics_genai.files import json_line, one_writer, read_rows, write_atomic
from comics_genai.run import SETTINGS_FILE

METADATA = "metadata.jsonl"
# Fields and the names that earlier versions gave them.
EARLIER_NAMES = {"adapter_scale": "strength", "strength": "t0"}
EARLIER_NAMES |= {"start_image": "start", "start_image_digest": "start_digest"}
OWN_FIELDS = frozenset({"prompt", "seed", "base_digest"})
GRID = "grid.png"  # all of a command's pictures; by itself it is anybody's
OWN_NAME = re.compile(r"grid\.png|.+-\d+-[0-9a-f]{8}\.png")  # as `with_file_name` makes them
PATIENCE = 60  # seconds to wait for another process that adds its records
OF_OTHERS = {SETTINGS_FILE: "run", "model_index.json": "base"}
TEXT_CHUNK = "comics_genai"  # keyword of the PNG text chunk with the record as JSON


def with_file_name(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a file name that tells prompt and seed, and differs for any other record."""
    words = re.sub(r"[^a-z0-9]+", "-", record["prompt"].lower().removeprefix("a drawing of ")).strip("-")
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
    return {"file_name": f"{words[:48].rstrip('-') or 'picture'}-{record['seed']}-{digest}.png", **record}


def renamed_back(record: dict[str, Any]) -> dict[str, Any]:
    """The record under the field names of earlier versions, without its file name."""
    return {EARLIER_NAMES.get(name, name): value for name, value in record.items() if name != "file_name"}


def write_picture(path: Path, image: PIL.Image.Image, record: dict[str, Any]) -> None:
    """Write a PNG with its record in a text chunk, atomically."""
    info = PngInfo()
    info.add_itxt(TEXT_CHUNK, json_line(record))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    write_atomic(path, buffer.getvalue())


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a PNG's text chunk; None if the file is absent or damaged, or holds no record."""
    try:
        with PIL.Image.open(path) as image:
            image.load()  # text behind the pixels is read, and a cut-off file noticed, only now
            record = json.loads(image.text[TEXT_CHUNK])
    except (*DAMAGE, PIL.Image.DecompressionBombError):
        return None
    return record if isinstance(record, dict) else None


def read_metadata(folder: Path) -> list[dict[str, Any]]:
    """All records of a folder of pictures, [] if it has none. Raises UserError for a line that is not a record."""
    path = Path(folder) / METADATA
    return read_rows(path, "file_name") if path.exists() else []


def write_metadata(folder: Path, records: list[dict[str, Any]]) -> None:
    """Add records to a folder and replace those of the same pictures; several processes may do so at once."""
    told = f"Another process writes to {folder / METADATA} all the time: wait until it ends."
    with one_writer(folder, told, wait=PATIENCE):
        rows = {row["file_name"]: row for row in read_metadata(folder)}
        rows |= {record["file_name"]: record for record in records}
        lines = [json_line(row) + "\n" for row in rows.values()]
        write_atomic(folder / METADATA, "".join(lines).encode())


def check_own(folder: Path) -> None:
    """Raise UserError for a folder of something else: pictures that `generate` did not draw, a run or a base."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder for the pictures.")
    foreign = [row["file_name"] for row in read_metadata(folder) if not OWN_FIELDS <= row.keys()]
    if foreign or (folder.is_dir() and not (folder / METADATA).exists() and (foreign := _foreign(folder))):
        raise UserError(f"{folder} holds pictures of others, such as {foreign[0]}: give generated ones another folder.")
    for name, what in OF_OTHERS.items():
        if (folder / name).exists():
            raise UserError(f"{folder} is the folder of a {what}, as its {name} says: give pictures another folder.")


def _foreign(folder: Path) -> list[str]:
    """What says that the folder, which has no records, is someone's drawings: pictures, their captions, or train/."""
    entries, known = sorted(folder.iterdir()), suffixes()
    pictures = [path.name for path in entries if path.suffix.lower() in known and not path.is_dir()]
    if pictures == [GRID]:
        return pictures
    found = [name for name in pictures if not OWN_NAME.fullmatch(name) and read_record(folder / name) is None]
    found += [path.name for path in entries if is_table(path.name)]
    layouts = [path for path in entries if path.is_dir() and (path.name == "train" or KOHYA.fullmatch(path.name))]
    return found + [f"{path.name}/" for path in layouts if any(one.suffix.lower() in known for one in path.iterdir())]


def read_image(path: Path, advice: str = "start the same command again to draw it anew") -> PIL.Image.Image:
    """A picture, RGB, on white where it is transparent. Raises UserError, with the advice, for one that is gone or
    damaged."""
    try:
        with PIL.Image.open(path) as image:
            return on_paper(layers_of(plain(image)), WHITE)
    except (*DAMAGE, PIL.Image.DecompressionBombError) as error:
        raise UserError(f"{path} is gone or damaged: {advice}.") from error
