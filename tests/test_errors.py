"""A user's mistake is one sentence on standard error and status 2, never a traceback; a bug keeps its traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from comics_genai.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("error", "status", "told"), [("UserError", 2, "Mend this."), ("ValueError", 1, "Traceback")])
def test_only_the_users_mistakes_are_sentences(error, status, told):
    program = (
        "import sys; from comics_genai import __main__ as m; from comics_genai.errors import UserError\n"
        f"def fail(arguments): raise {error}('Mend this.')\n"
        "m.COMMANDS['plan'] = fail; sys.exit(m.main(['plan']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status and done.stderr.startswith(told) and done.stdout == ""
    if error == "UserError":
        assert done.stderr == "Mend this.\n"


def test_a_mistake_of_the_user_is_none_of_pythons_own_errors():
    # What catches ValueError or OSError to translate it must not swallow a sentence that says more.
    assert UserError.__mro__[1] is Exception and str(UserError("Give a folder.")) == "Give a folder."
