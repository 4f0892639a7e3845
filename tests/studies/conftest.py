"""A study of seconds: tiny networks, two poses, one noise seed."""

from pathlib import Path

import pytest

SMOKE = """
base = "{base}"
characters = [0]
seeds = [0]
prompts = 2
noise = 2
others = 1
true_drawings = 3
other_poses = 4
drawing_side = 64

[finetune]
steps = 2
batch_size = 2
rank = 2
variants = 1
warmup_steps = 0
[sampling]
steps = 2
size = 32

[methods.true_drawings]
[methods.other_characters]
[methods.careful_prompt]
[methods.dreambooth]
[methods.lora]
finetune.alpha = 2.0
[methods.gan_v2]
baseline = {{ size = 32, latent = 4, generator_width = 4, discriminator_width = 4, batch_size = 2, steps = 1 }}

[keep]
folder = "kept"
prompts = 1
"""


@pytest.fixture
def smoke(tiny_sdxl, tmp_path) -> Path:
    """A study's file."""
    path = tmp_path / "smoke.toml"
    path.write_text(SMOKE.format(base=tiny_sdxl))
    return path
