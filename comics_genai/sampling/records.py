"""The record of a generated picture: in its PNG's text chunk, and in metadata.jsonl beside it."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from comics_genai.files import write_atomic

# Fields by the names that earlier versions gave them.
EARLIER_NAMES = {"adapter_scale": "strength", "strength": "t0"}
EARLIER_NAMES |= {"start_image": "start", "start_image_digest": "start_digest"}
TEXT_CHUNK = "comics_genai"  # keyword of the PNG text chunk with the record as JSON


def with_file_name(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a file name that says prompt and seed, and is another for any other record."""
    words = re.sub(r"[^a-z0-9]+", "-", record["prompt"].lower().removeprefix("a drawing of ")).strip("-")
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
    return {"file_name": f"{words[:48].rstrip('-') or 'picture'}-{record['seed']}-{digest}.png", **record}


def renamed_back(record: dict[str, Any]) -> dict[str, Any]:
    """The record under the field names of earlier versions, without its file name."""
    return {EARLIER_NAMES.get(name, name): value for name, value in record.items() if name != "file_name"}


def write_picture(path: Path, image: PIL.Image.Image, record: dict[str, Any]) -> None:
    """Write a PNG with its record in a text chunk, atomically."""
    info = PngInfo()
    info.add_itxt(TEXT_CHUNK, json.dumps(record, ensure_ascii=False))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    write_atomic(path, buffer.getvalue())


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a PNG's text chunk; None where there is no such file, no record in it, or it is damaged."""
    try:
        with PIL.Image.open(path) as image:
            image.load()  # text after the pixels, and a torn file, show only now
            return json.loads(image.text[TEXT_CHUNK])
    except (OSError, AttributeError, KeyError, ValueError, SyntaxError):
        return None


def read_metadata(folder: Path) -> list[dict[str, Any]]:
    """All records of a folder of pictures; [] where there are none."""
    path = Path(folder) / "metadata.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def write_metadata(folder: Path, records: list[dict[str, Any]]) -> None:
    rows = {row["file_name"]: row for row in read_metadata(folder)}
    rows |= {record["file_name"]: record for record in records}
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()]
    write_atomic(folder / "metadata.jsonl", "".join(lines).encode())


def read_image(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as image:
        return image.convert("RGB")
