"""Comics-GenAI: six drawings of a comic character become new poses of it."""

import os

__version__ = "0.1.0"

# These libraries remark on importing what is not needed here, such as torchvision; nobody who draws can act on that.
for _library in ("TRANSFORMERS", "DIFFUSERS"):
    os.environ.setdefault(f"{_library}_VERBOSITY", "error")
