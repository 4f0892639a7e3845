"""One character of a study: its drawings, the scenes to draw, and everything that scoring compares with.

Each of these is made once for all methods, seeds and settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from comics_genai import world
from comics_genai.evaluation import comparison, copy_paste, distribution, identification, metrics
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.studies.grid import Grid

OTHERS_SEED = 31


@dataclass(frozen=True)
class Subject:
    """One character of the study. size: pixels that its base draws."""

    number: int
    grid: Grid
    size: int
    reader: AttributeReader
    folder: Path  # for the drawings

    @property
    def character(self) -> world.Character:
        return world.HELD_OUT[self.number]

    @cached_property
    def drawings(self) -> Path:
        """A folder with the six drawings and their captions."""
        album = self.folder / f"character_{self.number}_{self.grid.drawing_side}"
        if not (album / "train" / "metadata.jsonl").exists():
            world.write_album(self.character, world.TOKEN, album, self.grid.drawing_side)
        return album

    @cached_property
    def scenes(self) -> list[world.Scene]:
        """The scenes of the prompts, from the grid's half: no drawing shows these legs and arms together."""
        return comparison.posed_scenes(self.character, self.grid.prompts, self.grid.half)

    @cached_property
    def references(self) -> list[PIL.Image.Image]:
        return [world.draw(scene, self._side) for scene in world.reference_scenes(self.character)]

    @cached_property
    def threshold(self) -> float:
        return metrics.copy_threshold(self.character, self.references, self.grid.other_poses)

    @cached_property
    def truths(self) -> list[PIL.Image.Image]:
        """The true drawing of each of `scenes`."""
        return metrics.true_renders(self.scenes, self._side)

    @cached_property
    def true_features(self) -> np.ndarray:
        """The reader's features of true drawings of the character in other poses: (grid.true_drawings, width)."""
        scenes = metrics.other_pose_scenes(self.character, self.grid.true_drawings, seed=3)
        return distribution.reader_features(metrics.true_renders(scenes, self._side), self.reader)

    @cached_property
    def others(self) -> list[str]:
        """Prompts for other girls, which the base should still be able to draw."""
        rng = np.random.default_rng(OTHERS_SEED)
        prompts = []
        for scene in self.scenes[: self.grid.others]:
            other = world.sample_character(rng)
            prompts.append(world.scene_prompt(replace(scene, character=other), world.careful_subject(other)))
        return prompts

    @property
    def _side(self) -> int:
        return max(self.size, comparison.SMALLEST)

    def prompts(self, subject: str) -> list[str]:
        """The prompt of each of `scenes`, for a subject in the caller's words."""
        return [world.scene_prompt(scene, subject) for scene in self.scenes]

    def records(self, pictures: Sequence[PIL.Image.Image], noise: int, asked: bool) -> list[metrics.Record]:
        """A record for each picture, prompt by prompt with `noise` seeds each.

        asked: whether the method was given the pose. If not, its poses are null, and each picture is scored against the
        scene of some prompt, so that its joint success is that of chance.
        """
        scenes = [scene for scene in self.scenes for _ in range(noise)]
        truths = [truth for truth in self.truths for _ in range(noise)]
        labels = [{"prompt": i // noise, "noise": i % noise} for i in range(len(scenes))]
        records = metrics.score_run(
            pictures, scenes, self.references, self.reader, threshold=self.threshold, labels=labels
        )
        pasted = copy_paste.copy_paste(pictures, scenes, self.references)
        ranked = identification.rank_one(self.reader.read(pictures), self.character, tuple(self.reader.readable))
        palettes = distribution.palette_distance(pictures, truths)
        for i, record in enumerate(records):
            record |= {"copy_pasted": bool(pasted[i]), "rank_one": bool(ranked[i])}
            record |= {"palette_distance": float(palettes[i])}
            if not asked:
                record |= dict.fromkeys(("pose", "pose_right", "joint_error"))
                record["right"] = {n: v for n, v in record["right"].items() if n not in world.POSE_FACTORS}
        return records

    def set_scores(self, pictures: Sequence[PIL.Image.Image], noise: int) -> dict[str, float | None]:
        """Scores of all pictures together: diversity, and the kernel distance to true drawings if it is measured."""
        prompts = [i // noise for i in range(len(pictures))]
        scores = {"diversity": distribution.diversity(pictures, prompts) if noise > 1 else None}
        if self.grid.true_drawings and len(pictures) > 1:
            features = distribution.reader_features(pictures, self.reader)
            scores["kernel_distance"] = distribution.kernel_distance(features, self.true_features)
        return scores

    def likeness(self, pictures: Sequence[PIL.Image.Image]) -> float:
        """The mean share of the character's readable attributes in any pictures."""
        scenes = [world.Scene(self.character)] * len(pictures)
        records = metrics.score_run(pictures, scenes, self.references, self.reader, threshold=0.0)
        return float(np.mean([record["identity"] for record in records]))


def means(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean of each measure that all records have."""
    skipped = ("prompt", "noise", "nearest_reference")
    return {
        name: float(np.mean([record[name] for record in records]))
        for name, value in records[0].items()
        if name not in skipped and isinstance(value, bool | int | float)
    }
