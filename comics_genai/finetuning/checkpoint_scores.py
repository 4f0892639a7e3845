"""Score validation pictures during a fine-tuning, to find its best checkpoint.

    metric = validation_metric(drawings.load("1_data/unicorn_girl"), "UnicornGirl", "girl")
    finetune(FinetuneSettings(validation_prompts=metric.prompts, validate_every=50), folder, validate=metric)

The last weights are seldom the best: over the steps, identity rises and then falls, while copying only rises. Pictures
of a character of the comic world are compared with the truth; those of any other character are scored by CLIP and DINO.
The prompts are never those of a test.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from comics_genai import world
from comics_genai.drawings import Drawing
from comics_genai.drawings.captions import class_prompt, subject
from comics_genai.errors import UserError
from comics_genai.evaluation import metrics
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.features import CLIP, DINO, Features

FIGURES = ("identity", "pose", "copied")


class ValidationMetric:
    """Mean scores of the pictures of `prompts`; called with (step, pictures), as `finetune` calls its `validate`.

    The best checkpoint has the highest "score": the mean over pictures of identity times pose, where a copy counts 0.
    character: None if the truth is not known. The prompts then ask for the same poses, but nothing is scored.
    """

    def __init__(
        self,
        character: world.Character | None,
        references: Sequence[PIL.Image.Image],
        identifier: str,
        class_name: str,
        prompts: int = 8,
        reader: Path | None = None,
    ):
        self.references, self.character = references, character
        self.scenes = metrics.other_pose_scenes(character or world.UNICORN_GIRL, prompts, seed=2, half="validation")
        self.prompts = tuple(world.scene_prompt(scene, subject(identifier, class_name)) for scene in self.scenes)
        if character is not None:
            self.reader = AttributeReader.load(reader)
            self.threshold = metrics.copy_threshold(character, references)

    def __call__(self, step: int, pictures: Sequence[PIL.Image.Image]) -> dict[str, float]:
        if self.character is None:
            return {}
        records = metrics.score_run(pictures, self.scenes, self.references, self.reader, threshold=self.threshold)
        figures = {name: float(np.mean([record[name] for record in records])) for name in FIGURES}
        return figures | {"score": float(np.mean([r["identity"] * r["pose"] * (not r["copied"]) for r in records]))}


class FeatureMetric(ValidationMetric):
    """The same for drawings of any character, scored by CLIP and DINO.

    "score" is the mean over pictures of DINO's similarity to the drawings times CLIP's similarity to the prompt, where
    a copy counts 0. CLIP sees the prompt with the class alone, because it does not know the character's name. own:
    prompts to use instead of those of the comic world.
    """

    def __init__(
        self,
        features: Features,
        references: Sequence[PIL.Image.Image],
        identifier: str,
        class_name: str,
        prompts: int = 8,
        own: Sequence[str] = (),
    ):
        super().__init__(None, references, identifier, class_name, prompts)
        self.features, self.prompts = features, tuple(own) or self.prompts
        self.asked = [class_prompt(prompt, identifier, class_name) for prompt in self.prompts]

    def __call__(self, step: int, pictures: Sequence[PIL.Image.Image]) -> dict[str, float]:
        rows = self.features.score(pictures, self.asked, self.references)
        figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        products = [max(row["dino"], 0) * max(row["clip_t"], 0) * (1 - row["copied"]) for row in rows]
        return figures | {"score": float(np.mean(products))}


def validation_metric(
    drawings: Sequence[Drawing],
    identifier: str,
    class_name: str,
    prompts: int = 8,
    clip: str = CLIP,
    dino: str = DINO,
    device: str | torch.device = "cpu",
    own: Sequence[str] = (),
) -> ValidationMetric:
    """The metric that scores validation pictures of the character in the drawings.

    clip, dino: names or folders of the networks for a character from outside the comic world. If they cannot be loaded,
    a warning says that nothing is scored and the last checkpoint is kept. own: the user's prompts, see `FeatureMetric`.
    """
    images = [drawing.image for drawing in drawings]
    character = metrics.known_character(images)
    if character is None:
        try:
            return FeatureMetric(Features.load(clip, dino, device), images, identifier, class_name, prompts, own)
        except UserError as error:
            warnings.warn(
                f"Validation pictures are drawn but not scored, and the last checkpoint is kept: {error}", stacklevel=2
            )
    return ValidationMetric(character, images, identifier, class_name, prompts)
