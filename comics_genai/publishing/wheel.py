"""Build a wheel of the package that needs no repository: it contains the drawings and the miniature.

    make wheel

Attached to a Kaggle notebook as a dataset, it works in sessions without internet.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from comics_genai import environment
from comics_genai.errors import UserError

BUILT_FROM = ("comics_genai", "pyproject.toml", "LICENSE")
BROUGHT = ("1_data/unicorn_girl", "1_data/mini_sdxl", "4_finetuning", "pyproject.toml", "constraints.txt")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.partial", ".DS_Store")
EPOCH = "315532800"  # 1980, the earliest time in a zip file, so that equal files make equal wheels


def build(folder: Path | None = None) -> Path:
    """Build the wheel into `folder`, by default dist/ of the repository; returns its path.

    Raises UserError outside the repository, or if pip cannot build it.
    """
    root = environment.root()
    if not (root / "comics_genai").is_dir():
        raise UserError("A wheel is built from the repository: clone it and run this from inside it.")
    folder = folder or root / "dist"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder for the wheel.")
    with tempfile.TemporaryDirectory() as place:
        staged, built = Path(place) / "source", Path(place) / "built"
        for name in BUILT_FROM:
            _copy(root / name, staged / name)
        for name in BROUGHT:
            _copy(root / name, staged / "comics_genai" / "repository" / name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", "--no-deps"]
        done = subprocess.run(
            [*pip, "--no-build-isolation", "--wheel-dir", str(built), str(staged)],
            env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            reason = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
            raise UserError(f"The wheel could not be built ({reason}): run make test once, and then this again.")
        (wheel,) = built.glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, folder / wheel.name))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=LEFT_OUT)
    else:
        shutil.copy(source, target)
