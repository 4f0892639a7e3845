"""The text encoders: two CLIP text models trained contrastively against one image tower (Radford et al. 2021).

Heads that are thrown away afterwards train them to tell what a caption says, word by word (`reading`)."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from comics_genai import world
from comics_genai.evaluation.image_tower import ImageTower
from comics_genai.images import to_tensor
from comics_genai.training.loop import LoopSettings, TrainResult, train
from comics_genai.training.stage import load_stage, recorded_settings

from . import reading
from .dataset import HELD_OUT_SEED, captions, draw_scenes
from .tokenizer import encode

HELD_OUT = 256  # scenes, that is 128 pairs of look-alikes


@dataclass(frozen=True)
class ClipSettings:
    """How the text encoders and the image tower are built and trained."""

    size: int = 64  # of the pictures, 64 or 128
    widths: tuple[int, int] = (96, 128)  # of the two text encoders; multiples of 32, the width of a head
    layers: int = 3  # of each; the UNet reads the one before the last
    tower: int = 32  # width of the image tower's first layers
    dimension: int = 128  # of the embedding that pictures and texts share
    batch_pairs: int = 64  # pairs of look-alike scenes in a batch: hard negatives, so that every word is read
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=600,
            learning_rate=1e-3,
            schedule="cosine",
            warmup_steps=60,
            weight_decay=0.02,
            log_every=25,
            checkpoint_every=125,
            validate_every=125,
        )
    )


class Clip(nn.Module):
    """Both text encoders and the image tower.

    The first's projection, the temperature and the heads that read are needed for training alone, and not shipped."""

    def __init__(
        self, tokenizer: CLIPTokenizer, widths: tuple[int, int], layers: int, dimension: int, size: int, tower: int
    ):
        super().__init__()
        first, second = (_text_config(tokenizer, width, layers, dimension) for width in widths)
        self.text_encoder = CLIPTextModel(first)
        self.text_encoder_2 = CLIPTextModelWithProjection(second)
        self.projection = nn.Linear(widths[0], dimension, bias=False)
        self.image_tower = ImageTower(dimension, size, tower)
        self.log_temperature = nn.Parameter(torch.tensor(2.65))
        self.reader = reading.Reader(sum(widths), dimension)

    def encode(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The UNet's conditions (see `conditions`) of token ids (B, length), and the first encoder's embedding."""
        first = self.text_encoder(ids, output_hidden_states=True)
        second = self.text_encoder_2(ids, output_hidden_states=True)
        tokens = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        return tokens, second.text_embeds, self.projection(first.pooler_output)

    @torch.no_grad()
    def conditions(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The conditions of SDXL's UNet for token ids (B, 77), as in its pipeline (Podell et al. 2023, sec. 2.1).

        (B, 77, both widths): the outputs of the last layer but one, concatenated. (B, dimension): the second encoder's
        projection.
        """
        return self.encode(ids)[:2]


def build(tokenizer: CLIPTokenizer, settings: dict) -> Clip:
    """The untrained towers of ClipSettings as a dictionary."""
    return Clip(tokenizer, *(settings[name] for name in ("widths", "layers", "dimension", "size", "tower")))


def _text_config(tokenizer: CLIPTokenizer, width: int, layers: int, dimension: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=dimension,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def contrastive_loss(image: Tensor, text: Tensor, temperature: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit embeddings (B, D) whose rows are pairs; `temperature` multiplies similarities."""
    logits = temperature * image.float() @ text.float().T
    labels = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels))


def fullest(variants: list[str]) -> str:
    """The longest caption."""
    return max(variants, key=len)


def barest(variants: list[str]) -> str:
    """The shortest caption that says more than the class, which fits every picture and so teaches nothing."""
    return min((v for v in variants if v != world.CLASS_PROMPT), key=len, default=fullest(variants))


class ClipTraining:
    """The model with all it learns from; `step_loss` and `validate` are what `training.loop.train` asks for.

    images: uint8 (N, H, H, 3) of the scenes 0 to N - 1. H is a multiple of `settings.size`.
    """

    def __init__(
        self,
        model: Clip,
        settings: ClipSettings,
        tokenizer: CLIPTokenizer,
        images: np.ndarray,
        device: torch.device | str,
    ):
        self.model, self.settings, self.images, self.device = model, settings, images, device
        self.end = tokenizer.eos_token_id
        variants = captions(range(len(images)))
        texts = [fullest(v) for v in variants] + [barest(v) for v in variants]
        self.ids = encode(tokenizer, texts).to(torch.int16)
        self.said = reading.labels([world.sample_scene(seed) for seed in range(len(images))] * 2, texts)
        held_out = range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT)
        self.held_out_pictures = to_tensor(draw_scenes(held_out, settings.size)).to(device)
        held_out_texts = [fullest(v) for v in captions(held_out)]
        self.held_out_ids = encode(tokenizer, held_out_texts).to(device)
        self.held_out_said = reading.labels([world.sample_scene(seed) for seed in held_out], held_out_texts).to(device)

    def step_loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The contrastive loss of a batch for both text encoders, and that of reading what its captions say."""
        images, model = self.images, self.model
        pairs = torch.randperm(len(images) // 2, generator=generator)[: self.settings.batch_pairs]
        chosen = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
        bare = torch.rand(len(chosen), generator=generator) < 0.2
        number = chosen + bare * len(images)
        text, asked = self.ids[number].long(), self.said[number].long().to(self.device)
        length = int((text != self.end).sum(1).max()) + 1  # attention is causal: the rest changes nothing
        text = text[:, :length].to(self.device)
        seen = F.avg_pool2d(to_tensor(images[chosen.numpy()]), images.shape[1] // self.settings.size)
        image = model.image_tower(seen.to(self.device, memory_format=torch.channels_last))
        temperature = model.log_temperature.clamp(max=4.6).exp()
        tokens, second, first = model.encode(text)
        contrastive = sum(contrastive_loss(image, F.normalize(x, dim=-1), temperature) for x in (first, second))
        read = reading.reading_loss(model.reader.attend(tokens), asked)
        recalled = reading.reading_loss(model.reader.recall(second), asked)
        logs = {"temperature": temperature, "contrastive": contrastive, "read": read, "recalled": recalled}
        return contrastive + read + recalled, {name: figure.detach() for name, figure in logs.items()}

    def validate(self, step: int, model: Clip) -> dict[str, float]:
        """For each text encoder, how often a caption finds its picture among 256 held-out ones, and among look-alikes.

        Also the share of words that are read from the tokens, and recalled from the second encoder's embedding.
        """
        image = model.image_tower.embed(self.held_out_pictures).float()
        row = torch.arange(HELD_OUT, device=image.device)
        tokens, second, first = model.encode(self.held_out_ids)
        measured = {
            "read": reading.accuracy(model.reader.attend(tokens), self.held_out_said),
            "recalled": reading.accuracy(model.reader.recall(second), self.held_out_said),
        }
        for name, text in (("first", first), ("second", second)):
            similarity = F.normalize(text.float(), dim=-1) @ image.T
            measured[f"{name}_retrieval"] = (similarity.argmax(1) == row).float().mean().item()
            right, look_alike = similarity[row, row], similarity[row, row ^ 1]
            measured[f"{name}_look_alike"] = (right > look_alike).float().mean().item()
        return measured


def train_clip(
    settings: ClipSettings,
    tokenizer: CLIPTokenizer,
    images: np.ndarray,
    folder: Path,
    device: torch.device | str = "cpu",
    compiled: bool = False,
) -> TrainResult:
    """Train the text encoders and the image tower in `folder`; for `images` see `ClipTraining`."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)
        model = build(tokenizer, asdict(settings)).to(device)
    model.image_tower.to(memory_format=torch.channels_last)
    if compiled:
        model.image_tower.compile()
    training = ClipTraining(model, settings, tokenizer, images, device)
    return train(
        model,
        training.step_loss,
        settings.loop,
        folder,
        validate=training.validate,
        describe="CLIP",
        all_settings=asdict(settings),
    )


def load(folder: Path, tokenizer: CLIPTokenizer) -> Clip:
    """Load the trained towers of a stage folder, frozen and in evaluation mode."""
    settings = recorded_settings(folder)
    model = build(tokenizer, settings)
    load_stage(model, folder)
    return model
