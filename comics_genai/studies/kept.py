"""The few pictures of a study that are kept beside its table, with their records: what its notebook shows.

[keep] of a study's file says whose: folder, characters, seeds, prompts (the first so many), noise.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from comics_genai import environment
from comics_genai.drawings.captions import subject as named_subject
from comics_genai.errors import UserError
from comics_genai.evaluation import comparison, metrics
from comics_genai.evaluation.picture_scores import Told, tell
from comics_genai.files import write_atomic
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.paths import inside
from comics_genai.ranges import LARGEST_SEED, shown, whole
from comics_genai.sampling.records import METADATA, read_image, read_metadata, write_metadata
from comics_genai.studies.cast import Subject
from comics_genai.studies.grid import Cell, Grid
from comics_genai.world import HELD_OUT, draw

VARIED = {"steps": "training_step", "learning_rate": "learning_rate"}  # the gallery's names for settings of a study
OF_A_POSE = frozenset({"joint_success", "copy_pasted", "palette_distance"})  # of a picture and one scene
UNFIT_FOR_FOLDERS = re.compile(r"[\s/\\]")
KEEP = {"folder": "", "characters": (0,), "seeds": (0,), "prompts": 6, "noise": (0,)}


def wanted(grid: Grid) -> dict[str, Any]:
    """[keep] with defaults for what it leaves out. Raises UserError for an unknown entry, or one of another type."""
    if unknown := grid.keep.keys() - KEEP.keys():
        raise UserError(f"The study {grid.name} says keep.{min(unknown)}: choose of {', '.join(KEEP)}.")
    keep = KEEP | dict(grid.keep)
    rules = {name: (_numbers(keep[name]), "a list of numbers from 0") for name in ("characters", "seeds", "noise")}
    rules["folder"] = isinstance(keep["folder"], str), "the name of a folder"
    rules["prompts"] = whole(keep["prompts"], 1, 1000)
    for name, (holds, range_) in rules.items():
        if not holds:
            raise UserError(f"The study {grid.name} says keep.{name} = {shown(keep[name])}: it must be {range_}.")
    if keep["folder"]:
        inside(_home(grid), keep["folder"], f"The study {grid.name}, in [keep],")
    return keep


def _numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(whole(number, 0, LARGEST_SEED)[0] for number in value)


def _home(grid: Grid) -> Path:
    return environment.root() if grid.home is None else grid.home


def kept_folder(grid: Grid, cell: Cell) -> Path | None:
    """The folder for the cell's kept pictures; None if [keep] does not include the cell.

    Raises UserError for one that lies outside of the repository, or of the folder of a study from elsewhere.
    """
    keep = wanted(grid)
    if not keep["folder"] or cell.character not in keep["characters"] or cell.seed not in keep["seeds"]:
        return None
    varied = [f"{name}_{cell.settings[section][name]}" for section, names in grid.vary.items() for name in names
              if name in cell.settings.get(section, {})]  # fmt: skip
    several = [f"character_{cell.character}"] if len(keep["characters"]) > 1 else []
    several += [f"seed_{cell.seed}"] if len(keep["seeds"]) > 1 else []
    name = "-".join([cell.method, *filter(None, [cell.variant]), *varied, *several])
    plain = UNFIT_FOR_FOLDERS.sub("_", name)
    return inside(_home(grid), f"{keep['folder']}/{plain}", f"The study {grid.name}, in [keep],")


def keep_pictures(pictures: Path, target: Path, prompts: int, noise: Sequence[int]) -> None:
    """Copy the pictures of the first `prompts` prompts with these noise seeds; without prompts, as many pictures."""
    rows = read_metadata(pictures)
    asked = list(dict.fromkeys(row["prompt"] for row in rows))[:prompts]
    kept = [row for row in rows if row["prompt"] in asked and row["seed"] in noise]
    if asked == [""]:
        kept = rows[: prompts * len(noise)]
    for row in kept:
        picture = inside(pictures, row["file_name"], str(pictures / METADATA))
        write_atomic(target / row["file_name"], picture.read_bytes())
    if kept:
        write_metadata(target, kept)


def tell_kept(
    grid: Grid, cell: Cell, target: Path, subject: Subject, prompts: Sequence[str], records: Sequence[metrics.Record]
) -> None:
    """Write the kept pictures' scores beside them, with the true drawings and the study's settings, for the gallery.

    prompts: the method's prompts for the subject's scenes; empty if the method takes no words. records: those of all
    pictures, prompt by prompt.
    """
    named = subject.prompts(named_subject(FinetuneSettings.identifier, FinetuneSettings.class_name))
    more = {"method": " · ".join(filter(None, [cell.method, cell.variant, grid.name if grid.vary else ""]))}
    for setting, name in VARIED.items():
        if setting in grid.vary.get("finetune", {}) and setting in cell.settings.get("finetune", {}):
            more[name] = cell.settings["finetune"][setting]
    told = []
    for row in read_metadata(target):
        if prompts:
            at = prompts.index(row["prompt"])
            record = records[at * grid.noise + row["seed"]]
            told.append(Told(row["file_name"], subject.scenes[at], record, named[at], more))
        else:
            # It is scored against a scene that was not part of its prompt.
            record = {name: value for name, value in records[row["index"]].items() if name not in OF_A_POSE}
            told.append(Told(row["file_name"], None, record, "", more))
    if told:
        tell(target, told, subject.character, subject.size, shared=target.parent)


def kept_pictures(grid: Grid) -> dict[str, list[PIL.Image.Image]]:
    """The kept pictures by folder name, one for each prompt, after the true drawings of the same prompts.

    {} if no pictures are kept.
    """
    keep = wanted(grid)
    folders = {cell_folder.name: cell_folder for cell in grid.cells() if (cell_folder := kept_folder(grid, cell))}
    found = {
        name: [
            read_image(inside(folder, row["file_name"], str(folder / METADATA)))
            for row in _one_a_prompt(read_metadata(folder), keep["prompts"])
        ]
        for name, folder in folders.items()
        if read_metadata(folder)
    }
    if not found:
        return {}
    scenes = comparison.posed_scenes(HELD_OUT[keep["characters"][0]], grid.prompts, grid.half)[: keep["prompts"]]
    size = max(picture.width for pictures in found.values() for picture in pictures)
    return {"true drawing": [draw(scene, max(size, comparison.SMALLEST)) for scene in scenes]} | found


def _one_a_prompt(rows: Sequence[dict[str, Any]], prompts: int) -> list[dict[str, Any]]:
    """The record of the first seed for each prompt; without prompts, the first records."""
    by_prompt: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        by_prompt.setdefault(row["prompt"], row)
    asked = dict.fromkeys(row["prompt"] for row in rows)  # in the order of the scenes
    return list(rows[:prompts]) if list(asked) == [""] else [by_prompt[prompt] for prompt in asked]
