"""Captions of drawings, and prompts that name a character, the class it belongs to, and its mirror image."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from comics_genai.errors import UserError


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def subject(identifier: str, class_name: str) -> str:
    """How prompts name the character, in training and afterwards: "UnicornGirl, a girl"."""
    return f"{identifier}, {a(class_name)}"


def instance_prompt(caption: str | None, identifier: str, class_name: str) -> str:
    """The prompt of a drawing: its caption if that names the character, else one that does."""
    name = subject(identifier, class_name)
    if caption and name in caption:
        return caption
    if caption and identifier in caption:
        return caption.replace(identifier, name, 1)
    return f"a drawing of {name}, {caption}" if caption else f"a drawing of {name}"


def class_prompt(prompt: str, identifier: str, class_name: str) -> str:
    """The same prompt without the identifier, as "a dog" beside "a [V] dog" in the paper."""
    return prompt.replace(subject(identifier, class_name), a(class_name))


def mirrored_prompt(prompt: str) -> str:
    """The prompt of the mirrored drawing: left and right change places."""
    swap = {"left": "right", "right": "left"}
    return re.sub(r"\b(left|right)\b", lambda match: swap[match[0]], prompt)


METADATA = "metadata.jsonl"


def captions_of(folder: Path, pictures: Mapping[str, Path]) -> dict[str, str]:
    """Captions of a folder by picture name, from metadata.jsonl and from NAME.txt beside NAME.png. Raises UserError."""
    metadata = folder / METADATA
    captions = _read_metadata(metadata) if metadata.exists() else {}
    for name, path in pictures.items():
        beside = path.with_suffix(".txt")
        if name not in captions and beside.exists():
            captions[name] = _read_text(beside).strip()
    return captions


def _read_metadata(path: Path) -> dict[str, str]:
    captions: dict[str, str] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"Line {number} of {path} is not JSON ({error}): write one object a line.") from error
        name = row.get("file_name") if isinstance(row, dict) else None
        text = row.get("text") if isinstance(row, dict) else None
        if not (isinstance(name, str) and name and isinstance(text, str)):
            raise UserError(f'Line {number} of {path} needs the texts "file_name" and "text": add them.')
        if name in captions:
            raise UserError(f"{path} captions {name} twice, again in line {number}: leave one.")
        picture = path.parent / name
        if not picture.resolve().is_relative_to(path.parent.resolve()):
            raise UserError(f"Line {number} of {path} names {name}, which is outside its folder: copy it there.")
        if not picture.is_file():
            raise UserError(f"Line {number} of {path} captions {name}, which is not there: add it or remove the line.")
        captions[Path(name).as_posix()] = text.strip()
    return captions


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
