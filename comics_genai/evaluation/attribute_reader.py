"""Reads a picture of the comic world: every identity attribute, every pose factor and the joints, by one small network.

    reader = AttributeReader.load(folder)
    readings = reader.read(pictures)
    right = compare(readings, Readings.of(scenes))

First a residual network whose stages are joined top-down (feature pyramid, Lin et al. 2017) finds the joints: the
expected positions under their maps (integral regression, Sun et al. 2018). Then three readers look closely, at the
head, at the torso and at the whole body, and a head for each factor reads it from all of them and from where the joints
are. One more head says whether the picture is legible: whether it shows a figure that can be read at all.
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

from comics_genai import environment, world
from comics_genai.errors import UserError
from comics_genai.evaluation.readings import FACTORS, Readings, compare
from comics_genai.files import copy_into, load_tensors, save_tensors, write_atomic
from comics_genai.images import as_tensor

__all__ = [  # readings are part of what is asked of a reader
    "AttributeReader",
    "AttributeReaderConfig",
    "FACTORS",
    "Readings",
    "compare",
]

FOLDER = "attribute_reader"  # of the reader, in a base's folder
LAB_CENTER, LAB_SCALE = (60.0, 8.0, 8.0), 25.0  # the same scale for L, a and b keeps distances Euclidean in CIELAB


@dataclass(frozen=True)
class AttributeReaderConfig:
    """Size of the pictures, 64 or 128 px (others are resized).

    The locator: widths and residual blocks of its stages at 64, 32, 16 and 8 px, and the width of its pyramid. The
    readers of a crop: widths at 40, 20, 10 and 5 px, and the vector each gives; the hidden width of a factor's head.
    """

    size: int = 128
    widths: tuple[int, int, int, int] = (16, 32, 64, 96)
    blocks: tuple[int, int, int, int] = (0, 1, 1, 1)
    pyramid: int = 32
    crop_widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    vector: int = 128
    head: int = 48


# Crops: the joints that the middle lies between, with their shares, and the side as a fraction of the picture. A reader
# sees them in CROP_SIZE px, the torso at the picture's own size: there are the marking and the garment's pattern.
CROPS = {
    "head": ({"head": 1.0}, 0.44),
    "pelvis": ({"pelvis": 1.0}, 0.66),
    "torso": ({"neck": 0.4, "pelvis": 0.6}, 0.36),
}
CROP_SIZE = 40
LEAK = 0.1  # what is hard to see is read late, and until then its gradient is noise: it would kill every unit of a ReLU
LEGIBLE = 0.5  # probability of being legible from which on a picture counts
READABLE = 0.8  # accuracy on reconstructions from which on an attribute counts


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


class _Locator(nn.Module):
    """Where the joints are: (B, 3, size, size) in [-1, 1] to (B, 13, 2) in fractions of the picture."""

    def __init__(self, config: AttributeReaderConfig):
        super().__init__()
        stages, inputs = [], 3
        for width, blocks in zip(config.widths, config.blocks, strict=True):
            kernel, stride = (6, 2) if inputs == 3 and config.size == 128 else (3, 1 if inputs == 3 else 2)
            down = _normed(inputs, width, kernel, stride)
            stages.append(nn.Sequential(down, nn.ReLU(), *(_Block(width) for _ in range(blocks))))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(width, config.pyramid, 1) for width in config.widths[1:])
        self.smooth = nn.Conv2d(config.pyramid, config.pyramid, 3, padding=1)
        self.maps = nn.Conv2d(config.pyramid, len(world.JOINTS), 1)
        position = (torch.arange(32) + 0.5) / 32
        y, x = torch.meshgrid(position, position, indexing="ij")
        self.register_buffer("positions", torch.stack([x, y], -1).flatten(0, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        pyramid = self.laterals[2](features[3])
        for lateral, feature in ((self.laterals[1], features[2]), (self.laterals[0], features[1])):
            pyramid = F.interpolate(pyramid, scale_factor=2.0, mode="nearest") + lateral(feature)
        maps = self.maps(F.relu(self.smooth(pyramid))).flatten(2).float().softmax(-1)
        with torch.autocast(maps.device.type, enabled=False):
            return maps @ self.positions


class _Reader(nn.Sequential):
    """A crop (B, 3, CROP_SIZE, CROP_SIZE) in [-1, 1] to a vector; the last map is flattened, since places matter."""

    def __init__(self, config: AttributeReaderConfig):
        layers, inputs = [], 3
        for width in config.crop_widths:
            layers += [_normed(inputs, width, 3, 1 if inputs == 3 else 2), nn.ReLU()]
            layers += [] if inputs == 3 else [_Block(width)]
            inputs = width
        cells = (CROP_SIZE // 8) ** 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(inputs * cells, config.vector), nn.LeakyReLU(LEAK))


def crop(images: Tensor, center: Tensor, side: float) -> Tensor:
    """Squares of `images` (B, 3, H, W) around `center` (B, 2), in fractions as is `side`; the border is continued."""
    if len(images) == 0:
        return images.new_zeros(0, 3, CROP_SIZE, CROP_SIZE)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, :, 2] = 2 * center.float() - 1
    grid = F.affine_grid(theta, [len(images), 3, CROP_SIZE, CROP_SIZE], align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def closely(images: Tensor, joints: Tensor, name: str) -> Tensor:
    """The crop `name` of CROPS of images (B, 3, H, W), by their joints (B, 13, 2) in fractions of the picture."""
    shares, side = CROPS[name]
    center = sum(share * joints[:, world.JOINTS.index(joint)] for joint, share in shares.items())
    return crop(images, center, side).contiguous(memory_format=_layout(images))


class AttributeReader(nn.Module):
    """The network; about 4 M parameters. readable: the attributes it reads well enough to count."""

    readable: tuple[str, ...] = tuple(a.name for a in world.ATTRIBUTES)

    def __init__(self, config: AttributeReaderConfig | None = None):
        super().__init__()
        self.config = config = config or AttributeReaderConfig()
        self.locator = _Locator(config)
        self.readers = nn.ModuleDict({name: _Reader(config) for name in CROPS})
        seen = len(CROPS) * config.vector + 2 * len(world.JOINTS)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(seen, config.head), nn.LeakyReLU(LEAK), nn.Linear(config.head, outputs_of(name))
                )
                for name in FACTORS
            }
        )
        self.legibility = nn.Sequential(nn.Linear(seen, config.head), nn.LeakyReLU(LEAK), nn.Linear(config.head, 1))

    def forward(self, images: Tensor, joints: Tensor | None = None) -> dict[str, Tensor]:
        """RGB (N, 3, size, size) in [0, 1] to one tensor a factor, "joints" (N, 13, 2) and "legible" (N, 1).

        Classes and pose factors: logits; colours: (CIELAB - LAB_CENTER) / LAB_SCALE; scalars: (N, 1); legible: a logit.
        joints: where to look, for training; by default where the locator finds them.
        """
        seen, located = self.seen(images, joints)
        read = {name: head(seen).float() for name, head in self.heads.items()}
        return read | {"joints": located, "legible": self.legibility(seen).float()}

    def seen(self, images: Tensor, joints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What all heads read from: (N, width), and the joints (N, 13, 2); arguments as of `forward`."""
        x = images * 2 - 1
        located = self.locator(x)
        looked = located.detach() if joints is None else joints
        vectors = [reader(closely(x, looked, name)) for name, reader in self.readers.items()]
        pelvis = looked[:, world.JOINTS.index("pelvis")]
        places = 8 * (looked - pelvis[:, None]).flatten(1)
        return torch.cat([*vectors, places.to(vectors[0].dtype)], -1), located

    @torch.no_grad()
    def read(self, images: Sequence[Image.Image] | np.ndarray, batch_size: int = 32) -> Readings:
        """Reads pictures (PIL, or uint8 (N, H, W, 3)) in batches, in evaluation mode; alpha lies on white."""
        device, mode = next(self.parameters()).device, self.training
        self.eval()
        parts = [
            self(as_tensor(images[i : i + batch_size], self.config.size).to(device))
            for i in range(0, max(len(images), 1), batch_size)
        ]
        self.train(mode)
        outputs = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return as_readings(outputs)

    def save(self, folder: Path) -> None:
        """Writes model.safetensors (fp16) and config.json, which also names the factors the heads were trained for."""
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()}
        save_tensors(Path(folder) / "model.safetensors", tensors)
        config = {**asdict(self.config), "readable": list(self.readable), "factors": _described_factors()}
        write_atomic(Path(folder) / "config.json", (json.dumps(config, indent=2) + "\n").encode())

    @staticmethod
    def load(folder: Path | None = None) -> "AttributeReader":
        """Load a reader in float32, frozen and in evaluation mode, by default the one beside the miniature.

        Raises UserError for a folder that holds no reader, or one of other factors than this comic world's.
        """
        folder = folder or environment.data() / "mini_sdxl" / FOLDER
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            tensors, _ = load_tensors(folder / "model.safetensors")
            factors, readable = config.pop("factors"), tuple(config.pop("readable"))
            reader = AttributeReader(
                AttributeReaderConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
            )
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            raise UserError(
                f"No attribute reader can be loaded from {folder} ({error}): train one with "
                "`python -m comics_genai pretrain reader`."
            ) from error
        if factors != _described_factors():
            raise UserError(
                f"The attribute reader in {folder} reads other factors than this comic world has: train it again with "
                "`python -m comics_genai pretrain reader`."
            )
        targets = dict(reader.named_parameters()) | dict(reader.named_buffers())
        if missing := reader.state_dict().keys() - tensors.keys():
            raise UserError(f"{folder / 'model.safetensors'} lacks {min(missing)}: train the attribute reader again.")
        copy_into(targets, tensors, folder / "model.safetensors")
        reader.readable = readable
        return reader.eval().requires_grad_(False)


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


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
    legible = outputs["legible"].float().sigmoid()[:, 0].cpu().numpy() >= LEGIBLE
    return Readings(attributes, pose, outputs["joints"].float().cpu().numpy(), legible)


def _described_factors() -> dict[str, list[str] | str]:
    attributes = {a.name: list(a.classes) or a.kind for a in world.ATTRIBUTES}
    return (
        attributes
        | {name: list(values) for name, values in world.POSE_FACTORS.items()}
        | {"joints": list(world.JOINTS)}
    )
