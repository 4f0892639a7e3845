"""The first cell of every notebook finds the repository, or fetches it where the notebook comes alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comics_genai import environment
from comics_genai.notebooks import opening

ROOT = Path(__file__).parents[2]
SETUP_CELL = opening.setup_cell()


# Where the package is installed there is nothing to find or to fetch: nothing of it is left on the path.
NOT_INSTALLED = """
import sys
from pathlib import Path
sys.path[:] = [place for place in sys.path if not Path(place, "comics_genai").exists()]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder)]
"""


def run_setup_cell(folder: Path, **variables: str) -> subprocess.CompletedProcess:
    program = NOT_INSTALLED + SETUP_CELL + "\nprint(environment.root())\n"
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_setup_cell_finds_the_repository_from_a_folder_inside_it():
    done = run_setup_cell(ROOT / "comics_genai" / "world")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [str(ROOT)]


@pytest.fixture
def remote(tmp_path) -> dict[str, str]:
    """An environment in which the repository's address leads to a git repository on this machine."""
    source = tmp_path / "remote"
    shutil.copytree(ROOT / "comics_genai", source / "comics_genai", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, source)
    fields = [f"GIT_{role}_{field}" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")]
    author = dict.fromkeys(fields, "nobody@localhost")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *command], cwd=source, check=True, env=os.environ | author)
    config = {"GIT_CONFIG_KEY_0": f"url.file://{source}.insteadOf", "GIT_CONFIG_VALUE_0": environment.address()}
    return {"GIT_CONFIG_COUNT": "1", "KAGGLE_KERNEL_RUN_TYPE": "Interactive"} | config


def test_the_setup_cell_fetches_the_repository_where_a_notebook_comes_alone(tmp_path, remote):
    alone = tmp_path / "working"
    alone.mkdir()
    for _ in range(2):  # a restarted kernel finds what the first fetched
        done = run_setup_cell(alone, **remote)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[1:] == [str(alone / "Comics-GenAI")]
    shutil.rmtree(tmp_path / "remote")
    offline = tmp_path / "offline"
    offline.mkdir()
    done = run_setup_cell(offline, **remote)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("The repository could not be fetched: switch this notebook's")
