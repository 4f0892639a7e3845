"""What stands around the package: requirements that agree, and make, which says what is wrong in sentences."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FRAME = ("Makefile", "pyproject.toml", "requirements.txt", "constraints.txt", "LICENSE", "comics_genai")
TOOLS = "awk bash cat cut df env expand find grep make mkdir rm sed sh tail tee touch uname".split()


def requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.partition("#")[0].strip().split(">=") for line in lines if not line.startswith("#"))


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def test_every_requirement_says_who_needs_it():
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w-]+>=[\d.]+ +# .+", line), line


def test_exact_versions_satisfy_the_lower_bounds_and_name_no_build_or_place():
    exact = {name.lower().replace("-", "_"): version for name, version in constraints().items()}
    assert all(re.fullmatch(r"[\w.]+", version) for version in exact.values())
    for name, minimum in requirements().items():
        assert numbers(exact[name.lower().replace("-", "_")]) >= numbers(minimum), name


def test_the_package_requires_what_requirements_say_and_pins_no_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = dict(line.partition(">=")[::2] for line in project["dependencies"])
    assert required.pop("torch") == ""
    assert required.items() <= requirements().items()
    tools = {"torch", "ipykernel", "nbclient", "nbformat", "playwright", "axe-playwright-python", "ruff"}
    tools |= {"pytest", "pytest-xdist"}
    assert set(requirements()) - set(required) == tools


def test_both_licences_are_told():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "MIT License" in text and "CC0-1.0" in text and "1_data/mini_sdxl/" in text


@pytest.fixture
def clone(tmp_path) -> Path:
    """A fresh clone: the frame alone, without a .venv."""
    folder = tmp_path / "clone with spaces"
    folder.mkdir()
    for name in FRAME:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    return folder


@pytest.fixture
def bin_folder(tmp_path) -> Path:
    """A PATH of its own, with the tools of a bare machine and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def a_python() -> str:
    """A Python outside any venv, for the new one to be made from."""
    return str(Path(sys.base_prefix) / "bin" / "python3")


def make(folder: Path, target: str, path: Path, **environment: str) -> tuple[int, str, str]:
    given = {"PATH": str(path), "HOME": str(folder), "LC_ALL": "C", **environment}
    done = subprocess.run(["make", target], cwd=folder, env=given, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_make_alone_shows_the_targets(clone, bin_folder):
    code, output, _ = make(clone, "help", bin_folder)
    assert code == 0
    assert [line.split()[1] for line in output.splitlines()[1:]] == [
        *("help", "demo", "gallery", "test", "lint", "reproduce", "report", "bench", "badges", "wheel", "clean")
    ]


def test_a_machine_without_new_python_is_told_in_a_sentence(clone, bin_folder):
    code, _, errors = make(clone, "test", bin_folder)
    assert code == 2 and errors.startswith("Python 3.11 or newer is needed, and this machine has none: install it")
    put(bin_folder, "python3", '[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    code, _, errors = make(clone, "test", bin_folder)
    assert code == 2 and errors.startswith("Python 3.11 or newer is needed, and this machine has Python 3.9.2: install")
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_told_in_a_sentence(clone, bin_folder):
    put(bin_folder, "python3", f'case "$2" in *ensurepip*) exit 1;; esac\nexec {a_python()} "$@"')
    code, _, errors = make(clone, "test", bin_folder)
    assert code == 2 and re.match(r"Python 3\.\d+\.\d+ came without venv: .* python3\.\d+-venv", errors)


def test_a_full_disk_is_told_before_anything_is_fetched(clone, bin_folder):
    put(bin_folder, "python3", f'exec {a_python()} "$@"')
    put(bin_folder, "df", "echo Filesystem; echo x 100000000 1 2097152 1% /")
    code, _, errors = make(clone, "test", bin_folder)
    assert code == 2 and errors.startswith("The packages take about 3 GB, and ") and "has 2 GB free" in errors
    assert not (clone / ".venv").exists()


def test_a_machine_without_network_is_told_in_a_sentence_and_a_second_make_tries_again(clone, bin_folder):
    put(bin_folder, "python3", f'exec {a_python()} "$@"')
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
    unreachable = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": dead, "https_proxy": dead, "http_proxy": dead}
    for _ in range(2):
        code, output, errors = make(clone, "test", bin_folder, **unreachable)
        assert code == 2 and output.startswith("Installing the packages into .venv")
        assert errors.startswith("The packages could not be fetched: check this machine's network and run make again.")
        assert "ERROR: No matching distribution found for" in errors
        assert not (clone / ".venv" / ".installed").exists()
