"""Comics-GenAI: six drawings of a comic character become new poses of it."""

import os

__version__ = "0.1.0"

# These libraries warn of missing packages that are not needed here, such as torchvision: a user need not know.
for _library in ("TRANSFORMERS", "DIFFUSERS"):
    os.environ.setdefault(f"{_library}_VERBOSITY", "error")
