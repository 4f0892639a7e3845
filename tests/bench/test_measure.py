"""The benchmark: both sides are told the same, take turns, and what is written says what was measured."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from comics_genai import environment
from comics_genai.bases.base import Base
from comics_genai.bench import machine, report, stand_ins
from comics_genai.bench.measure import ENGINE, SCRIPT, BenchSettings, _cases
from comics_genai.bench.turns import Measured, speedup, take_turns
from comics_genai.bench.workload import Workload, arguments, lay_out, random_base, settings
from comics_genai.errors import UserError

COMMITTED = environment.root() / "5_documents" / "benchmarks"

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


def test_both_sides_are_told_the_same(work, tmp_path):
    (tmp_path / "class_pictures").mkdir()
    told = arguments(replace(work, precision="bf16", checkpointing=True), tmp_path)
    given = dict(zip(told, told[1:], strict=False))
    ours = settings(replace(work, precision="bf16", checkpointing=True), ENGINE)
    assert given["--pretrained_model_name_or_path"] == ours.base
    assert int(given["--train_batch_size"]) == ours.batch_size and int(given["--rank"]) == ours.rank == ours.alpha
    assert int(given["--resolution"]) == ours.size and float(given["--learning_rate"]) == ours.learning_rate
    assert given["--mixed_precision"] == ours.precision and "--gradient_checkpointing" in told
    assert "--with_prior_preservation" in told and ours.prior == "images"


def test_the_stand_ins_mean_what_torchvision_means():
    image = PIL.Image.fromarray(np.arange(40 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 80, 3))
    assert stand_ins.Resize(20, stand_ins.InterpolationMode.LANCZOS)(image).size == (40, 20)
    np.testing.assert_array_equal(stand_ins.CenterCrop(20)(image), np.asarray(image)[10:30, 30:50])
    top, left, height, width = stand_ins.RandomCrop.get_params(image, (20, 30))
    np.testing.assert_array_equal(
        stand_ins.crop(image, top, left, height, width), np.asarray(image)[top : top + 20, left : left + 30]
    )
    np.testing.assert_array_equal(stand_ins.RandomHorizontalFlip(1.0)(image), np.asarray(image)[:, ::-1])
    pixels = stand_ins.Normalize([0.5], [0.5])(stand_ins.ToTensor()(image))
    np.testing.assert_allclose(pixels.permute(1, 2, 0), np.asarray(image) / 127.5 - 1, atol=1e-6)


def test_a_step_never_asks_for_more_than_the_machine_gives(work):
    ceilings, demand = machine.ceilings("fp32", "cpu", 1), machine.demand(work)
    assert ceilings.flops > 1e9 and ceilings.bandwidth > 1e8
    # Twice the pictures are twice the work, but for weights and embeddings of the timestep.
    double = machine.demand(replace(work, batch=4))
    assert 1.9 < double.flops / demand.flops <= 2 and 1.5 < double.bytes / demand.bytes < 2


def test_speedup_is_the_ratio_of_medians_with_an_interval_over_rounds():
    rng = np.random.default_rng(0)
    theirs, ours = (Measured(1.0, 1, rng.normal(mean, 0.01, (20, 5)).tolist()) for mean in (0.3, 0.1))
    ratio, low, high = speedup(theirs, ours)
    assert ratio == pytest.approx(3, rel=0.05) and low < ratio < high and high - low < 0.3
    assert speedup(ours, ours) == (1.0, 1.0, 1.0)


def test_the_measurements_of_a_gpu_are_rehearsed_with_tiny_models(tiny_sdxl, tiny_sd, tmp_path):
    script = tmp_path / "script.py"
    script.touch()
    given = BenchSettings(script, gpu=True, device="cpu", architectures=(str(tiny_sdxl), str(tiny_sd)), rank=4)
    cases = list(_cases(given, "cpu", tmp_path))
    assert len(cases) == 6 and len({title for title, _, _ in cases}) == 6
    assert [SCRIPT in sides for _, _, sides in cases] == [True, True, False] + [False] * 3
    assert [work.checkpointing for _, work, _ in cases] == [False, True, True] * 2
    whole = cases[2][1]
    assert whole.fused_backward and whole.optimizer == "adafactor" and whole.method == "dreambooth"
    whole = replace(whole, precision="fp32")
    lay_out(whole, tmp_path / "laid_out")
    measured = take_turns(whole, [ENGINE], tmp_path / "laid_out", None, rounds=1, steps=2, threads=1)
    assert np.shape(measured[ENGINE.name].rounds) == (1, 2)


def test_a_random_base_is_whole_and_says_nothing(tiny_sd, tmp_path):
    base = Base.load(random_base(str(tiny_sd), tmp_path / "base"))
    prediction = base.predict(torch.randn(1, 4, 8, 8), torch.tensor([500]), base.encode_prompts(["a girl"]), None)
    assert prediction.isfinite().all()


def test_the_table_and_the_readme_say_what_the_json_says(tmp_path):
    row = {"name": "engine", "steps_per_second": 12.345, "peak_bytes": 800 * 2**20, "startup_seconds": 9.6}
    row |= {"arithmetic_share": 0.251, "bandwidth_share": 0.5, "speedup": [1.71, 1.68, 1.752], "seconds": [[0.081]]}
    measurement = {"title": "DreamBooth+LoRA, bf16", "rows": [row], "work": {"precision": "bf16"}}
    measurement |= {"ceilings": {"flops": 4e11, "bandwidth": 2e10}, "demand": {"flops": 16e9, "bytes": 2e9}}
    assert report.table(measurement).splitlines()[-1] == "| engine | 12.35 | ×1.71 [1.68, 1.75] | 800 | 10 s | 25% |"
    assert "at least 40 ms" in report.limits(measurement) and "100 ms of traffic" in report.limits(measurement)
    assert report.table({"title": "LoRA", "failed": "out of memory"}) == "LoRA: not measured, out of memory"
    result = {"machine": "a CPU", "threads": 2, "versions": {"torch": "2"}, "date": "2026-01-01"}
    report.write(result | {"command": "bench", "measurements": [measurement]}, tmp_path, "cpu")
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert report.table(measurement) in readme and "No figure of a GPU has been measured yet" in readme


def test_the_committed_readme_is_that_of_the_committed_figures():
    assert (COMMITTED / "README.md").read_text("utf-8") == report.readme(COMMITTED)
    for path in COMMITTED.glob("*.json"):
        for measurement in json.loads(path.read_text("utf-8"))["measurements"]:
            rows = {row["name"]: Measured(0.0, 0, row["seconds"]) for row in measurement["rows"]}
            for row in measurement["rows"]:
                assert row["steps_per_second"] == pytest.approx(1 / rows[row["name"]].seconds)
                if "speedup" in row:
                    assert row["speedup"] == pytest.approx(speedup(rows[SCRIPT.name], rows[row["name"]]))


def test_the_sentence_of_the_front_page_says_what_was_measured():
    (measurement,) = (
        measurement
        for measurement in json.loads((COMMITTED / report.NAMES["cpu"]).read_text("utf-8"))["measurements"]
        if measurement["work"]["precision"] == "bf16"
    )
    speedups = {row["name"]: row["speedup"][0] for row in measurement["rows"] if "speedup" in row}
    page = (environment.root() / "README.md").read_text("utf-8")
    said = re.search(r"is ([\d.]+) times as fast as\ndiffusers' script, and ([\d.]+) times compiled", page)
    assert said and [f"{speedups[name]:.2f}" for name in ("engine", "engine, compiled")] == list(said.groups())


def test_mistakes_are_sentences():
    with pytest.raises(UserError, match="There is no script nowhere.py: fetch examples/dreambooth"):
        BenchSettings(script=Path("nowhere.py"))
    with pytest.raises(UserError, match="rounds is 0"):
        BenchSettings(rounds=0)


def test_the_command_is_told_with_what_differs_from_the_defaults():
    given = BenchSettings(gpu=True, compiled=(), rounds=3, script=Path(__file__))
    assert report.command(given) == "python -m comics_genai bench --script test_measure.py --gpu --rounds 3 --compiled"
