"""Write the scores of each generated picture to scores.jsonl beside it, which the gallery puts into words.

    reader = own_reader(base)                                   None for a base that draws anything but the comic world
    tell(folder, [Told(file_name, scene, record, test_prompt)])

A line is {"file_name", "character", "test_prompt", "true_drawing", "scores"}. The records in the picture and in
metadata.jsonl are not changed: a picture depends on its record alone, so nothing is added to it later.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comics_genai import drawings, environment, world
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.evaluation import metrics
from comics_genai.evaluation.attribute_reader import FOLDER, AttributeReader
from comics_genai.files import json_line, write_atomic
from comics_genai.sampling.generate import Picture

SCORES = "scores.jsonl"
TRUE = "true_drawings"  # folder of the true drawings of what pictures should show
SMALLEST = 64  # sides in pixels at which true drawings are made
# Entries of a record that stand elsewhere in the line, or tell the picture's position among others.
PLACES = frozenset({"file_name", "prompt", "seed", "noise", "character", "training_seed"})
NO_SCORES = PLACES | {"identity_right", "pose_right"}


@dataclass(frozen=True)
class Told:
    """One picture: its file, the scene that it should show, its record, and other fields for the gallery.

    scene: None if its prompt names no whole pose. scores: the record of `metrics.score_run`. test_prompt: the prompt
    that all methods were given for the same scene, "" for the picture's own.
    """

    file_name: str
    scene: world.Scene | None
    scores: Mapping[str, Any]
    test_prompt: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def own_reader(base: Base) -> AttributeReader | None:
    """The attribute reader in the folder of a base of the comic world; None for any other base."""
    folder = environment.data() / "mini_sdxl" if base.name == "mini" else Path(base.name)
    return AttributeReader.load(folder / FOLDER) if (folder / FOLDER).is_dir() else None


def tell(
    folder: Path, pictures: Sequence[Told], character: world.Character, side: int, shared: Path | None = None
) -> None:
    """Add a line for each picture to the folder's scores.jsonl, replacing earlier lines of the same pictures.

    side: pixels of true drawings. shared: the folder with the true drawings of several folders; by default `folder`.
    """
    lines = {row["file_name"]: row for row in _lines(folder / SCORES)}
    for told in pictures:
        row = {"file_name": told.file_name, "character": name_of(character), **told.more}
        if told.test_prompt:
            row["test_prompt"] = told.test_prompt
        if told.scene is not None:
            drawn = _true_drawing((shared or folder) / TRUE, told.scene, max(side, SMALLEST))
            row["true_drawing"] = Path(os.path.relpath(drawn, folder)).as_posix()
        lines[told.file_name] = row | {"scores": scores_of(told.scores)}
    content = "".join(json_line(row) + "\n" for row in lines.values())
    write_atomic(folder / SCORES, content.encode())


def scores_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a record of `metrics.score_run` that say how good the picture is, if they were measured."""
    return {name: value for name, value in record.items() if name not in NO_SCORES and value is not None}


def name_of(character: world.Character) -> str:
    """"UnicornGirl", or one of her companions by number."""
    number = world.HELD_OUT.index(character)
    return f"companion {number}" if number else world.TOKEN


def tell_generated(base: Base, settings: Mapping[str, Any], pictures: Sequence[Picture], folder: Path) -> int:
    """`tell` the scores of pictures that one fine-tuning drew, if the truth is known; returns their number.

    It is known if the base is one of the comic world, the run's drawings show one of its characters, and the prompt
    names her and a whole pose. Nothing is written for any other picture. settings: those of the run.
    """
    reader = own_reader(base)
    character = _learnt(settings) if reader is not None else None
    if reader is None or character is None:
        return 0
    known, name = [], settings.get("identifier")
    for picture in pictures:
        prompt = picture.record["prompt"]
        named = isinstance(name, str) and name.lower() in prompt.lower()
        if named and (scene := _scene(prompt, character)) is not None:
            known.append((picture, scene))
    if not known:
        return 0
    references = [world.draw(scene, max(base.size, SMALLEST)) for scene in world.reference_scenes(character)]
    scenes = [scene for _, scene in known]
    records = metrics.score_run([picture.image for picture, _ in known], scenes, references, reader)
    told = [Told(picture.path.name, scene, record) for (picture, scene), record in zip(known, records, strict=True)]
    tell(folder, told, character, base.size)
    return len(told)


def _learnt(settings: Mapping[str, Any]) -> world.Character | None:
    """The character of the comic world in a run's drawings, if the drawings are here."""
    try:
        return metrics.known_character([drawing.image for drawing in drawings.load(settings["drawings"])])
    except (UserError, KeyError, TypeError):
        return None


def _scene(prompt: str, character: world.Character) -> world.Scene | None:
    try:
        return metrics.scene_of(prompt, character)
    except UserError:
        return None


def _true_drawing(folder: Path, scene: world.Scene, side: int) -> Path:
    """The file with the true drawing of the scene, which is drawn if it is absent."""
    digest = hashlib.sha256(f"{scene!r} {side}".encode()).hexdigest()[:8]
    path = folder / f"{scene.pose.legs}-{scene.pose.expression}-{digest}.png".replace(" ", "_")
    if not path.exists():
        buffer = io.BytesIO()
        world.draw(scene, side).save(buffer, format="PNG")
        write_atomic(path, buffer.getvalue())
    return path


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of the file, without damaged ones and those of another format."""
    rows = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("file_name"), str):
            rows.append(row)
    return rows
