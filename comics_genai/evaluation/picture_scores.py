"""What the evaluation knows of each generated picture, in scores.jsonl beside it: the gallery puts it into words.

    reader = own_reader(base)                                   None: a base that draws anything but the comic world
    tell(folder, [Told(file_name, scene, record, test_prompt)])

A line is {"file_name", "character", "test_prompt", "true_drawing", "scores"}. The record in the picture and in
metadata.jsonl stays as it was drawn: a picture is a function of that record, and what is found out later is not in it.
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
TRUE = "true_drawings"  # folder of what pictures should show
SMALLEST = 64  # pixels each way that the comic world is drawn in
# Of a score's record what is said elsewhere in the line, or of the picture's place among others.
PLACES = frozenset({"file_name", "prompt", "seed", "noise", "character", "training_seed"})
NO_SCORES = PLACES | {"identity_right", "pose_right"}


@dataclass(frozen=True)
class Told:
    """One picture: its file, what it should show (None: it was not told), its record of `metrics.score_run`, the prompt
    that all methods were asked in its place ("": its own), and other fields for the gallery."""

    file_name: str
    scene: world.Scene | None
    scores: Mapping[str, Any]
    test_prompt: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def own_reader(base: Base) -> AttributeReader | None:
    """The attribute reader that a base of the comic world has beside its weights; None for any other base, whose
    pictures it cannot read."""
    folder = environment.data() / "mini_sdxl" if base.name == "mini" else Path(base.name)
    return AttributeReader.load(folder / FOLDER) if (folder / FOLDER).is_dir() else None


def tell(
    folder: Path, pictures: Sequence[Told], character: world.Character, side: int, shared: Path | None = None
) -> None:
    """Add a line for each of the folder's pictures to its scores.jsonl, in place of the same pictures' earlier ones.

    side: pixels each way of true drawings. shared: folder that holds these for several folders; by default `folder`.
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
    """The part of a record of `metrics.score_run` that says how good the picture is; what was not measured is left
    out."""
    return {name: value for name, value in record.items() if name not in NO_SCORES and value is not None}


def name_of(character: world.Character) -> str:
    """"UnicornGirl", or one of her companions by number."""
    number = world.HELD_OUT.index(character)
    return f"companion {number}" if number else world.TOKEN


def tell_generated(base: Base, settings: Mapping[str, Any], pictures: Sequence[Picture], folder: Path) -> int:
    """`tell` of pictures that one fine-tuning drew, where the truth is known; the number of pictures told of.

    It is known when the base is one of the comic world, the run's drawings show one of its characters, and the prompt
    names her and says a whole pose. settings: the run's. Of all other pictures nothing is written.
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
    """The character of the comic world that a run's drawings show, if they are here."""
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
    """The file of the scene as the world draws it, made if it is not there."""
    digest = hashlib.sha256(f"{scene!r} {side}".encode()).hexdigest()[:8]
    path = folder / f"{scene.pose.legs}-{scene.pose.expression}-{digest}.png".replace(" ", "_")
    if not path.exists():
        buffer = io.BytesIO()
        world.draw(scene, side).save(buffer, format="PNG")
        write_atomic(path, buffer.getvalue())
    return path


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines that are there; torn ones, and those of another shape, are written anew."""
    rows = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("file_name"), str):
            rows.append(row)
    return rows
