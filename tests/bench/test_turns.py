"""Two sides take turns on the same cores."""

from dataclasses import replace

import numpy as np
import pytest

from comics_genai.bench.measure import ENGINE, SCRIPT
from comics_genai.bench.turns import Measured, speedup, take_turns
from comics_genai.bench.workload import Workload, lay_out
from comics_genai.errors import UserError

# Stands where diffusers' script would: asks for the same modules and arguments, and steps an optimizer.
LIKE_THE_SCRIPT = """
import argparse
from pathlib import Path
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms.functional import crop
from diffusers import AutoencoderKL

parser = argparse.ArgumentParser()
for name in ("pretrained_model_name_or_path", "instance_data_dir", "class_data_dir"):
    parser.add_argument("--" + name)
parser.add_argument("--resolution", type=int)
args, rest = parser.parse_known_args()
assert "--with_prior_preservation" in rest and any(Path(args.class_data_dir).iterdir())
vae = AutoencoderKL.from_pretrained(args.pretrained_model_name_or_path, subfolder="vae")
to_pixels = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])
resized = transforms.Compose([transforms.Resize(args.resolution), transforms.CenterCrop(args.resolution), to_pixels])
pictures = torch.stack([resized(Image.open(path)) for path in Path(args.instance_data_dir).iterdir()])
latents = vae.encode(pictures).latent_dist.sample()
assert latents.shape == (3, 6, args.resolution // 4, args.resolution // 4)
weight = torch.nn.Parameter(torch.zeros(()))
optimizer = torch.optim.SGD([weight], lr=0.1)
print("a line that is no measurement")
while True:
    (weight - 1).square().backward()
    optimizer.step()
"""


@pytest.fixture
def work(tiny_sdxl, character_folder) -> Workload:
    return Workload(str(tiny_sdxl), 32, str(character_folder), batch=2, rank=4, precision="fp32")


def test_both_sides_take_turns_and_are_timed(work, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(LIKE_THE_SCRIPT)
    lay_out(work, tmp_path)
    measured = take_turns(work, [SCRIPT, ENGINE], tmp_path, script, rounds=3, steps=2, threads=1)
    for side in measured.values():
        assert np.shape(side.rounds) == (3, 2) and min(map(min, side.rounds)) > 0
        assert 100 * 2**20 < side.peak_bytes < 2**31 and side.startup > 0
    # A step of one number is faster than one of a UNet.
    ratio, low, high = speedup(measured[SCRIPT.name], measured[ENGINE.name])
    assert low <= ratio <= high < 1


def test_a_side_that_fails_is_told_with_its_last_words(work, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('no such base')")
    lay_out(replace(work, method="lora"), tmp_path)
    with pytest.raises(UserError, match="diffusers' script ended before it was measured: no such base"):
        take_turns(replace(work, method="lora"), [SCRIPT], tmp_path, script, rounds=1, steps=1, threads=1)


def test_speedup_is_the_ratio_of_medians_with_an_interval_over_rounds():
    rng = np.random.default_rng(0)
    theirs, ours = (Measured(1.0, 1, rng.normal(mean, 0.01, (20, 5)).tolist()) for mean in (0.3, 0.1))
    ratio, low, high = speedup(theirs, ours)
    assert ratio == pytest.approx(3, rel=0.05) and low < ratio < high and high - low < 0.3
    assert speedup(ours, ours) == (1.0, 1.0, 1.0)
