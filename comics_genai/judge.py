"""Which checkpoint is the best: scores of validation pictures, while a character of the comic world is being learnt.

    judge = judge_of(drawings.load("1_data/unicorn_girl"), "UnicornGirl", "girl")
    finetune(FinetuneSettings(validation_prompts=judge.prompts, validate_every=50), folder, validate=judge)

The last weights are seldom the best: identity over steps rises and falls, and copying only rises.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from comics_genai import score, where, world
from comics_genai.drawings import Drawing
from comics_genai.prompts import subject
from comics_genai.scorer import Scorer

FIGURES = ("identity", "pose", "copied")


class Judge:
    """Callable as `finetune` wants its `validate`: (step, pictures of `prompts`) to their mean scores.

    "score", by which the best is chosen: the mean over pictures of identity times pose, a copy counting 0. Without a
    character the truth is not known: the prompts ask for the same poses, and nothing is scored.
    """

    def __init__(
        self,
        character: world.Character | None,
        references: Sequence[PIL.Image.Image],
        identifier: str,
        class_name: str,
        prompts: int = 8,
        scorer: Path | None = None,
    ):
        self.references, self.character = references, character
        self.scenes = score.other_pose_scenes(character or world.UNICORN_GIRL, prompts, seed=2, half="validation")
        self.prompts = tuple(world.scene_prompt(scene, subject(identifier, class_name)) for scene in self.scenes)
        if character is not None:
            self.scorer = Scorer.load(scorer or where.data() / "mini_sdxl" / "scorer")
            self.threshold = score.copy_threshold(character, references)

    def __call__(self, step: int, pictures: Sequence[PIL.Image.Image]) -> dict[str, float]:
        if self.character is None:
            return {}
        records = score.score_run(pictures, self.scenes, self.references, self.scorer, threshold=self.threshold)
        figures = {name: float(np.mean([record[name] for record in records])) for name in FIGURES}
        return figures | {"score": float(np.mean([r["identity"] * r["pose"] * (not r["copied"]) for r in records]))}


def judge_of(drawings: Sequence[Drawing], identifier: str, class_name: str, prompts: int = 8) -> Judge:
    """A judge of whoever the drawings show."""
    images = [drawing.image for drawing in drawings]
    return Judge(score.known_character(images), images, identifier, class_name, prompts)
