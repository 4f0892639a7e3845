"""Where this runs: Kaggle, Colab or a machine of one's own; its folders, secrets, device and precision.

The only file that names a platform. It imports nothing heavy at its top, so that `set_up` can first install, on Kaggle
and Colab, what their images lack.
"""

import importlib.util
import os
import platform as machine
import random
import re
import shutil
import sys
import tomllib
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comics_genai import packages
from comics_genai.errors import UserError

if TYPE_CHECKING:
    import torch

Platform = Literal["kaggle", "colab", "local"]

# gradio and the transformers and diffusers of the hosted images need huggingface_hub 1.
HOSTED_VERSIONS = {"huggingface_hub": "1.33.0"}
HOSTED_CONSTRAINTS = ("huggingface_hub<2",)
TORCHAO_MINIMUM = "0.16"  # peft raises on any older one, and the hosted images carry 0.10
# Pascal (a P100 is 6.0) and Volta: newer builds, and torch from 2.15 on, have no kernels for them.
NEWEST_BUILDS_FROM = (7, 5)
TORCH_FOR_OLD_GPUS = "torch==2.14.1 --index-url https://download.pytorch.org/whl/cu126"
CONTAINER = Path("/sys/fs/cgroup")
QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Why a platform's store gives no secret, by the name of the error it raises, and where to click.
REFUSALS = {
    ("kaggle", "ConnectionError"): "Kaggle gives secrets only with the internet on: switch it on in the notebook's "
    "settings, at the right, and run the cell again",
    ("kaggle", "CredentialError"): "Kaggle does not say whose notebook this is: stop its session, start it again and "
    "run the cells anew",
    ("kaggle", ""): "this notebook has no Kaggle secret {name}: under Add-ons > Secrets add it, tick its box for this "
    "notebook and run the cell again",
    ("colab", "NotebookAccessError"): "this notebook may not read Colab's secret {name}: click the key at the left, "
    "switch its notebook access on and run the cell again",
    ("colab", "TimeoutException"): "nobody allowed Colab's secret {name} in time: run the cell again and grant access",
    ("colab", ""): "Colab has no secret {name}: click the key at the left, add it, switch its notebook access on and "
    "run the cell again",
    ("local", ""): "set {name} in the environment, or log in with `hf auth login`",
}


def platform() -> Platform:
    """The machine this runs on."""
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return "kaggle"
    if "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules:
        return "colab"
    return "local"


def root() -> Path:
    """The folder that runs/ and 6_generated/ are in: the repository's root or, where the package came as a wheel, the
    current folder, which Kaggle and Colab keep. Raises UserError where the package came without its data."""
    if (repository := _repository()) is not None:
        return repository
    if brought().is_dir():
        return Path.cwd()
    raise UserError(
        f"The repository of comics_genai is not in {Path.cwd()} nor above it: clone it and start from inside it."
    )


def _repository() -> Path | None:
    for folder in (Path(__file__).resolve().parent.parent, Path.cwd(), *Path.cwd().parents):
        if (folder / "pyproject.toml").is_file() and (folder / "comics_genai" / "environment.py").is_file():
            return folder
    return None


def brought() -> Path:
    """What a wheel brings of the repository beside the package, in the same folders; it is there in a wheel alone."""
    return Path(__file__).resolve().parent / "repository"


def find(path: str | Path) -> Path | None:
    """A file or folder as named from here, from the repository, or from what a wheel brought; None if there is none."""
    path = Path(path).expanduser()
    places = (path, root() / path, brought() / path)
    return next((place for place in places if place.exists()), None)


def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    place = materials() / "pyproject.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))["project"]


def address() -> str:
    """Where the repository lies on the web: the only place that holds it is pyproject.toml."""
    return project()["urls"]["Repository"]


def materials() -> Path:
    """Folder of what is only read, laid out as the repository: that itself, or what a wheel brought."""
    return _repository() or brought()


def data() -> Path:
    """Folder of the drawings and the miniature base."""
    return materials() / "1_data"


def generated() -> Path:
    """Folder that holds one folder of pictures a run; it need not exist yet."""
    return root() / "6_generated"


def cached() -> Path:
    """Folder for what can be computed again; made if absent."""
    folder = root() / ".cache"
    folder.mkdir(exist_ok=True)
    return folder


def secret(name: str) -> str | None:
    """A secret such as HF_TOKEN, from the environment or else from the platform's own store; None if it has none.

    Never printed, and no error of a store is passed on: `no_secret` says what to do.
    """
    return _secret(name)[0]


def no_secret(name: str) -> str:
    """Why there is no such secret here and where to click, as the second half of a sentence; "" if there is one."""
    value, refusal = _secret(name)
    return "" if value else REFUSALS.get((platform(), refusal), REFUSALS[platform(), ""]).format(name=name)


def _secret(name: str) -> tuple[str | None, str]:
    """The secret, or the name of the error that the platform's store raised."""
    if value := os.environ.get(name, "").strip():
        return value, ""
    try:
        if platform() == "kaggle":
            from kaggle_secrets import UserSecretsClient

            return (UserSecretsClient().get_secret(name) or "").strip() or None, ""
        if platform() == "colab":
            from google.colab import userdata

            return (userdata.get(name) or "").strip() or None, ""
    except Exception as error:  # classes of their own for: not there, not attached, refused, no internet
        return None, type(error).__name__
    return None, ""


@cache
def device() -> "torch.device":
    """The GPU if an operation on it really succeeds, else the CPU, with one printed sentence if there was a GPU."""
    import torch

    if torch.cuda.is_available():
        # No flag is believed: a GPU that the installed torch has no kernels for also answers is_available().
        try:
            check_arithmetic("cuda")
            return torch.device("cuda")
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            print(
                f"This machine's GPU cannot be used by torch {torch.__version__} ({reason}), so this runs on the CPU: "
                f"{gpu_advice('cuda')}."
            )
    return torch.device("cpu")


def gpu_advice(device: "torch.device | str") -> str:
    """What to do about a device that does not compute."""
    import torch

    if not is_gpu(device):
        return "leave it out, and the best there is will be taken"
    try:
        major, minor = torch.cuda.get_device_capability(device)
    except (RuntimeError, AssertionError):
        return "check its driver with nvidia-smi, or leave it out to run on the CPU"
    if (major, minor) >= NEWEST_BUILDS_FROM:
        return "install a torch built for that GPU to use it"
    return (
        f"its compute capability {major}.{minor} has kernels in torch's builds for CUDA 12.6 alone, so run "
        f"`pip install {TORCH_FOR_OLD_GPUS}` and restart"
    )


def check_arithmetic(device: "torch.device | str") -> None:
    """Run a matrix product and a convolution on the device and read the results back; raises RuntimeError."""
    import torch

    x = torch.ones(8, 8, device=device)
    product = (x @ x).sum().item()
    convolved = torch.nn.functional.conv2d(x[None, None], x[None, None, :3, :3]).sum().item()
    if (product, convolved) != (512.0, 324.0):
        raise RuntimeError(f"wrong arithmetic: {product} for 512 and {convolved} for 324")


def is_gpu(device: "torch.device | str") -> bool:
    """Whether that is a CUDA GPU."""
    import torch

    return torch.device(device).type == "cuda"


def precision(device: "torch.device | str") -> Literal["fp32", "bf16", "fp16"]:
    """The fastest autocast precision that the device computes in hardware.

    A T4 answers that it can do bf16, but emulates it: fp16 there. Of CPUs, those whose AMX has tiles for bf16: there it
    pays two- or threefold. With avx512_bf16 alone it pays too, less; who wants it asks for bf16.
    """
    import torch

    if is_gpu(device):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _has_amx_bf16() else "fp32"


def set_up(seed: int = 0) -> None:
    """Make a notebook ready: packages, quiet libraries, threads, seeds; prints one line of what it runs on.

    Raises UserError when packages are missing and cannot be installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Bars are drawn as text without ipywidgets, and the Hub's are off.
    for remark in ("IProgress not found", "Cannot enable progress bars"):
        warnings.filterwarnings("ignore", message=remark)
    if platform() != "local" and has_old_torchao():
        packages.remove("torchao")
    if absent := packages.missing(project()["dependencies"]):
        _install(absent)

    import numpy as np
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(max(1, min(torch.get_num_threads(), available_cores())))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    chosen = device()
    print(_told(chosen))


def _told(device: "torch.device") -> str:
    """What this runs on, in one line: platform, device, precision, what is free, versions."""
    import torch

    if is_gpu(device):
        count = torch.cuda.device_count()
        name = torch.cuda.get_device_name() + (f" ×{count}" if count > 1 else "")
    else:
        name = f"CPU with {torch.get_num_threads()} threads"
    where = {"kaggle": "Kaggle", "colab": "Colab", "local": machine.system()}[platform()]
    free = f"{free_memory() / 1e9:.0f} GB of memory and " if free_memory() < sys.maxsize else ""
    disk = shutil.disk_usage(root()).free / 1e9
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "diffusers", "transformers", "peft"))
    return (
        f"{where}, {name}, {precision(device)}, {free}{disk:.0f} GB of disk free, "
        f"Python {machine.python_version()}, {versions}"
    )


def available_cores() -> int:
    """Cores this process may use: its affinity, and a container's quota where there is one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CONTAINER / "cpu.max").read_text(encoding="ascii").split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max" for no quota
        return count


def require(*requirements: str) -> None:
    """Install what a notebook needs beyond the package's own requirements, on Kaggle and Colab; elsewhere say what to
    install. Raises UserError where it is missing afterwards."""
    if platform() == "local":
        packages.require(requirements)
    elif absent := packages.missing(requirements):
        _install(absent)


def _install(requirements: list[str]) -> None:
    """Install into a hosted image, leaving its torch as it is; on a machine of one's own say what to run instead."""
    if platform() == "local":
        raise UserError(
            f"This Python ({sys.executable}) lacks {', '.join(requirements)}: run make test once in {root()} and "
            "choose the kernel in its .venv."
        )
    exact = packages.exact_versions(materials() / "constraints.txt") | HOSTED_VERSIONS
    asked = packages.pinned([name for name in requirements if name != "torch"], exact)
    kept = [f"torch=={version('torch')}", *HOSTED_CONSTRAINTS]
    if reason := packages.install(asked, kept, attached_wheels()):
        raise UserError(
            f"The packages {', '.join(asked)} could not be installed ({reason}): switch the internet on in this "
            "notebook's settings and run this cell again."
        )


def attached_wheels() -> list[Path]:
    """Folders of wheels that are attached to a Kaggle notebook as datasets."""
    if platform() != "kaggle":
        return []
    return sorted({wheel.parent for wheel in (Path.cwd().parent / "input").rglob("*.whl")})


def has_old_torchao() -> bool:
    """Whether a torchao is installed with which peft raises at every adapter."""
    return importlib.util.find_spec("torchao") is not None and not packages.is_satisfied(f"torchao>={TORCHAO_MINIMUM}")


def free_memory() -> int:
    """Bytes of RAM that this process may still take: what the system has, or a container's limit if that is less.
    Where the system does not say (only Linux does), no limit."""
    free = sys.maxsize
    try:
        free = 1024 * int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text("ascii"))[1])
        limit = int((CONTAINER / "memory.max").read_text("ascii"))
        used = int((CONTAINER / "memory.current").read_text("ascii"))
        # Pages of files are given up for anything else.
        pages = int(re.search(r"^file (\d+)", (CONTAINER / "memory.stat").read_text("ascii"), re.MULTILINE)[1])
        free = min(free, limit - used + pages)
    except (OSError, ValueError, TypeError):  # no such file, or "max" for no limit
        pass
    return max(free, 0)


def _has_amx_bf16() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False


def peak_memory(device: "torch.device") -> int:
    """Bytes: the most that a GPU's tensors have held since the process began; on a CPU what the process has held."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes, Linux in KiB
