"""Two processes with one batch each do what one process does with two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from comics_genai.files import load_tensors
from comics_genai.training import distributed

ROOT = Path(__file__).parents[2]


def finetuned(drawings: Path, base: Path, run: Path, launcher: list[str], *options: str) -> dict[str, torch.Tensor]:
    """The weights that the command line leaves in `run`."""
    command = [
        *launcher, "comics_genai", "finetune", "--drawings", str(drawings), "--base", str(base),
        "--run", str(run), "--steps", "4", "--batch-size", "2", "--rank", "4", "--variants", "2", "--warmup-steps", "0",
        "--learning-rate", "1e-2", "--device", "cpu", "--sampling.steps", "2", *options,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("finished after 4 steps") == 1, done.stdout  # one process speaks
    return load_tensors(run / "weights.safetensors")[0]


def test_two_processes_are_one_with_twice_the_batches(character_folder, tiny_sdxl, tmp_path):
    # Without a GPU its processes meet by gloo.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launch += ["-m", "--"]
    validated = ["--validate-every", "2", "--validation-prompts", "a girl"]
    both = finetuned(character_folder, tiny_sdxl, tmp_path / "both", launch, *validated)
    one = finetuned(
        character_folder, tiny_sdxl, tmp_path / "one", [sys.executable, "-m"], "--accumulate", "2", *validated
    )
    assert both.keys() == one.keys()
    for name in both:
        torch.testing.assert_close(both[name], one[name], atol=1e-6, rtol=1e-4)
    moved = max(tensor.abs().max() for name, tensor in both.items() if "lora_B" in name)
    assert moved > 1e-3
    rows = [json.loads(line) for line in (tmp_path / "both" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4]  # of one process
    assert len(list((tmp_path / "both" / "validation").iterdir())) == 2


def test_without_a_launcher_nothing_is_shared():
    distributed.join()
    gradient = torch.ones(3)
    distributed.average([gradient])
    assert (distributed.count(), distributed.rank(), distributed.is_first()) == (1, 0, True)
    assert gradient.tolist() == [1, 1, 1]
    assert [distributed.any_of(wish, torch.device("cpu")) for wish in (True, False)] == [True, False]
