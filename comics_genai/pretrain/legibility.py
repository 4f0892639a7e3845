"""The reader's legibility head, trained again on pictures that models drew; the rest of the reader stays frozen.

    python -m comics_genai pretrain legibility

The reader's own training shows it drawings, reconstructions and spoilt drawings. It is used on other pictures: those
that the base draws, in which a figure can be read, and those of a GAN that has seen six drawings, in which none can.
This stage draws both kinds and trains the head on them. It needs an assembled base.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from comics_genai import world
from comics_genai.baselines import gan
from comics_genai.baselines.data import prepare
from comics_genai.bases.base import Base
from comics_genai.evaluation.attribute_reader import FOLDER, AttributeReader
from comics_genai.files import write_atomic
from comics_genai.images import as_tensor
from comics_genai.sampling.generate import Sampling

from .attribute_reader import reconstruct, save_array
from .dataset import draw_scenes
from .evaluate import draw_prompts
from .illegible import illegible_pictures

FIRST = 6_000_000  # scenes that no other stage draws
HELD_OUT = 5  # every fifth picture of a kind measures the head and does not train it
LOST = 0.005  # share of a kind's training pictures that the head may wrongly call illegible
RECORD = "legibility.json"  # what was measured, beside the reader's weights


@dataclass(frozen=True)
class LegibilitySettings:
    """How many pictures of each kind there are, and how the head is trained."""

    drawings: int = 1000  # true drawings, their reconstructions, and as many spoilt ones
    latent_noise: float = 0.4  # of the reconstructions, as in the reader's own training
    drawn: int = 150  # pictures that the base draws with each of `samplings`
    samplings: tuple[Sampling, ...] = (
        Sampling(steps=25, guidance=4.0),
        Sampling(steps=10, guidance=2.5),
        Sampling(steps=3, guidance=4.0),
        Sampling(steps=15, guidance=8.0),
        Sampling(steps=15, guidance=1.0),
    )
    dcgan_steps: tuple[int, ...] = (400, 800, 1200, 1200)  # a GAN for each, of a random character's six drawings
    samples: int = 60  # pictures of each GAN
    jitter: float = 0.05  # noise on the features, in their standard deviations
    batch_size: int = 256
    steps: int = 3000
    learning_rate: float = 1e-3
    seed: int = 0


@torch.no_grad()
def features(reader: AttributeReader, pictures: np.ndarray, batch_size: int = 32) -> Tensor:
    """What the reader's heads see of pictures uint8 (N, H, W, 3): (N, width)."""
    size = reader.config.size
    parts = (as_tensor(pictures[i : i + batch_size], size) for i in range(0, len(pictures), batch_size))
    return torch.cat([reader.seen(part)[0] for part in parts])


def drawn_by(base: Base, settings: LegibilitySettings, folder: Path) -> dict[str, np.ndarray]:
    """Pictures that the base draws of unseen captions, by their sampling; kept as files in `folder`."""
    found = {}
    for i, sampling in enumerate(settings.samplings):
        name = f"base, {sampling.steps} steps, guidance {sampling.guidance:g}"
        path, first = folder / f"base_{i}.npy", FIRST + 100_000 * (i + 1)
        if not path.exists():
            captions = [world.caption(world.sample_scene(first + k)) for k in range(settings.drawn)]
            pictures, _ = draw_prompts(base, captions, sampling)
            save_array(path, np.stack([np.asarray(picture) for picture in pictures]))
        found[name] = np.load(path)
    return found


def drawn_by_gans(size: int, settings: LegibilitySettings, folder: Path) -> dict[str, np.ndarray]:
    """Samples of GANs, each trained in `folder` on the six drawings of another random character, in `size` px."""
    found, rng = {}, np.random.default_rng(settings.seed)
    for i, steps in enumerate(settings.dcgan_steps):
        drawings = [world.draw(scene, size) for scene in world.reference_scenes(world.sample_character(rng))]
        loop = replace(gan.VERSION_1.loop, steps=steps, validate_every=0, seed=i)
        chosen = replace(gan.VERSION_1, loop=loop)
        result = gan.train_gan(chosen, prepare(drawings, chosen.size), folder / f"gan_{i}")
        if not result.finished:  # a signal stopped it; the same command goes on from there
            raise KeyboardInterrupt(result.message)
        samples = gan.generate(gan.load(folder / f"gan_{i}"), gan.latents(settings.samples, chosen.latent, seed=1))
        found[f"GAN {i}, {steps} steps"] = np.stack([np.asarray(one.resize((size, size))) for one in samples])
    return found


def train_head(
    head: nn.Module, legible: Mapping[str, Tensor], illegible: Mapping[str, Tensor], settings: LegibilitySettings
) -> None:
    """Train `head` on features (N, width) by kind, as many legible as illegible ones; each kind counts the same.

    At the end its bias is raised until it loses at most LOST of the pictures of each legible kind.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(head.requires_grad_(True).parameters(), settings.learning_rate, weight_decay=1e-2)
    for _ in range(settings.steps):
        parts, targets = [], []
        for kinds, target in ((legible, 1.0), (illegible, 0.0)):
            count = -(-settings.batch_size // (2 * len(kinds)))
            for of_kind in kinds.values():
                parts.append(of_kind[torch.randint(len(of_kind), (count,), generator=generator)])
                targets += [target] * count
        batch = torch.cat(parts)
        jitter = settings.jitter * batch.std(0, keepdim=True)
        said = head(batch + jitter * torch.randn(batch.shape, generator=generator))[:, 0]
        loss = F.binary_cross_entropy_with_logits(said, torch.tensor(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.requires_grad_(False)
    lowest = min(head(of_kind)[:, 0].quantile(LOST).item() for of_kind in legible.values())
    head[-1].bias += max(0.0, -lowest)


def train_legibility(settings: LegibilitySettings, base_folder: Path, folder: Path) -> dict:
    """Train the head of the reader in `base_folder`, and write it there; what was measured, also written beside it.

    {"legible": {kind: share of held-out pictures that are called legible}, "illegible": the same of the others}.
    folder: of the pictures and GANs; what is there is not made again. Raises UserError if there is no base or reader.
    """
    base, reader = Base.load(str(base_folder)), AttributeReader.load(base_folder / FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    drawings = draw_scenes(range(FIRST, FIRST + settings.drawings), base.size)
    noise = torch.Generator().manual_seed(settings.seed)
    rebuilt = reconstruct(base.vae, drawings, settings.latent_noise, noise)
    spoilt = illegible_pictures(drawings, settings.drawings, base.vae, settings.seed)
    kinds = {
        "legible": {"drawings": drawings, "reconstructions": rebuilt, **drawn_by(base, settings, folder)},
        "illegible": {"spoilt drawings": spoilt, **drawn_by_gans(base.size, settings, folder)},
    }
    trained, held_out = {}, {}
    for side, by_kind in kinds.items():
        seen = {name: features(reader, of_kind) for name, of_kind in by_kind.items()}
        trained[side] = {name: x[_trains(x)] for name, x in seen.items()}
        held_out[side] = {name: x[~_trains(x)] for name, x in seen.items()}
    train_head(reader.legibility, trained["legible"], trained["illegible"], settings)
    measured = {
        side: {name: float((reader.legibility(x)[:, 0] >= 0).float().mean()) for name, x in by_kind.items()}
        for side, by_kind in held_out.items()
    }
    reader.save(base_folder / FOLDER)
    write_atomic(base_folder / FOLDER / RECORD, (json.dumps(measured, indent=2) + "\n").encode())
    return measured


def _trains(x: Tensor) -> Tensor:
    """Which pictures train the head: bool (N,)."""
    return torch.arange(len(x)) % HELD_OUT != HELD_OUT - 1
