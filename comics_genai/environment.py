"""Where this runs (Kaggle, Colab or the user's own machine), its folders and its secrets.

This is the only module that names a platform. It imports nothing heavy at its top, so that on Kaggle and Colab `set_up`
can first install the packages that are missing there.
"""

import importlib.util
import os
import platform as machine
import random
import shutil
import sys
import tomllib
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comics_genai import packages
from comics_genai.errors import UserError
from comics_genai.hardware import available_cores, device, free_memory, is_gpu, precision

if TYPE_CHECKING:
    import torch

Platform = Literal["kaggle", "colab", "local"]

# gradio and the transformers and diffusers of the hosted images need huggingface_hub 1.
HOSTED_VERSIONS = {"huggingface_hub": "1.33.0"}
HOSTED_CONSTRAINTS = ("huggingface_hub<2",)
TORCHAO_MINIMUM = "0.16"  # peft raises on any older one, and the hosted images carry 0.10
QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Why a platform gives no secret and where to click, by the name of the error that its store raises.
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


# Secrets that a platform's store gave. Colab's may be asked only by the thread of the notebook, which answers no other,
# and checkpoints are uploaded by a thread of their own.
_given: dict[tuple[Platform, str], str] = {}


def platform() -> Platform:
    """The machine this runs on."""
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return "kaggle"
    if "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules:
        return "colab"
    return "local"


def root() -> Path:
    """The folder that holds runs/ and 6_generated/.

    It is the repository's root. If the package was installed from a wheel, it is the current folder, which Kaggle and
    Colab keep. Raises UserError if the package was installed without its data.
    """
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
    """The part of the repository that a wheel carries beside the package. It exists only in an installed wheel."""
    return Path(__file__).resolve().parent / "repository"


def find(path: str | Path) -> Path | None:
    """Look for a file or folder in the current folder, the repository and the wheel's data; None if it is nowhere."""
    path = Path(path).expanduser()
    places = (path, root() / path, brought() / path)
    return next((place for place in places if place.exists()), None)


def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    place = materials() / "pyproject.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))["project"]


def address() -> str:
    """The repository's web address, which only pyproject.toml holds."""
    return project()["urls"]["Repository"]


def materials() -> Path:
    """The folder of files that are only read: the repository, or the wheel's copy of it."""
    return _repository() or brought()


def data() -> Path:
    """Folder of the drawings and the miniature base."""
    return materials() / "1_data"


def generated() -> Path:
    """Folder that holds one folder of pictures a run; it need not exist yet."""
    return root() / "6_generated"


def cached() -> Path:
    """The folder for files that can be computed again; it is created if it is absent."""
    folder = root() / ".cache"
    folder.mkdir(exist_ok=True)
    return folder


def secret(name: str) -> str | None:
    """A secret such as HF_TOKEN, from the environment or else from the platform's store; None if it is in neither.

    It is never printed, and the store's errors are not passed on, as they could hold it; `no_secret` says what to do.
    """
    return _secret(name)[0]


def no_secret(name: str) -> str:
    """Why the secret is missing and where to add it, as the second half of a sentence; "" if it is there."""
    value, refusal = _secret(name)
    return "" if value else REFUSALS.get((platform(), refusal), REFUSALS[platform(), ""]).format(name=name)


def _secret(name: str) -> tuple[str | None, str]:
    """The secret, or the name of the error that the platform's store raised."""
    if value := os.environ.get(name, "").strip():
        return value, ""
    where = platform()
    if (where, name) not in _given:
        try:
            value = _stored(where, name).strip()
        except Exception as error:  # each platform has classes of its own for missing, not attached, refused, offline
            return None, type(error).__name__
        if not value:
            return None, ""
        _given[where, name] = value
    return _given[where, name], ""


def _stored(where: Platform, name: str) -> str:
    """The secret in the platform's store, or ""; raises whatever the store does."""
    if where == "kaggle":
        from kaggle_secrets import UserSecretsClient

        return UserSecretsClient().get_secret(name) or ""
    if where == "colab":
        from google.colab import userdata

        return userdata.get(name) or ""
    return ""


def set_up(seed: int = 0) -> None:
    """Prepare a notebook: install packages, silence libraries, set threads and seeds; print one line on the machine.

    Raises UserError when packages are missing and cannot be installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Without ipywidgets, bars are drawn as text; the Hub's bars are off anyway.
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
    """One line on the machine: platform, device, precision, free memory and disk, versions."""
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


def require(*requirements: str) -> None:
    """Install packages that a single notebook needs, on Kaggle and Colab; elsewhere say what to install.

    Raises UserError if they are missing afterwards.
    """
    if platform() == "local":
        packages.require(requirements)
    elif absent := packages.missing(requirements):
        _install(absent)


def _install(requirements: list[str]) -> None:
    """Install on Kaggle or Colab without touching their torch; on the user's own machine say what to run instead."""
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
    """Whether the installed torchao is so old that peft refuses to make any adapter."""
    return importlib.util.find_spec("torchao") is not None and not packages.is_satisfied(f"torchao>={TORCHAO_MINIMUM}")


