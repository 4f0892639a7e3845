"""The image tower with which the text encoders were trained; it is kept to compare pictures."""

import json
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from comics_genai.errors import UserError
from comics_genai.files import load_tensors, save_tensors, write_atomic


class ImageTower(nn.Module):
    """Pictures (B, 3, size, size) in [-1, 1] to unit embeddings (B, dimension); size is 64 or 128.

    A plain strided convolutional network. The last 4x4 map is flattened, not averaged, because a pose is a matter of
    places.
    """

    def __init__(self, dimension: int = 128, size: int = 64, width: int = 32):
        super().__init__()
        self.config = {"dimension": dimension, "size": size, "width": width}
        widths = (
            (width, width, 2 * width, 3 * width, 4 * width) if size == 128 else (width, 2 * width, 3 * width, 4 * width)
        )
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in widths:
            first = nn.Conv2d(inputs, outputs, 5 if inputs == 3 else 3, stride=2, padding=2 if inputs == 3 else 1)
            second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            layers += [first, nn.BatchNorm2d(outputs), nn.ReLU(), second, nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.projection = nn.Linear(4 * 4 * inputs, dimension)

    def forward(self, pictures: Tensor) -> Tensor:
        return F.normalize(self.projection(self.layers(pictures).flatten(1)), dim=-1)

    @torch.no_grad()
    def embed(self, pictures: Tensor, batch_size: int = 64) -> Tensor:
        """Embeddings of many pictures, in batches."""
        return torch.cat([self(part) for part in pictures.split(batch_size)])

    def save(self, folder: Path) -> None:
        """Write model.safetensors (fp16) and config.json."""
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()}
        save_tensors(Path(folder) / "model.safetensors", tensors)
        write_atomic(Path(folder) / "config.json", (json.dumps(self.config, indent=2) + "\n").encode())

    @staticmethod
    def load(folder: Path) -> "ImageTower":
        """Load the tower in float32, frozen and in evaluation mode. Raises UserError if the folder holds none."""
        folder = Path(folder)
        try:
            tower = ImageTower(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
            tensors, _ = load_tensors(folder / "model.safetensors")
            tower.load_state_dict(tensors)
        except (OSError, ValueError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
            raise UserError(
                f"No image tower can be read from {folder} ({str(error).splitlines()[0]}): restore the folder with "
                "git, or train it anew with `python -m comics_genai pretrain`."
            ) from error
        return tower.eval().requires_grad_(False)
