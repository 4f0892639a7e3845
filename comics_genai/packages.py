"""Find Python packages that are missing or too old, and install exact versions without touching torch.

    missing(["torch", "diffusers>=0.42"])        the requirements that are not installed, or too old
    install(["diffusers==0.42.1"], keep={"torch": "2.10.0+cu128"})

It imports nothing heavy, so that it can run before what it installs is there.
"""

import importlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from comics_genai.errors import UserError

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
# Their versions belong together: upgrading one alone breaks the others.
FAMILY = ("diffusers", "transformers", "accelerate", "peft", "datasets", "huggingface_hub")


def missing(requirements: Sequence[str]) -> list[str]:
    """The requirements (NAME or NAME>=VERSION) that are not installed, or whose installed version is too old."""
    return [requirement for requirement in requirements if not is_satisfied(requirement)]


def is_satisfied(requirement: str) -> bool:
    """Whether the requirement, NAME or NAME>=VERSION, is installed."""
    name, _, minimum = requirement.partition(">=")
    try:
        return _numbers(version(name)) >= _numbers(minimum)
    except PackageNotFoundError:
        return False


def pinned(requirements: Sequence[str], exact: Mapping[str, str]) -> list[str]:
    """The requirements at the versions in `exact`. If one is of FAMILY, its older relatives are upgraded with it."""
    names = [requirement.partition(">=")[0] for requirement in requirements]
    if set(names) & set(FAMILY):
        names += [name for name in FAMILY if name not in names and not is_satisfied(f"{name}>={exact.get(name, '')}")]
    return [f"{name}=={exact[name]}" if name in exact else name for name in names]


def exact_versions(constraints: Path) -> dict[str, str]:
    """Names and versions in a file of constraints, one NAME==VERSION in each line."""
    lines = constraints.read_text(encoding="utf-8").splitlines()
    return dict(line.strip().split("==") for line in lines if "==" in line and not line.startswith("#"))


def install(requirements: Sequence[str], keep: Sequence[str] = (), wheels: Sequence[Path] = ()) -> str:
    """Install with pip. Returns "", or pip's last line if it fails.

    keep: constraints, such as torch==2.10.0+cu128. wheels: folders of wheels. They are tried first and without the
    internet, which a machine that has them may not have.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(keep) + "\n", encoding="utf-8")
        command = [*PIP, "install", "--constraint", str(constraints)]
        offline = ["--no-index", *(option for path in wheels for option in ("--find-links", str(path)))]
        for options in [offline, []] if wheels else [[]]:
            done = subprocess.run([*command, *options, *requirements], capture_output=True, text=True)
            if not done.returncode:
                importlib.invalidate_caches()
                return ""
    return (done.stderr.strip() or done.stdout.strip() or "pip said nothing").splitlines()[-1]


def remove(name: str) -> None:
    """Uninstall a package."""
    subprocess.run([*PIP, "uninstall", "--yes", name], check=False, capture_output=True)
    importlib.invalidate_caches()


def require(requirements: Sequence[str]) -> None:
    """Raise a UserError that says what to install if a requirement is missing."""
    if absent := missing(requirements):
        raise UserError(f"This needs {', '.join(absent)}: run {sys.executable} -m pip install {' '.join(absent)}.")


def _numbers(text: str) -> tuple[int, ...]:
    """The release numbers of a version: (2, 13, 0) of 2.13.0+cpu."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[+a-z]", text)[0]))
