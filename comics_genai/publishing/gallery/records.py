"""Read the records that the gallery shows, from folders that may be damaged.

A folder of pictures holds `metadata.jsonl`, with one JSON object in each line that says how a picture was made. A
second file, `scores.jsonl`, may hold its scores; for the comic world `generate`, `score`, the studies and the notebooks
write it (evaluation.picture_scores). Its lines are matched by `file_name` and override the first file's. Every field
but `file_name` may be absent and is then not shown:

    file_name       the picture, inside the folder
    prompt, negative, seed, index, steps, guidance, scheduler, base, adapter, adapter_scale, size
                    as `generate` writes them; index tells pictures of one seed apart
    method          column of the comparison; by default `model`, or else the folder's name in words
    character       who is drawn
    test_prompt     row of the comparison: the prompt that all methods share, if this picture's prompt differs from it
    training_step, learning_rate
                    how far and how fast the adapter was trained; the first gives the slider through training
    drawn_at        ISO 8601, for sorting by time; by default the order of the lines
    true_drawing    what the picture should show: a picture, as a path relative to the folder
    scores          {"right": {factor: bool}, measure: number or bool}, as the evaluation writes them; measures are
                    identity, pose, joint_success, copied, nearest_reference (index of the nearest drawing) and others
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comics_genai.sampling.picked import is_inside
from comics_genai.sampling.records import read_record

METADATA, SCORES = "metadata.jsonl", "scores.jsonl"
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif"})
OF_ONE_PICTURE = frozenset({"file_name", "seed", "index", "drawn_at", "scores", "true_drawing"})
LARGEST_EXACT = 2**53  # the largest integer that a browser's numbers hold exactly
ACRONYMS = {"lora": "LoRA", "dreambooth": "DreamBooth", "gan": "GAN", "ddpm": "DDPM", "finetuned": "fine-tuned"}


@dataclass(frozen=True)
class PictureRecord:
    """One picture: its file, the folder that lists it, the folder's place in words, and its fields."""

    path: Path
    folder: Path
    place: str  # the folder relative to the start of the search, with "/"; "." for the start itself
    fields: dict[str, Any]  # JSON values only

    @property
    def prompt(self) -> str:
        return text(self.fields.get("prompt"))

    @property
    def method(self) -> str:
        """The name of the column that this picture belongs to."""
        named = text(self.fields.get("method")) or text(self.fields.get("model"))
        if named:
            return " · ".join(in_words(part) if _is_code(part) else part for part in named.split(" · "))
        parts = self.place.split("/")
        # The base alone drew it, so it does not count for the run in whose folder it lies.
        if self.fields.get("base") and "adapter" in self.fields and not self.fields["adapter"]:
            parts = parts[-1:]
        return " · ".join(in_words(part) for part in parts) if self.place != "." else in_words(self.folder.name)

    @property
    def order(self) -> tuple[float, float]:
        """Seed, then index: the order within one prompt."""
        return number(self.fields.get("seed")), number(self.fields.get("index"))


def text(value: Any) -> str:
    """A text field; "" if the value is of another type."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> float:
    """A number field; 0 if the value is of another type."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _is_code(name: str) -> bool:
    """Whether a method is named as code names it, such as gan_v1 or lora, and not in words already."""
    return "_" in name or name in ACRONYMS


def in_words(name: str) -> str:
    """The name of a file or field in words: "dreambooth_lora" is "DreamBooth LoRA"."""
    words = name.replace("_", " ").replace("-", " ").split()
    return " ".join(ACRONYMS.get(word.lower(), word) for word in words) or name


def read_all(
    root: Path, skip: Sequence[Path] = (), loose: bool = False, kept: Set[Path] | None = None
) -> tuple[list[PictureRecord], list[str]]:
    """The records of every folder below `root`, sorted by folder, and a sentence for each thing that is wrong.

    skip: folders to leave out. loose: if there is no metadata.jsonl below the root, take the pictures themselves.
    kept: the files, after following links, to look at; by default all.
    """

    def looked_at(path: Path) -> bool:
        return path.is_file() and (kept is None or path.resolve() in kept)

    records: list[PictureRecord] = []
    problems: list[str] = []
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    folders = [folder for folder in folders if not {folder, *folder.parents} & set(skip)]
    for folder in folders:
        if looked_at(folder / METADATA):
            found, wrong = read_folder(folder, folder.relative_to(root).as_posix())
            # The page itself reports missing pictures.
            records += [record for record in found if looked_at(record.path) or not record.path.exists()]
            problems += wrong
    if loose and not records and not problems:
        for folder in folders:
            pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
            place = folder.relative_to(root).as_posix()
            for path in pictures:
                # A picture of `generate` that was moved still has its record in itself.
                told = json_safe(read_record(path) or {})
                fields = (told if isinstance(told, dict) else {}) | {"file_name": json_safe(path.name)}
                records.append(PictureRecord(path, folder, place, fields))
    return records, problems


def read_folder(folder: Path, place: str) -> tuple[list[PictureRecord], list[str]]:
    """The records of one folder, and what is wrong with its lines. If two lines name a picture, the last one counts."""
    problems: list[str] = []
    rows = _rows(folder / METADATA, place, problems)
    if (folder / SCORES).is_file():
        for name, row in _rows(folder / SCORES, place, problems).items():
            if name in rows:
                rows[name] |= row
    return [PictureRecord(folder / name, folder, place, row) for name, row in rows.items()], problems


def _rows(path: Path, place: str, problems: list[str]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for line_number, line in _lines(path):
        where = f"{place}/{path.name}, line {line_number}"
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            problems.append(f"{where}: this is no whole JSON object, perhaps torn; it is left out.")
            continue
        name = row.get("file_name") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not name:
            problems.append(f"{where}: there is no file_name in it; it is left out.")
        elif not is_inside(path.parent / name, path.parent):
            problems.append(f"{where}: it names a file outside its folder; it is left out.")
        else:
            rows[name] = json_safe(row)
    return rows


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    # Only a line feed ends a line: U+2028 and others may be part of a JSON string.
    for i, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            yield i, line


def json_safe(value: Any) -> Any:
    """The value as a browser can read it: without NaN, infinities, too large integers and half characters."""
    if isinstance(value, Mapping):
        return {json_safe(str(key)): json_safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_safe(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > LARGEST_EXACT:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def first_seeds(records: list[PictureRecord], count: int) -> list[PictureRecord]:
    """For each folder, prompt and setting, the `count` pictures with the lowest seeds, in their old order.

    This is a fixed rule, so that nobody can choose the better pictures.
    """
    groups: dict[tuple[str, str], list[PictureRecord]] = {}
    for record in records:
        asked = {name: value for name, value in record.fields.items() if name not in OF_ONE_PICTURE}
        groups.setdefault((str(record.folder), json.dumps(asked, sort_keys=True)), []).append(record)
    kept = {id(record) for group in groups.values() for record in sorted(group, key=lambda r: r.order)[:count]}
    return [record for record in records if id(record) in kept]
