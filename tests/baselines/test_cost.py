"""What a training step takes."""

from dataclasses import replace

from PIL import Image

from comics_genai.baselines import cost, ddpm
from comics_genai.training.loop import LoopSettings

TINY = ddpm.DdpmSettings(size=8, channels=(32,), layers=1, timesteps=20, sampling=ddpm.DdpmSampling(steps=5))


def test_a_step_costs_as_many_activations_as_there_are_pixels():
    images, loop = [Image.new("RGB", (32, 32), "white")], LoopSettings(steps=1)
    small, large = (cost.step_cost(replace(TINY, size=size, batch_size=2, loop=loop), images, 1) for size in (8, 32))
    assert small.parameters == large.parameters and small.seconds > 0
    assert 10 < large.activations / small.activations < 20
    # Of each weight itself and two moments; of gradients as many as are there at the peak.
    assert 12 * small.parameters <= small.peak - small.activations <= 16.1 * small.parameters
    lines = cost.table({"8 px": small, "32 px": large}).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| 8 px | ") and "× 1" in lines[2]
