"""A notebook on Kaggle without internet becomes ready from the attached wheel, and finds all that it needs there."""

import subprocess

import pytest

from comics_genai import environment
from comics_genai.notebooks import opening
from comics_genai.publishing import wheel
from tests import hosted

PROGRAM = """
from pathlib import Path

import comics_genai
from comics_genai import drawings
from comics_genai.bases.base import Base

print("site-packages" in comics_genai.__file__, environment.root() == environment.generated().parent == Path.cwd())
print(len(drawings.load("1_data/unicorn_girl")), Base.load("mini").unet.config.in_channels > 0)
print(environment.secret("HF_TOKEN"), environment.address())
"""


def test_the_setup_cell_takes_the_attached_wheel_without_a_network_and_twice_alike(tmp_path):
    machine = hosted.kaggle(tmp_path)
    for _ in range(2):  # a restarted kernel
        done = subprocess.run(
            [machine.python, "-c", opening.setup_cell() + PROGRAM],
            cwd=machine.working, env=machine.variables, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        told, *found = done.stdout.splitlines()
        assert told.startswith("Kaggle, ")
        assert found == ["True True", "6 True", f"hf_stand_in {environment.address()}"]
    assert list(machine.working.iterdir()) == []


def test_the_same_files_make_the_same_wheel(tmp_path):
    first, second = wheel.build(tmp_path / "a"), wheel.build(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", wheel.BROUGHT)
def test_what_the_wheel_brings_is_in_the_repository(name):
    assert (environment.root() / name).exists()
