"""Which device, precision, cores and memory there are is found out by trying, not from flags."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from comics_genai import environment, hardware
from comics_genai.errors import UserError

ROOT = Path(__file__).parent.parent


def test_a_device_is_believed_only_after_real_arithmetic():
    hardware.check_arithmetic("cpu")
    with pytest.raises((RuntimeError, NotImplementedError)):
        hardware.check_arithmetic("meta")  # takes every operation and computes none


def test_a_gpu_that_cannot_compute_leaves_the_cpu_and_one_sentence():
    program = (
        "import torch; torch.cuda.is_available = lambda: True\n"
        "from comics_genai import hardware as h; print(h.device() == h.device() == torch.device('cpu'))"
    )
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=hidden, capture_output=True, text=True)
    sentence, is_cpu = done.stdout.splitlines()
    assert is_cpu == "True"
    assert sentence.startswith("This machine's GPU cannot be used by torch") and "runs on the CPU" in sentence


def test_precision_is_what_the_hardware_computes(monkeypatch):
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    assert hardware.precision("cpu") == ("bf16" if "amx_bf16" in flags else "fp32")
    for real, emulated, expected in ((True, True, "bf16"), (False, True, "fp16"), (False, False, "fp16")):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, real=real, emulated=emulated: (
                real or (including_emulation and emulated)
            ),
        )
        assert hardware.precision(torch.device("cuda")) == expected


def on_gpu(capability: tuple[int, int]) -> str:
    """What `hardware.device` prints of a GPU of that compute capability whose first operation fails."""
    program = (
        "import torch; torch.cuda.is_available = lambda: True\n"
        f"torch.cuda.get_device_capability = lambda device=None: {capability}\n"
        "from comics_genai import hardware; hardware.device()"
    )
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=hidden, capture_output=True, text=True)
    return done.stdout


def test_a_p100_is_told_which_torch_has_its_kernels():
    sentence = on_gpu((6, 0))
    assert "cannot be used by torch" in sentence and "so this runs on the CPU: its compute capability 6.0" in sentence
    assert "`pip install torch==2.14.1 --index-url https://download.pytorch.org/whl/cu126`" in sentence
    assert "install a torch built for that GPU" in on_gpu((9, 0))


def test_free_memory_is_what_the_system_has_or_the_container_may(monkeypatch, tmp_path):
    free = hardware.free_memory()
    assert 10_000_000 < free <= sys.maxsize
    monkeypatch.setattr(hardware, "CONTAINER", tmp_path)
    for name, content in {
        "memory.max": "900000",
        "memory.current": "700000",
        "memory.stat": "anon 1\nfile 50000\n",
    }.items():
        (tmp_path / name).write_text(content)
    assert hardware.free_memory() == 250_000
    (tmp_path / "memory.max").write_text("max")
    assert hardware.free_memory() > 10_000_000


def test_cores_are_those_of_the_process_or_of_the_containers_quota(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CONTAINER", tmp_path)
    cores = hardware.available_cores()
    assert 1 <= cores <= os.cpu_count()
    quotas = {"100000 100000": 1, "50000 100000": 1, "max 100000": cores, "99900000 100000": cores}
    for quota, expected in quotas.items():
        (tmp_path / "cpu.max").write_text(quota)
        assert hardware.available_cores() == expected


def test_the_peak_on_a_cpu_is_what_the_process_has_held():
    before = hardware.peak_memory(torch.device("cpu"))
    held = torch.ones(64_000_000)  # 256 MB
    after = hardware.peak_memory(torch.device("cpu"))
    assert after >= max(before, held.nbytes)


def test_notebooks_find_device_and_precision_in_the_environment():
    assert (environment.device, environment.precision) == (hardware.device, hardware.precision)


@pytest.mark.parametrize(
    ("device", "sentence"),
    [("nonsense", "There is no device 'nonsense': give cpu, cuda"), ("", "There is no device ''"),
     ("meta", "The device meta cannot be used"), ("cpu:x", "There is no device")],
)  # fmt: skip
def test_a_device_that_is_none_or_does_not_compute_is_named(device, sentence):
    assert hardware.usable("cpu").type == "cpu" and not hardware.is_gpu(device) and hardware.is_gpu("cuda:1")
    with pytest.raises(UserError, match=sentence):
        hardware.usable(device)
