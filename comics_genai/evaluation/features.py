"""Measure with CLIP and DINO how similar pictures are to drawings, and how well they follow their prompts.

    features = Features.load()
    features.score(pictures, prompts, references)   # {"dino", "clip_i", "clip_t", "copied"} of each picture

The measures are those of DreamBooth's evaluation (Ruiz et al. 2023, sec. 4.1): cosine similarities of DINO ViT-S/16
(Caron et al. 2021) and of CLIP ViT-B/32 (Radford et al. 2021). Other networks would give other numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ViTImageProcessor,
    ViTModel,
)

from comics_genai.bases.base import quiet_loading
from comics_genai.errors import UserError

CLIP = "openai/clip-vit-base-patch32"
DINO = "facebook/dino-vits16"
# The branch with safetensors, for repositories that have them only in a branch.
REVISIONS = {DINO: "refs/pr/1"}
AT_ONCE = 32  # pictures


@dataclass(frozen=True)
class Features:
    """CLIP and DINO with their preprocessing of pictures and prompts."""

    clip: CLIPModel
    clip_processor: CLIPImageProcessor
    tokenizer: PreTrainedTokenizerBase
    dino: ViTModel
    dino_processor: ViTImageProcessor

    @classmethod
    def load(cls, clip: str = CLIP, dino: str = DINO, device: str | torch.device = "cpu") -> "Features":
        """Load both networks by name from the Hub, or from folders, in float32.

        Raises UserError if one can be neither found in the Hub's cache nor downloaded, or is not stored as safetensors.
        """
        with quiet_loading():
            return cls(
                _network(CLIPModel, clip, device),
                _part(CLIPImageProcessor, clip),
                _part(AutoTokenizer, clip),
                _network(ViTModel, dino, device, add_pooling_layer=False),
                _part(ViTImageProcessor, dino),
            )

    @torch.no_grad()
    def score(
        self,
        pictures: Sequence[PIL.Image.Image],
        prompts: Sequence[str],
        references: Sequence[PIL.Image.Image],
    ) -> list[dict[str, float]]:
        """The scores of each picture with its prompt, in [-1, 1].

        dino, clip_i: the mean cosine similarity to the references. clip_t: the similarity to the prompt. copied: 1 if
        the picture is nearer to a reference than any two references are to each other (by DINO), else 0. There must be
        at least two references.
        """
        dino, real_dino = self.look(pictures), self.look(references)
        clip, texts = self.read(pictures, prompts)
        real_clip, _ = self.read(references, prompts[:1])
        among = real_dino @ real_dino.T
        closest = (among - 2 * torch.eye(len(references), device=among.device)).max()
        likeness = dino @ real_dino.T
        figures = {
            "dino": likeness.mean(1),
            "clip_i": (clip @ real_clip.T).mean(1),
            "clip_t": (clip * texts).sum(1),
            "copied": (likeness.amax(1) > closest).float(),
        }
        rows = zip(*(figure.tolist() for figure in figures.values()), strict=True)
        return [dict(zip(figures, row, strict=True)) for row in rows]

    def look(self, pictures: Sequence[PIL.Image.Image]) -> Tensor:
        """DINO's unit vectors (B, width) of the class token, as in the paper."""
        found = []
        for i in range(0, len(pictures), AT_ONCE):
            pixels = self.dino_processor(list(pictures[i : i + AT_ONCE]), return_tensors="pt")["pixel_values"]
            found.append(self.dino(pixel_values=pixels.to(self.dino.device)).last_hidden_state[:, 0])
        return F.normalize(torch.cat(found), dim=1)

    def read(self, pictures: Sequence[PIL.Image.Image], prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """CLIP's unit vectors of pictures and of prompts, (B, width) each; prompts are cut after 77 tokens."""
        texts = self.tokenizer(list(prompts), padding=True, truncation=True, max_length=77, return_tensors="pt")
        texts, found = texts.to(self.clip.device), []
        for i in range(0, len(pictures), AT_ONCE):
            pixels = self.clip_processor(list(pictures[i : i + AT_ONCE]), return_tensors="pt")["pixel_values"]
            made = self.clip(
                input_ids=texts["input_ids"],
                attention_mask=texts["attention_mask"],
                pixel_values=pixels.to(self.clip.device),
            )
            found.append(made.image_embeds)
        return torch.cat(found), made.text_embeds


def _network(kind: type[PreTrainedModel], name: str, device: str | torch.device, **options: object) -> PreTrainedModel:
    network = _part(kind, name, use_safetensors=True, dtype=torch.float32, **options)
    return network.to(device).eval().requires_grad_(False)


def _part(kind: type, name: str, **options: object) -> object:
    options["revision"] = REVISIONS.get(name, "main")
    try:
        # The cache is tried first: without a network, the library would otherwise retry for half a minute.
        return kind.from_pretrained(name, local_files_only=True, **options)
    except (OSError, ValueError):
        pass
    try:
        _check_network(name)
        return kind.from_pretrained(name, **options)
    except Exception as error:  # the Hub, httpx and transformers each raise their own errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"{name} cannot be loaded ({reason}): check the network, or give a folder that holds it."
        ) from error


def _check_network(name: str) -> None:
    from pathlib import Path

    from huggingface_hub import HfApi

    if not Path(name).exists():
        HfApi().model_info(name, timeout=20)
