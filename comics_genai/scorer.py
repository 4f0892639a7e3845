"""Reads a picture of the comic world: every identity attribute, every pose factor and the joints, by one small network.

    scorer = Scorer.load(folder)
    readings = scorer.read(pictures)
    right = compare(readings, Readings.of(scenes))

A residual network whose stages are joined top-down (feature pyramid, Lin et al. 2017). Each factor looks through its
own attention map at 32 x 32 features, fine enough for an iris, and at a vector of the whole picture, which knows
left from right. Joints are the expected positions under their maps (integral regression, Sun et al. 2018).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from comics_genai import world
from comics_genai.checkpoint import copy_into, load_tensors, save_tensors, write_atomic
from comics_genai.color_difference import ciede2000
from comics_genai.errors import UserError

SIZE = 128  # pixels; pictures of other sizes are resized
LAB_CENTER, LAB_SCALE = (60.0, 8.0, 8.0), 25.0  # the same scale for L, a and b keeps distances Euclidean in CIELAB
FACTORS = (*(a.name for a in world.ATTRIBUTES), *world.POSE_FACTORS)


@dataclass(frozen=True)
class Readings:
    """Factors of N pictures, read by a scorer or known: numpy arrays.

    attributes: name -> class index (N,), CIELAB (N, 3) or scalar (N,); pose: name -> index into
    world.POSE_FACTORS[name], (N,); joints: (N, 13, 2) in fractions of the picture.
    """

    attributes: dict[str, np.ndarray]
    pose: dict[str, np.ndarray]
    joints: np.ndarray

    def __len__(self) -> int:
        return len(self.joints)

    @staticmethod
    def of(scenes: Sequence[world.Scene]) -> "Readings":
        """The true factors of scenes."""
        attributes = {}
        for a in world.ATTRIBUTES:
            values = [world.attribute_value(scene.character, a.name) for scene in scenes]
            attributes[a.name] = np.array(values, np.int64 if a.kind == "class" else np.float32)
        pose = {
            name: np.array([values.index(getattr(scene.pose, name)) for scene in scenes], np.int64)
            for name, values in world.POSE_FACTORS.items()
        }
        joints = np.array([world.joints(scene) for scene in scenes], np.float32)
        return Readings(attributes, pose, joints.reshape(len(scenes), len(world.JOINTS), 2))


def compare(readings: Readings, truth: Readings) -> dict[str, np.ndarray]:
    """Whether each attribute and pose factor is right, bool (N,): equal class, CIEDE2000 or difference small enough."""
    right = {}
    for a in world.ATTRIBUTES:
        read, true = readings.attributes[a.name], truth.attributes[a.name]
        if a.kind == "class":
            right[a.name] = read == true
        elif a.kind == "color":
            right[a.name] = ciede2000(read, true) <= a.tolerance
        else:
            right[a.name] = np.abs(read - true) <= a.tolerance
    return right | {name: readings.pose[name] == truth.pose[name] for name in world.POSE_FACTORS}


@dataclass(frozen=True)
class ScorerConfig:
    """Widths and residual blocks of the stages at 64, 32, 16 and 8 px; widths of the pyramid, the picture, a head."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    blocks: tuple[int, int, int, int] = (0, 2, 2, 1)
    pyramid: int = 64
    whole: int = 192
    head: int = 32


def _normed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class _Block(nn.Module):
    """Residual block, the identity at the start (zero-initialised last gain, Goyal et al. 2017)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = _normed(width, width, 3), _normed(width, width, 3)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


def outputs_of(factor: str) -> int:
    """How many numbers the head of an attribute or pose factor gives: logits, three for a colour, one for a scalar."""
    if factor in world.POSE_FACTORS:
        return len(world.POSE_FACTORS[factor])
    attribute = next(a for a in world.ATTRIBUTES if a.name == factor)
    return {"class": len(attribute.classes), "color": 3, "scalar": 1}[attribute.kind]


class Scorer(nn.Module):
    """The network; about 2.2 M parameters."""

    def __init__(self, config: ScorerConfig | None = None):
        super().__init__()
        self.config = config = config or ScorerConfig()
        stages, inputs = [], 3
        for width, blocks in zip(config.widths, config.blocks, strict=True):
            down = _normed(inputs, width, 6 if inputs == 3 else 3, stride=2)
            stages.append(nn.Sequential(down, nn.ReLU(), *(_Block(width) for _ in range(blocks))))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(width, config.pyramid, 1) for width in config.widths[1:])
        self.smooth = nn.Conv2d(config.pyramid, config.pyramid, 3, padding=1)
        self.attention = nn.Conv2d(config.pyramid, len(FACTORS) + len(world.JOINTS), 1)
        cells = (SIZE // 16) ** 2
        self.whole = nn.Sequential(
            nn.Conv2d(config.widths[-1], 24, 1), nn.ReLU(), nn.Flatten(), nn.Linear(24 * cells, config.whole), nn.ReLU()
        )
        seen = config.pyramid + config.whole
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(seen, config.head), nn.ReLU(), nn.Linear(config.head, outputs_of(name)))
                for name in FACTORS
            }
        )
        position = (torch.arange(SIZE // 4) + 0.5) / (SIZE // 4)
        y, x = torch.meshgrid(position, position, indexing="ij")
        self.register_buffer("positions", torch.stack([x, y], -1).flatten(0, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """RGB (N, 3, 128, 128) in [0, 1] to one tensor a factor, and "joints" (N, 13, 2).

        Classes and pose factors: logits; colours: (CIELAB - LAB_CENTER) / LAB_SCALE; scalars: (N, 1).
        """
        x, features = images * 2 - 1, []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        pyramid = self.laterals[2](features[3])
        for lateral, feature in ((self.laterals[1], features[2]), (self.laterals[0], features[1])):
            pyramid = F.interpolate(pyramid, scale_factor=2.0, mode="nearest") + lateral(feature)
        pyramid = F.relu(self.smooth(pyramid))
        maps = self.attention(pyramid).flatten(2).float().softmax(-1)
        looks, joints = maps.split([len(FACTORS), len(world.JOINTS)], dim=1)
        seen = looks.to(pyramid.dtype) @ pyramid.flatten(2).mT
        whole = self.whole(x)
        outputs = {
            name: self.heads[name](torch.cat([seen[:, i], whole.to(seen.dtype)], -1)).float()
            for i, name in enumerate(FACTORS)
        }
        with torch.autocast(joints.device.type, enabled=False):
            return outputs | {"joints": joints @ self.positions}

    @torch.no_grad()
    def read(self, images: Sequence[Image.Image] | np.ndarray, batch_size: int = 32) -> Readings:
        """Reads pictures (PIL, or uint8 (N, H, W, 3)) in batches, in evaluation mode; alpha lies on white."""
        device, mode = next(self.parameters()).device, self.training
        self.eval()
        batches = [as_tensor(images[i : i + batch_size]) for i in range(0, max(len(images), 1), batch_size)]
        parts = [self(batch.to(device)) for batch in batches]
        self.train(mode)
        outputs = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return as_readings(outputs)

    def save(self, folder: Path) -> None:
        """Writes model.safetensors (fp16) and config.json, which also names the factors the heads were trained for."""
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()}
        save_tensors(Path(folder) / "model.safetensors", tensors)
        config = {**asdict(self.config), "factors": _described_factors()}
        write_atomic(Path(folder) / "config.json", (json.dumps(config, indent=2) + "\n").encode())

    @staticmethod
    def load(folder: Path) -> "Scorer":
        """The scorer of a folder, fp32, frozen, in evaluation mode; UserError where none fits this world."""
        folder = Path(folder)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            tensors, _ = load_tensors(folder / "model.safetensors")
            factors = config.pop("factors")
            scorer = Scorer(ScorerConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}))
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            raise UserError(
                f"No scorer can be read from {folder} ({error}): train one with python -m comics_genai.pretrain.scorer."
            ) from error
        if factors != _described_factors():
            raise UserError(
                f"The scorer in {folder} reads other factors than this comic world has: train it again with "
                "python -m comics_genai.pretrain.scorer."
            )
        targets = dict(scorer.named_parameters()) | dict(scorer.named_buffers())
        if missing := scorer.state_dict().keys() - tensors.keys():
            raise UserError(f"{folder / 'model.safetensors'} lacks {min(missing)}: train the scorer again.")
        copy_into(targets, tensors, folder / "model.safetensors")
        return scorer.eval().requires_grad_(False)


def as_tensor(images: Sequence[Image.Image] | np.ndarray) -> Tensor:
    """Pictures (PIL, or uint8 (N, H, W, 3)) as float (N, 3, 128, 128) in [0, 1]."""
    if len(images) == 0:
        return torch.zeros(0, 3, SIZE, SIZE)
    if not (isinstance(images, np.ndarray) and images.shape[1:] == (SIZE, SIZE, 3)):
        images = np.stack([_sized(image) for image in images])
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div(255)


def _sized(image: Image.Image | np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if picture.size != (SIZE, SIZE):
        picture = picture.resize((SIZE, SIZE), Image.Resampling.BOX if min(picture.size) > SIZE else Image.BICUBIC)
    return np.asarray(picture)


def as_readings(outputs: dict[str, Tensor]) -> Readings:
    """What the outputs of the network say."""
    attributes = {}
    for a in world.ATTRIBUTES:
        output = outputs[a.name].float().cpu()
        if a.kind == "class":
            attributes[a.name] = output.argmax(-1).numpy()
        elif a.kind == "color":
            attributes[a.name] = (output * LAB_SCALE + torch.tensor(LAB_CENTER)).numpy()
        else:
            attributes[a.name] = output[:, 0].numpy()
    pose = {name: outputs[name].argmax(-1).cpu().numpy() for name in world.POSE_FACTORS}
    return Readings(attributes, pose, outputs["joints"].float().cpu().numpy())


def _described_factors() -> dict[str, list[str] | str]:
    attributes = {a.name: list(a.classes) or a.kind for a in world.ATTRIBUTES}
    return (
        attributes
        | {name: list(values) for name, values in world.POSE_FACTORS.items()}
        | {"joints": list(world.JOINTS)}
    )
