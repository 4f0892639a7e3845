"""Test a fine-tuning: it and its untrained base draw new poses, which are scored between a floor and a ceiling.

    test = draw(base, run, character, pictures_folder)
    scores = scored(test, base)

For a character of the comic world the truth is known, and everything is scored. For any other character the pictures
are only drawn, to be looked at.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import PIL.Image

from comics_genai import world
from comics_genai.bases.adapters import Adapter, load_adapter, run_settings
from comics_genai.bases.base import Base
from comics_genai.drawings import Drawing
from comics_genai.drawings.captions import subject
from comics_genai.evaluation import metrics, picture_scores
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.picture_scores import SMALLEST
from comics_genai.files import write_atomic
from comics_genai.plotting import figures
from comics_genai.sampling.generate import Picture, Sampling, generate

TUNED, SAME, CAREFUL = "fine-tuned", "base, same prompt", "base, careful prompt"
BOTH = "fine-tuned, careful prompt"
CEILING, FLOOR = "ceiling: true drawings", "floor: other characters"
SCORES, SHEET = "scores.json", "contact_sheet.png"


@dataclass(frozen=True)
class DrawnTest:
    """The drawn pictures of each row of the comparison, prompt by prompt, each prompt with all seeds."""

    folder: Path
    drawings: list[PIL.Image.Image]
    prompts: list[str]  # one a picture
    scenes: list[world.Scene]  # what each picture should show; [] if that is not known
    pictures: dict[str, list[PIL.Image.Image]]
    files: dict[str, list[Path]] = field(default_factory=dict)  # of the same pictures

    def contact_sheet(self) -> PIL.Image.Image:
        """The drawings above the new poses, each under its pose's words; also written as contact_sheet.png."""
        poses = [", ".join(prompt.split(", ")[2:]) for prompt in self.prompts]
        sheet = figures.contact_sheet(self.drawings, self.pictures[TUNED], poses, columns=6, side=192)
        figures.save_picture(sheet, self.folder / SHEET)
        return sheet


def posed_scenes(
    character: world.Character, count: int, half: Literal["test", "validation"] = "test"
) -> list[world.Scene]:
    """Centred scenes in poses of the test half: none of the six drawings shows them, no setting was chosen on them."""
    scenes = metrics.other_pose_scenes(character, count, seed=1, half=half)
    return [replace(scene, setting=replace(scene.setting, scale=1.0, shift=(0.0, 0.0))) for scene in scenes]


def draw(
    base: Base,
    run: Path,
    drawings: Sequence[Drawing],
    folder: Path,
    scenes: int = 12,
    seeds: int = 2,
    sampling: Sampling | None = None,
) -> DrawnTest:
    """Draw test poses with the finished fine-tuning in folder `run`, and with its base alone.

    The base gets the same prompts, although it does not know the name, and careful prompts that name everything about
    the character that has a name. The fine-tuning also gets prompts with both the name and the careful words.
    Afterwards the adapter is still loaded in the base.
    """
    settings = run_settings(run)
    sampling = sampling or Sampling.of_record(settings["sampling"])
    images = [drawing.image for drawing in drawings]
    character = metrics.known_character(images)
    # The prompts name the same poses for every character.
    posed = posed_scenes(character or world.UNICORN_GIRL, scenes)
    name = subject(settings["identifier"], settings["class_name"])
    prompts = [world.scene_prompt(scene, name) for scene in posed]
    untrained, tuned = {SAME: (prompts, "base_same_prompt")}, {TUNED: (prompts, "finetuned")}
    if character is not None:
        words = world.careful_subject(character)
        untrained[CAREFUL] = [world.scene_prompt(scene, words) for scene in posed], "base_careful_prompt"
        named = f"{settings['identifier']}, {words}"
        tuned[BOTH] = [world.scene_prompt(scene, named) for scene in posed], "finetuned_careful_prompt"

    def drawn(rows: dict[str, tuple[list[str], str]], adapter: Adapter | None) -> dict[str, list[Picture]]:
        return {
            row: generate(base, asked, range(seeds), folder / place, sampling, adapter)
            for row, (asked, place) in rows.items()
        }

    made = drawn(untrained, None)
    made = drawn(tuned, load_adapter(base, run)) | made
    shown = [scene for scene in posed for _ in range(seeds)] if character is not None else []
    pictures = {row: [picture.image for picture in some] for row, some in made.items()}
    files = {row: [picture.path for picture in some] for row, some in made.items()}
    return DrawnTest(folder, images, [prompt for prompt in prompts for _ in range(seeds)], shown, pictures, files)


def bounds(base: Base, scenes: Sequence[world.Scene]) -> dict[str, list[PIL.Image.Image]]:
    """The bounds of all scores of `scenes`: true drawings through the base's VAE, and other characters."""
    size = max(base.size, SMALLEST)
    return {
        CEILING: metrics.true_renders(scenes, size, lambda x: base.decode(base.encode_images(x))),
        FLOOR: metrics.other_character_renders(scenes, size),
    }


def scored(test: DrawnTest, base: Base, reader: AttributeReader | None = None) -> dict[str, Any] | None:
    """The comparison with its `bounds`, as `metrics.table` returns it; it is also written to scores.json.

    None if the truth is not known. With a base of the comic world, each picture's scores are written beside it, for the
    gallery.
    """
    if not test.scenes:
        return None
    own = reader or picture_scores.own_reader(base)
    reader = own or AttributeReader.load()
    rows = test.pictures | bounds(base, test.scenes)
    records = {name: metrics.score_run(made, test.scenes, test.drawings, reader) for name, made in rows.items()}
    for row in test.files if own is not None else ():
        paths = test.files[row]
        told = [
            picture_scores.Told(path.name, scene, record, prompt)
            for path, scene, record, prompt in zip(paths, test.scenes, records[row], test.prompts, strict=True)
        ]
        picture_scores.tell(paths[0].parent, told, test.scenes[0].character, base.size, shared=test.folder)
    scores = metrics.table(records) | {"contact_sheet": SHEET}
    write_atomic(test.folder / SCORES, (json.dumps(scores, indent=2) + "\n").encode())
    return scores


def conclusion(scores: dict[str, Any] | None, steps: int) -> str:
    """The conclusion from the scores, in Markdown."""
    if scores is None:
        return "These drawings show nobody of the comic world, so nothing is measured: judge the new poses by eye."
    mean = {row["name"]: {key: row[key]["mean"] for key in scores["columns"]} for row in scores["rows"]}
    ours, both, plain, best = mean[TUNED], mean[BOTH], mean[CAREFUL], mean[CEILING]
    return (
        f"With six drawings and {steps} steps the tuned base draws **{ours['identity']:.0%}** of her readable "
        f"attributes right ({ours['identity_named']:.0%} of those with a name, {ours['identity_unnamed']:.0%} of those "
        f"without), against {plain['identity']:.0%} for the careful prompt and {best['identity']:.0%} for true ones "
        f"through the VAE; asked with her name and the careful words, {both['identity']:.0%}. Joint success in unseen "
        f"poses is **{ours['joint_success']:.0%}** against {plain['joint_success']:.0%} (with both "
        f"{both['joint_success']:.0%}, ceiling {best['joint_success']:.0%}); the copy rate is {ours['copied']:.0%}."
    )
