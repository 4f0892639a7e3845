"""The text encoders: two CLIP text models trained contrastively against one image tower (Radford et al. 2021)."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from comics_genai import world
from comics_genai.image_tower import ImageTower
from comics_genai.loop import LoopSettings, TrainResult, train

from .dataset import HELD_OUT_SEED, captions, draw_scenes
from .stage import load_stage, recorded_settings
from .tokenizer import encode
from .vae import to_tensor

HELD_OUT = 256  # scenes, that is 128 pairs of look-alikes


@dataclass(frozen=True)
class ClipSettings:
    """How the text encoders and the image tower are built and trained."""

    size: int = 64  # of the pictures, 64 or 128
    widths: tuple[int, int] = (96, 128)  # of the two text encoders; multiples of 32, the width of a head
    layers: int = 3  # of each; the UNet reads the one before the last
    tower: int = 32  # width of the image tower's first layers
    dimension: int = 128  # of the embedding that pictures and texts share
    batch_pairs: int = 64  # pairs of look-alike scenes a batch, each other's hardest negatives: words must bind
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=500,
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
    """Both text encoders and the image tower, and what is thrown away afterwards: a projection and the temperature."""

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

    def text_features(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings of token ids (B, length), one of each encoder."""
        first = self.projection(self.text_encoder(ids).pooler_output)
        return F.normalize(first, dim=-1), F.normalize(self.text_encoder_2(ids).text_embeds, dim=-1)

    @torch.no_grad()
    def conditions(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """What SDXL's UNet is told of token ids (B, 77), as the pipeline computes it (Podell et al. 2023, sec. 2.1).

        (B, 77, both widths): the layers before the last, side by side; (B, dimension): the second's projection.
        """
        first = self.text_encoder(ids, output_hidden_states=True)
        second = self.text_encoder_2(ids, output_hidden_states=True)
        return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1), second.text_embeds


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
    """Symmetric InfoNCE of unit embeddings, both (B, D), pair i being row i of each; temperature multiplies."""
    logits = temperature * image.float() @ text.float().T
    labels = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels))


def fullest(variants: list[str]) -> str:
    """The caption that says most."""
    return max(variants, key=len)


def barest(variants: list[str]) -> str:
    """The caption that says least, yet more than the class, which fits every picture and so teaches nothing."""
    return min((v for v in variants if v != world.CLASS_PROMPT), key=len, default=fullest(variants))


def train_clip(
    settings: ClipSettings,
    tokenizer: CLIPTokenizer,
    images: np.ndarray,
    folder: Path,
    device: torch.device | str = "cpu",
    compiled: bool = False,
) -> TrainResult:
    """Train on uint8 pictures (N, size, size, 3), number i being scene i, in `folder`.

    Validation, for each text encoder: finding a caption's picture among 256 held-out ones, and among look-alikes.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)
        model = build(tokenizer, asdict(settings)).to(device)
    model.image_tower.to(memory_format=torch.channels_last)
    if compiled:
        model.image_tower.compile()
    texts = captions(range(len(images)))
    ids = encode(tokenizer, [fullest(v) for v in texts] + [barest(v) for v in texts]).to(torch.int16)
    held_out = range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT)
    held_out_pictures = to_tensor(draw_scenes(held_out, settings.size)).to(device)
    held_out_ids = encode(tokenizer, [fullest(v) for v in captions(held_out)]).to(device)

    def step_loss(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        pairs = torch.randperm(len(images) // 2, generator=generator)[: settings.batch_pairs]
        chosen = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
        bare = torch.rand(len(chosen), generator=generator) < 0.2
        text = ids[chosen + bare * len(images)].long()
        length = int((text != tokenizer.eos_token_id).sum(1).max()) + 1  # attention is causal: the rest changes nothing
        text = text[:, :length].to(device)
        image = model.image_tower(to_tensor(images[chosen.numpy()]).to(device, memory_format=torch.channels_last))
        temperature = model.log_temperature.clamp(max=4.6).exp()
        first, second = (contrastive_loss(image, features, temperature) for features in model.text_features(text))
        return first + second, {"temperature": temperature.detach()}

    def validate(step: int, model: Clip) -> dict[str, float]:
        image = model.image_tower.embed(held_out_pictures).float()
        row = torch.arange(HELD_OUT, device=image.device)
        measured = {}
        for name, text in zip(("first", "second"), model.text_features(held_out_ids), strict=True):
            similarity = text.float() @ image.T
            measured[f"{name}_retrieval"] = (similarity.argmax(1) == row).float().mean().item()
            right, look_alike = similarity[row, row], similarity[row, row ^ 1]
            measured[f"{name}_look_alike"] = (right > look_alike).float().mean().item()
        return measured

    return train(
        model, step_loss, settings.loop, folder, validate=validate, describe="CLIP", all_settings=asdict(settings)
    )


def load(folder: Path, tokenizer: CLIPTokenizer) -> Clip:
    """The trained towers of a stage folder, frozen, in evaluation mode."""
    settings = recorded_settings(folder)
    model = build(tokenizer, settings)
    load_stage(model, folder)
    return model
