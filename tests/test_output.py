"""Output never stops a run: any encoding, a closed pipe, no terminal; warnings of libraries stay out of it."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from comics_genai.output import Tolerant, tolerant

ROOT = Path(__file__).parent.parent
PROGRAM = """
import sys, warnings
from comics_genai.output import tolerant
from comics_genai.progress import Progress
with tolerant():
    with Progress(3, describe="fine-tuning «Éva» · 絵") as progress:
        for i in range(3):
            progress.update(i + 1, "loss 0.5 →")
    warnings.warn("é 絵 ✓")
    for i in range(20_000):
        print("a picture of 絵, ✓")
open(sys.argv[1], "w").write("went on")
"""


def run(tmp_path: Path, shell: str, **environment: str) -> subprocess.CompletedProcess:
    given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "PROGRAM": PROGRAM, **environment}
    given["DONE"] = str(tmp_path / "done")
    done = subprocess.run(["bash", "-c", shell], env=given, capture_output=True, cwd=tmp_path, timeout=120)
    assert (tmp_path / "done").read_text() == "went on", done.stderr
    return done


COMMAND = '"$PYTHON" -c "$PROGRAM" "$DONE"'
TERMINALS = {
    "ASCII": (COMMAND, {"PYTHONIOENCODING": "ascii"}),
    "cp932": (COMMAND, {"PYTHONIOENCODING": "cp932"}),
    "strict UTF-8": (COMMAND, {"PYTHONIOENCODING": "utf-8:strict"}),
    "a pipe that closes": (f"{COMMAND} | head -n 1; exit ${{PIPESTATUS[0]}}", {}),
    "both pipes closed": (f"{COMMAND} 2>&1 | true; exit ${{PIPESTATUS[0]}}", {}),
    "no stdout": (f"{COMMAND} >&-", {}),
    "neither": (f"{COMMAND} >&- 2>&-", {}),
    "a full disk": (f"{COMMAND} >/dev/full 2>/dev/full", {}),
    "one column": (COMMAND, {"COLUMNS": "1"}),
}


@pytest.mark.parametrize("name", TERMINALS)
def test_a_program_goes_on_whatever_its_terminal(name, tmp_path):
    shell, environment = TERMINALS[name]
    done = run(tmp_path, shell, **environment)
    assert done.returncode == 0 and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def test_what_an_encoding_lacks_is_a_question_mark(tmp_path):
    done = run(tmp_path, COMMAND, PYTHONIOENCODING="ascii")
    assert b"a picture of ?, ?\n" in done.stdout and b"Note: ? ? ?\n" in done.stderr


def test_notes_are_ours_and_libraries_speak_to_programmers_elsewhere(capsys):
    before = sys.stdout
    with tolerant():
        assert isinstance(sys.stdout, Tolerant)
        warnings.warn("a drawing is there twice", stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn_explicit("install torchvision", UserWarning, "x.py", 1, module="transformers.utils")
    assert sys.stdout is before and capsys.readouterr().err == "Note: a drawing is there twice\n"


def test_loading_a_base_says_nothing():
    program = "from comics_genai.bases.base import Base"
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_VERBOSITY")}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=kept, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
