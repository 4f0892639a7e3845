"""Comics-GenAI: six drawings of a comic character become new poses of it."""

__version__ = "0.1.0"
