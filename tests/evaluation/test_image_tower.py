"""The image tower keeps its weights."""

import pytest
import torch

from comics_genai.errors import UserError
from comics_genai.evaluation.image_tower import ImageTower


def test_the_image_tower_is_the_same_after_saving_and_its_absence_is_one_sentence(tmp_path):
    torch.manual_seed(0)
    tower = ImageTower(dimension=16, width=8).eval()
    tower.save(tmp_path / "tower")
    again = ImageTower.load(tmp_path / "tower")
    pictures = torch.rand(3, 3, 64, 64) * 2 - 1
    assert torch.allclose(tower.embed(pictures), again.embed(pictures, batch_size=2), atol=5e-3)
    assert again.embed(pictures).norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(UserError, match="No image tower can be read from"):
        ImageTower.load(tmp_path)
