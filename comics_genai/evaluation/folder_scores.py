"""The command `score`: it scores a folder of pictures, or the pictures of a run, and prints the table.

python -m comics_genai score 6_generated/dreambooth_lora
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import torch
import tyro

from comics_genai import drawings, environment, world
from comics_genai.bases.adapters import run_settings
from comics_genai.errors import UserError
from comics_genai.evaluation import copy_paste, identification, metrics, picture_scores
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.files import write_atomic
from comics_genai.paths import inside
from comics_genai.plotting import tables
from comics_genai.ranges import refuse_renamed
from comics_genai.run import is_run
from comics_genai.sampling.records import METADATA, read_image, read_metadata, read_record

COLUMNS = {**metrics.COLUMNS, "rank_one": "rank 1 of 200", "copy_pasted": "copy-paste"}
CHANCE, CEILING = "chance: other characters", "ceiling: true drawings"
LABELS = {"file_name": str, "prompt": str, "seed": int}  # of a picture's record, by which scores are grouped
AUTO = -1


@dataclass(frozen=True)
class ScoreSettings:
    """Score pictures against a held-out character of the comic world; prints a table with floor and ceiling."""

    source: tyro.conf.Positional[Path]
    """a folder of pictures, a folder of such folders, or a finished run, whose pictures are in 6_generated"""
    character: int = AUTO
    """0 is UnicornGirl, 1 to 9 are her companions; by default the character of the run's drawings, or else 0"""
    reader: Path | None = None
    """folder of the attribute reader; by default the miniature's"""


def main(arguments: Sequence[str]) -> str:
    """The table that a command line asks for, as text. Raises UserError for an option by its earlier name."""
    refuse_renamed(arguments, {"--scorer": "--reader"})
    return score_source(tyro.cli(ScoreSettings, args=arguments, prog="comics_genai score"))


def score_source(settings: ScoreSettings) -> str:
    """Write scores.jsonl (a line for each picture, see `picture_scores`) into each folder of pictures, and scores.json
    (the table) into their common one; returns the table as text.

    The pose columns are filled only for pictures whose prompt names a pose. Raises UserError for a folder without
    pictures, for prompts that name a part of a pose, and for a number that belongs to no character.
    """
    folder = _pictures_of(settings.source)
    number = settings.character if settings.character != AUTO else _shown(settings.source)
    if not 0 <= number < len(world.HELD_OUT):
        raise UserError(f"character is {number}, but must be 0 (UnicornGirl) to {len(world.HELD_OUT) - 1}.")
    reader = AttributeReader.load(settings.reader)
    scoring = _Scoring(world.HELD_OUT[number], reader)
    rows: dict[str, list[metrics.Record]] = {}
    with torch.inference_mode():
        for place in _folders(folder):
            rows[place.name or folder.name] = records = scoring.folder(place)
            scoring.tell(place, records)
        rows |= scoring.bounds()
    scores = metrics.table(rows, COLUMNS)
    write_atomic(folder / "scores.json", (json.dumps(scores, indent=2) + "\n").encode())
    counts = sum(row["pictures"] for row in scores["rows"]) - 2 * len(scoring.asked)
    return f"{counts} pictures of {folder}, means with 95 % intervals:\n{tables.table(scores)}"


class _Scoring:
    """Scores pictures of one character with one reader, and remembers the scenes of their prompts."""

    def __init__(self, character: world.Character, reader: AttributeReader):
        self.character, self.reader = character, reader
        self.references = [world.draw(scene) for scene in world.reference_scenes(character)]
        self.threshold = metrics.copy_threshold(character, self.references)
        self.asked: list[world.Scene] = []

    def folder(self, place: Path) -> list[metrics.Record]:
        rows = _rows(place)
        whose = str(place / METADATA)
        advice = f"put it back, or take its line out of {METADATA}"
        pictures = [read_image(inside(place, row["file_name"], whose), advice) for row in rows]
        posed = all(row.get("prompt") for row in rows)
        scenes = [
            metrics.scene_of(row["prompt"], self.character) if posed else world.Scene(self.character) for row in rows
        ]
        labels = [{key: value for key, value in row.items() if key in LABELS} for row in rows]
        if posed:
            self.asked += [scene for scene in dict.fromkeys(scenes) if scene not in self.asked]
        return self.records(pictures, scenes, labels, posed)

    def tell(self, place: Path, records: list[metrics.Record]) -> None:
        """Write each picture's scores beside it, with the true drawing if its prompt names a pose."""
        told = []
        for record in records:
            posed = record["pose"] is not None
            scene = metrics.scene_of(record["prompt"], self.character) if posed else None
            # If the prompt names no pose, only the character is scored.
            right = {name: value for name, value in record["right"].items() if posed or name not in world.POSE_FACTORS}
            told.append(picture_scores.Told(record["file_name"], scene, record | {"right": right}))
        picture_scores.tell(place, told, self.character, self.references[0].width)

    def records(
        self, pictures: list[PIL.Image.Image], scenes: list[world.Scene], labels: list[dict[str, Any]], posed: bool
    ) -> list[metrics.Record]:
        known = {"threshold": self.threshold, "labels": labels}
        records = metrics.score_run(pictures, scenes, self.references, self.reader, **known)
        ranked = identification.rank_one(self.reader.read(pictures), self.character, tuple(self.reader.readable))
        pasted = copy_paste.copy_paste(pictures, scenes, self.references) if posed else [None] * len(records)
        for record, first, copied in zip(records, ranked, pasted, strict=True):
            record |= {"rank_one": bool(first), "copy_pasted": None if copied is None else bool(copied)}
            if not posed:
                record |= dict.fromkeys(("pose", "pose_right", "joint_success", "joint_error"))
        return records

    def bounds(self) -> dict[str, list[metrics.Record]]:
        """The scores of other characters and of true drawings for the same prompts; {} without prompts."""
        if not self.asked:
            return {}
        labels = [{"prompt": world.scene_prompt(scene, "a girl")} for scene in self.asked]
        made = {CHANCE: metrics.other_character_renders(self.asked), CEILING: metrics.true_renders(self.asked)}
        return {name: self.records(pictures, self.asked, labels, True) for name, pictures in made.items()}


def _pictures_of(source: Path) -> Path:
    """The folder itself, or the folder that `generate` and the notebooks draw into for a run."""
    if is_run(source) and not (source / METADATA).exists():
        folder = environment.generated() / source.resolve().name
        if not folder.is_dir():
            raise UserError(
                f"The run {source} has no pictures in {folder} yet: draw some by `python -m comics_genai generate "
                f"{source} --prompt ...`, or give their folder."
            )
        return folder
    return source


def _folders(folder: Path) -> list[Path]:
    """The folder itself if it holds pictures, else those of its subfolders that do."""
    below = sorted(path for path in folder.glob("*") if path.is_dir() and path.name != picture_scores.TRUE)
    for found in ([folder], below):
        if holding := [place for place in found if _rows(place)]:
            return holding
    raise UserError(f"{folder} holds no PNG picture: give a folder that generate drew into.")


def _rows(place: Path) -> list[dict[str, Any]]:
    """The records of a folder's pictures: metadata.jsonl, or each PNG's own, or its name alone."""
    if rows := read_metadata(place):
        return [_labelled(row) for row in rows]
    sheets = ("contact_sheet.png", "grid.png")
    names = sorted(path for path in place.glob("*.png") if path.name not in sheets)
    return [_labelled({**(read_record(path) or {}), "file_name": path.name}) for path in names]


def _labelled(row: dict[str, Any]) -> dict[str, Any]:
    """The row without labels of a wrong type: pictures from elsewhere may have anything under these names."""
    return {key: value for key, value in row.items() if isinstance(value, LABELS.get(key, object))}


def _shown(source: Path) -> int:
    """The number of the character that a run's drawings show; 0 where that is not known."""
    try:
        named = run_settings(source)["drawings"]
        character = metrics.known_character([drawing.image for drawing in drawings.load(named)])
    except (UserError, KeyError, TypeError):
        return 0
    return world.HELD_OUT.index(character) if character else 0
