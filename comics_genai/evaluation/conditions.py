"""Draw a character under several conditions, in the same poses from the same seeds, and score the pictures.

    poses = Poses(base, drawings, folder)
    tuned = Condition("UnicornGirl, a girl", runs=("runs/dreambooth_lora",))
    scales = poses.vary("adapter_scale", tuned, (0, 0.5, 1))
    scales.grid(), scales.lines("adapter scale")

Every picture is kept in the folder with its record. For a character of the comic world every condition is scored as in
`comparison`. For any other character the pictures are only drawn, to be looked at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from matplotlib.figure import Figure

from comics_genai import hardware, world
from comics_genai.bases.adapters import load_adapters, run_settings
from comics_genai.bases.base import Base
from comics_genai.drawings import Drawing
from comics_genai.drawings.captions import subject
from comics_genai.evaluation import comparison, metrics
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.files import write_atomic
from comics_genai.plotting import figures
from comics_genai.sampling.generate import Sampling, generate
from comics_genai.world.captions import identity_words

SHOWN = 4  # pictures of a condition in a grid


@dataclass(frozen=True)
class Condition:
    """How pictures are drawn: the subject, the fine-tunings, the sampling and the start image."""

    subject: str  # as in a prompt, "UnicornGirl, a girl"
    sampling: Sampling = Sampling()
    runs: tuple[str | Path, ...] = ()  # fine-tunings, as `load_adapters` takes them; () = only the base
    weights: tuple[float, ...] = ()  # factor of the adapter scale for each run; () = 1 each
    best: bool = True  # True: the checkpoint that validation chose; False: the last
    start_image: Drawing | None = None


@dataclass(frozen=True)
class Comparison:
    """The pictures of several conditions by label, pose by pose, each pose with all seeds; and their scores.

    The scores are as `metrics.table` returns them, or None if the truth is not known.
    """

    poses: Sequence[str]  # in words, one a picture
    pictures: dict[str, list[PIL.Image.Image]]
    scores: dict[str, Any] | None

    def interval(self, label: str, score_: str) -> str:
        """A score of a condition in words: "46 % [38, 55]"."""
        rows = self.scores["rows"] if self.scores else []
        found = [row[score_] for row in rows if row["name"] == label and row[score_]]
        if not found:
            return "unknown"
        mean, low, high = (100 * found[0][end] for end in figures.ENDS)
        return f"{mean:.0f} % [{low:.0f}, {high:.0f}]"

    def mean(self, label: str, score_: str) -> float:
        """A score of a condition as a fraction; NaN if it is not known."""
        rows = self.scores["rows"] if self.scores else []
        found = [row[score_]["mean"] for row in rows if row["name"] == label and row[score_]]
        return found[0] if found else float("nan")

    def best(self, score_: str = "joint") -> str:
        """The label with the highest score; "joint" is identity times pose.

        It is the first one of equal labels, and the first of all if nothing is known.
        """
        labels = list(self.pictures)
        if self.scores is None:
            return labels[0]

        def value(label: str) -> float:
            joint = self.mean(label, "identity") * self.mean(label, "pose")
            return joint if score_ == "joint" else self.mean(label, score_)

        return max(labels, key=value)

    def grid(self, side: int = 96) -> PIL.Image.Image:
        """A row of pictures for each condition, of different poses if there are enough."""
        every = max(1, len(self.poses) // SHOWN)
        shown = list(range(0, len(self.poses), every))[:SHOWN]
        rows = {label: [pictures[i] for i in shown] for label, pictures in self.pictures.items()}
        return figures.labelled_grid(rows, [self.poses[i] for i in shown], side)

    def lines(self, xlabel: str, title: str = "") -> Figure | None:
        """A plot of the scores over the labels, which must be numbers; None if nothing is known."""
        return figures.score_lines(self.scores, xlabel, title) if self.scores else None

    def bars(self, title: str = "") -> Figure | None:
        """A bar chart of the scores of each condition; None if nothing is known."""
        return figures.score_bars(self.scores, title) if self.scores else None


class Poses:
    """The poses that every condition draws, of the test half: no drawing shows them, no setting was chosen on them.

    folder: gets the pictures with their records, and NAME.json with the scores of each comparison.
    """

    def __init__(
        self,
        base: Base,
        drawings: Sequence[Drawing],
        folder: Path,
        scenes: int = 4,
        seeds: int = 2,
        reader: AttributeReader | None = None,
    ):
        self.base, self.folder, self.seeds = base, Path(folder), range(seeds)
        self.references = [drawing.image for drawing in drawings]
        self.character = metrics.known_character(self.references)
        self.scenes = comparison.posed_scenes(self.character or world.UNICORN_GIRL, scenes)
        self._reader = reader
        self._loaded: tuple[tuple[str | Path, ...], bool] | None = None

    @classmethod
    def of_run(
        cls,
        run: str | Path,
        drawings: Sequence[Drawing],
        folder: Path,
        device: str | torch.device = "cpu",
        steps: int = 0,
        scenes: int = 4,
        seeds: int = 2,
    ) -> tuple["Poses", Condition]:
        """Poses on the base that a finished run was trained on, and the condition that draws with it.

        The condition has the run's own sampling. steps: of the sampler, instead of the run's own number, if any.
        """
        settings, device = run_settings(run), torch.device(device)
        precision = hardware.precision(device) if device.type == "cuda" else "fp32"
        name = subject(settings["identifier"], settings["class_name"])
        base = Base.load(settings["base"], device, precision)
        sampling = Sampling.of_record(settings["sampling"])
        sampling = replace(sampling, steps=steps or sampling.steps)
        return cls(base, drawings, folder, scenes, seeds), Condition(name, sampling, runs=(run,))

    def draw(self, condition: Condition) -> list[PIL.Image.Image]:
        """Draw one condition, pose by pose, each pose with all seeds."""
        prompts = [world.scene_prompt(scene, condition.subject) for scene in self.scenes]
        return self.asked(condition, prompts, self.seeds)

    def asked(self, condition: Condition, prompts: Sequence[str], seeds: Sequence[int]) -> list[PIL.Image.Image]:
        """Draw the user's own prompts, prompt by prompt, each prompt with all seeds."""
        if self._loaded != (condition.runs, condition.best):
            load_adapters(self.base, condition.runs, condition.best)
            self._loaded = (condition.runs, condition.best)
        weights = condition.weights or (1.0,) * len(condition.runs)
        adapters = [replace(a, weight=weight) for a, weight in zip(self.base.adapters, weights, strict=True)]
        made = generate(self.base, prompts, seeds, self.folder, condition.sampling, adapters, condition.start_image)
        return [picture.image for picture in made]

    def compare(self, name: str, conditions: Mapping[str, Condition], bounds: bool = False) -> Comparison:
        """Draw every condition and score it; the scores are also written to NAME.json.

        With `bounds`, the bounds of `comparison` are added if the truth is known.
        """
        pictures = {label: self.draw(condition) for label, condition in conditions.items()}
        if bounds and self.character is not None:
            pictures |= comparison.bounds(self.base, self._shown)
        poses = [f"{scene.pose.legs}, {scene.pose.expression}" for scene in self._shown]
        return Comparison(poses, pictures, self._scored(name, pictures))

    def vary(self, setting: str, condition: Condition, values: Sequence[Any], name: str = "") -> Comparison:
        """`compare` one condition with several values of a sampling setting. The values are the labels."""
        sampled = {str(value): replace(condition.sampling, **{setting: value}) for value in values}
        conditions = {label: replace(condition, sampling=sampling) for label, sampling in sampled.items()}
        return self.compare(name or setting, conditions)

    def _scored(self, name: str, pictures: Mapping[str, list[PIL.Image.Image]]) -> dict[str, Any] | None:
        if self.character is None:
            return None
        scores = metrics.table({label: self._records(made) for label, made in pictures.items()})
        write_atomic(self.folder / f"{name}.json", (json.dumps(scores, indent=2) + "\n").encode())
        return scores

    def words(self) -> list[str]:
        """Clauses with everything about the character that words can say; [] for one from outside the comic world."""
        return list(identity_words(self.character)) if self.character else []

    def unsaid(self) -> list[str]:
        """The attributes of identity that no word names; [] for a character from outside the comic world."""
        if self.character is None:
            return []
        said = {factor for words in identity_words(self.character).values() for factor in words}
        return [a.name.replace("_", " ") for a in world.ATTRIBUTES if a.name not in said]

    def attributes(self, comparison: Comparison) -> Comparison:
        """The comparison with a score for each readable attribute of identity.

        Attributes that a careful prompt names come first, then those without a word.
        """
        if self.character is None:
            return comparison
        unsaid = self.unsaid()
        readable = {a.name: a.name.replace("_", " ") for a in world.ATTRIBUTES if a.name in self.reader.readable}
        columns = {name: words for name, words in readable.items() if words not in unsaid}
        columns |= {name: f"{words} (no word)" for name, words in readable.items() if words in unsaid}
        records = {label: self._records(made) for label, made in comparison.pictures.items()}
        return replace(comparison, scores=metrics.table(records, columns))

    @property
    def reader(self) -> AttributeReader:
        if self._reader is None:
            self._reader = AttributeReader.load()
        return self._reader

    @property
    def _shown(self) -> list[world.Scene]:
        """The scene that each picture of a condition should show."""
        return [scene for scene in self.scenes for _ in self.seeds]

    def _records(self, pictures: Sequence[PIL.Image.Image]) -> list[metrics.Record]:
        return metrics.score_run(pictures, self._shown, self.references, self.reader)


def best_settings(comparisons: Mapping[str, Comparison]) -> str:
    """The best settings by several comparisons, and how sure that is, in Markdown."""
    if any(c.scores is None for c in comparisons.values()):
        return "These drawings show nobody of the comic world, so nothing is measured: judge by eye."
    found = []
    for name, made in comparisons.items():
        label = made.best()
        identity, pose = made.mean(label, "identity"), made.mean(label, "pose")
        found.append(f"the best {name} is **{label}** ({identity:.0%} of her attributes right, {pose:.0%} of the pose)")
    count = min(len(c.poses) for c in comparisons.values())
    return (
        f"By identity × pose {'; '.join(found)}. Each figure is a mean over {count} pictures, and each best was chosen "
        "on the pictures that it is reported of: differences smaller than the intervals above are noise."
    )


def best_schedule(families: Mapping[str, Comparison]) -> str:
    """The best scheduler and number of steps, and the best scheduler for the fewest steps, in Markdown.

    families: for each scheduler a comparison whose labels are numbers of steps.
    """
    if any(made.scores is None for made in families.values()):
        return "No scheduler is measured on these drawings: judge the rows by eye."
    joint = {
        (name, int(label)): made.mean(label, "identity") * made.mean(label, "pose")
        for name, made in families.items()
        for label in made.pictures
    }
    best, fewest = max(joint, key=joint.__getitem__), min(steps for _, steps in joint)
    quick = max((key for key in joint if key[1] == fewest), key=joint.__getitem__)
    said = f"The best schedule is **{best[0]} with {best[1]} steps** (identity × pose {joint[best]:.0%})"
    if quick == best:
        return f"{said}, and no other needs fewer steps."
    return f"{said}; in {fewest} steps the best is {quick[0]} ({joint[quick]:.0%})."
