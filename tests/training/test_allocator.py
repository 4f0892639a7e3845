"""Freed memory is kept for the next step, measured by the page faults it saves."""

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
from comics_genai.training.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    activations = [bytearray(b"1") * (4 << 20) for _ in range(40)]
step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_what_a_step_frees_the_next_one_takes_without_new_pages():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "as ever")
    }
    assert faults["kept"] < 0.2 * faults["as ever"]
