"""The text encoders: two CLIP text models trained contrastively against one image tower (Radford et al. 2021)."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from comics_genai.image_tower import ImageTower
from comics_genai.loop import LoopSettings, TrainResult, load_weights, train

from .dataset import HELD_OUT_SEED, captions, draw_scenes
from .tokenizer import encode
from .vae import to_tensor


@dataclass(frozen=True)
class ClipSettings:
    """batch_pairs: pairs of look-alike scenes a batch, each other's hardest negatives."""

    widths: tuple[int, int] = (128, 192)
    layers: int = 3
    dimension: int = 128
    batch_pairs: int = 64
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=900, learning_rate=1e-3, schedule="cosine", warmup_steps=60, weight_decay=0.02, precision="bf16",
            log_every=25, checkpoint_every=300, validate_every=225,
        )  # fmt: skip
    )


def text_config(tokenizer: CLIPTokenizer, width: int, layers: int, dimension: int) -> CLIPTextConfig:
    """The configuration of one text encoder."""
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


class Clip(nn.Module):
    """Both text encoders, the image tower, and what is thrown away afterwards: a projection and the temperature."""

    def __init__(self, tokenizer: CLIPTokenizer, settings: ClipSettings):
        super().__init__()
        torch.manual_seed(settings.loop.seed)
        first, second = settings.widths
        self.text_encoder = CLIPTextModel(text_config(tokenizer, first, settings.layers, settings.dimension))
        self.text_encoder_2 = CLIPTextModelWithProjection(
            text_config(tokenizer, second, settings.layers, settings.dimension)
        )
        self.projection = nn.Linear(first, settings.dimension, bias=False)
        self.image_tower = ImageTower(settings.dimension)
        self.log_temperature = nn.Parameter(torch.tensor(2.65))

    def text_features(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings of token ids (B, 77) from either encoder."""
        first = self.projection(self.text_encoder(ids).pooler_output)
        return F.normalize(first, dim=-1), F.normalize(self.text_encoder_2(ids).text_embeds, dim=-1)


def contrastive_loss(image: Tensor, text: Tensor, temperature: Tensor) -> Tensor:
    """Symmetric InfoNCE over a batch of unit embeddings (B, D)."""
    logits = temperature * image.float() @ text.float().T
    labels = torch.arange(len(logits))
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels))


def train_clip(settings: ClipSettings, tokenizer: CLIPTokenizer, images: np.ndarray, folder: Path) -> TrainResult:
    """Trains in `folder`. Validation: retrieval among 256 held-out pictures, and choosing between look-alikes."""
    model = Clip(tokenizer, settings)
    texts = captions(range(len(images)))
    # Only full and partial captions teach; a class caption fits every picture.
    ids = encode(tokenizer, [max(three, key=len) for three in texts] + [three[0] for three in texts]).to(torch.int16)
    held_out = range(HELD_OUT_SEED, HELD_OUT_SEED + 256)
    held_out_pictures = to_tensor(draw_scenes(held_out, images.shape[1]))
    held_out_ids = encode(tokenizer, [max(three, key=len) for three in captions(held_out)])

    def step_loss(step: int, generator: torch.Generator):
        pairs = torch.randint(len(images) // 2, (settings.batch_pairs,), generator=generator)
        chosen = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
        variant = (torch.rand(len(chosen), generator=generator) < 0.2).long() * len(images)
        text = ids[chosen + variant].long()
        length = int((text != tokenizer.eos_token_id).sum(1).max()) + 1  # what follows the end changes nothing
        image = model.image_tower(to_tensor(images[chosen.numpy()]))
        first, second = model.text_features(text[:, :length])
        temperature = model.log_temperature.clamp(max=4.6).exp()
        loss = contrastive_loss(image, first, temperature) + contrastive_loss(image, second, temperature)
        return loss, {}

    def validate(step: int, model: Clip) -> dict[str, float]:
        image = model.image_tower.embed(held_out_pictures).float()
        figures = {}
        for name, text in zip(("first", "second"), model.text_features(held_out_ids), strict=True):
            similarity = image @ text.float().T
            right = torch.arange(256)
            figures[f"{name}_retrieval"] = (similarity.argmax(1) == right).float().mean().item()
            figures[f"{name}_look_alike"] = (similarity[right, right] > similarity[right, right ^ 1]).float().mean().item()
        return figures

    return train(model, step_loss, settings.loop, folder, validate=validate, describe="CLIP", all_settings=asdict(settings))


def load(folder: Path, tokenizer: CLIPTokenizer, settings: ClipSettings | None = None) -> Clip:
    """The trained towers of a stage folder, frozen, in evaluation mode."""
    model = Clip(tokenizer, settings or ClipSettings())
    load_weights(model, folder / "weights.safetensors")
    return model.eval().requires_grad_(False)
