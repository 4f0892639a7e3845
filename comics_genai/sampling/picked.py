"""The list of picked pictures that the gallery saves, and their prompts, for `finetune --add-picked FILE`.

    {"format": "comics-genai-picked", "version": 1, "pictures": ["dreambooth/finetuned/a-girl-0-1a2b3c4d.png"]}

Paths are relative to the gallery's folder, with "/" between names. A text file with one path in each line will do too;
its empty lines and lines that begin with # are skipped.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comics_genai.errors import UserError
from comics_genai.sampling.records import read_metadata, read_record

FORMAT, VERSION = "comics-genai-picked", 1


def read_picked(file: str | Path, gallery: str | Path) -> list[Path]:
    """The paths of the picked pictures, in the order of the list, each once.

    file: the list. gallery: the folder that holds the gallery's index.html. Raises UserError if the list is absent, cut
    off, empty or of another format, or if a path leads out of the gallery's folder or is not a file.
    """
    file, gallery = Path(file), Path(gallery)
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list of picked pictures {file} cannot be read: save it anew in the gallery.") from error
    names = _from_json(file, content) if content.lstrip().startswith(("{", "[")) else _from_lines(content)
    if not names:
        raise UserError(f"The list {file} names no picture: give some a heart in the gallery and save the list anew.")
    return [picture_of(name, gallery, f"The list {file}") for name in dict.fromkeys(names)]


def picture_of(name: str, gallery: Path, whose: str) -> Path:
    """The file of a picture that is named by its path in the gallery.

    whose: where the name was read, for the message. Raises UserError if the path, after following links, leads out of
    the gallery's folder or is not a file.
    """
    path = gallery / name
    if not is_inside(path, gallery):
        raise UserError(f"{whose} names {name!r}, which is outside the gallery {gallery}: take it out.")
    if not path.is_file():
        raise UserError(f"{whose} names {name!r}, but there is no such picture in {gallery}: take it out.")
    return path


def prompt_of(path: Path) -> str:
    """The prompt of a generated picture, from its own record or the metadata.jsonl beside it; "" if neither has it."""
    rows = {row.get("file_name"): row for row in read_metadata(path.parent)}
    prompt = (read_record(path) or rows.get(path.name) or {}).get("prompt")
    return prompt if isinstance(prompt, str) else ""


def is_inside(path: Path, folder: Path) -> bool:
    """Whether `path`, with every link followed, lies in `folder`."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a name with a null byte, a loop of links
        return False


def _from_lines(content: str) -> list[str]:
    lines = [line.strip() for line in content.split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def _from_json(file: Path, content: str) -> Sequence[str]:
    try:
        saved: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The list {file} is cut off or not JSON: save it anew in the gallery.") from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT or saved.get("version") != VERSION:
        raise UserError(f"The file {file} is not a list of picked pictures: save one in the gallery.")
    names = saved.get("pictures")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'The list {file} has no list of paths under "pictures": save it anew in the gallery.')
    return names
