"""The image tower the text encoders were trained against; kept to compare pictures with one another."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F


class ImageTower(nn.Module):
    """Pictures (B, 3, 128, 128) in [-1, 1] to unit embeddings (B, dimension).

    A plain strided convolutional network; the last 4x4 map is flattened, not averaged, since poses are places.
    """

    def __init__(self, dimension: int = 128, width: int = 48):
        super().__init__()
        self.config = {"dimension": dimension, "width": width}
        widths = [width, width, 2 * width, 3 * width, 4 * width]
        layers: list[nn.Module] = []
        previous = 3
        for i, channels in enumerate(widths):
            layers += [nn.Conv2d(previous, channels, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1),
                       nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                       nn.BatchNorm2d(channels), nn.ReLU()]  # fmt: skip
            previous = channels
        self.layers = nn.Sequential(*layers)
        self.projection = nn.Linear(16 * previous, dimension)

    def forward(self, pictures: Tensor) -> Tensor:
        return F.normalize(self.projection(self.layers(pictures).flatten(1)), dim=-1)

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors (fp16)."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=2) + "\n")
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> "ImageTower":
        """The saved tower in fp32, in evaluation mode."""
        tower = cls(**json.loads((folder / "config.json").read_text()))
        tensors = load_file(folder / "model.safetensors")
        tower.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
        return tower.eval().requires_grad_(False)

    @torch.no_grad()
    def embed(self, pictures: Tensor, batch_size: int = 64) -> Tensor:
        """Embeddings of many pictures, in batches."""
        return torch.cat([self(part) for part in pictures.split(batch_size)])
