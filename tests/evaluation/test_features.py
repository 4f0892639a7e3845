"""CLIP and DINO choose the checkpoint where nobody knows the truth; here with networks of random weights."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from comics_genai.errors import UserError
from comics_genai.evaluation.features import CLIP, DINO, Features
from comics_genai.finetuning.settings import FinetuneSettings


def pictures(seed: int, count: int = 3) -> list[PIL.Image.Image]:
    rng = np.random.default_rng(seed)
    return [PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(count)]


def test_the_networks_are_those_of_the_paper():
    assert (CLIP, DINO) == ("openai/clip-vit-base-patch32", "facebook/dino-vits16")
    assert (FinetuneSettings.validation_clip, FinetuneSettings.validation_dino) == (CLIP, DINO)


def test_similarities_are_cosines_and_a_drawing_itself_is_a_copy(networks):
    features, references = Features.load(**networks), pictures(0)
    rows = features.score([references[1], *pictures(1, 2)], ["a girl", "a girl", "smiling"], references)
    assert [row.keys() == {"dino", "clip_i", "clip_t", "copied"} for row in rows] == [True] * 3
    assert rows[0]["copied"] == 1
    real = features.look(references)
    assert torch.allclose(real.norm(dim=1), torch.ones(3))
    assert rows[0]["dino"] == pytest.approx(float((real @ real[1]).mean()), abs=1e-5)
    images, texts = features.read(pictures(1, 2), ["a girl", "smiling"])
    assert [row["clip_t"] for row in rows[1:]] == pytest.approx((images * texts).sum(1).tolist(), abs=1e-5)
    assert all(-1 <= row[name] <= 1 for row in rows for name in row)
    # The text is read to its end.
    assert not torch.allclose(
        features.read(references, ["a girl"])[1], features.read(references, ["a girl smiling"])[1]
    )


def test_weights_that_could_run_code_are_not_read(networks, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    for path in Path(networks["dino"]).iterdir():
        (folder / path.name.replace("model.safetensors", "pytorch_model.bin")).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="pickled cannot be loaded"):
        Features.load(networks["clip"], str(folder))


