"""What is printed never stops a run: any terminal, a closed pipe, none at all; and libraries' noise stays out of it."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

LIBRARIES = r"(diffusers|transformers|peft|accelerate|huggingface_hub|datasets)(\.|$)"


class Tolerant(io.TextIOBase):
    """A stream that goes on where the one below fails: what cannot be written is lost, and nothing else."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def isatty(self) -> bool:
        try:
            return self.stream.isatty()
        except (OSError, ValueError):
            return False

    @property
    def encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        return self.stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _try(self, act: Any) -> None:
        try:
            act()
        except (OSError, ValueError):  # a pipe nobody reads, a terminal that is gone, a full disk; or a closed file
            # Else Python fails once more on what waits in the buffer when it ends.
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)


@contextmanager
def tolerant() -> Iterator[None]:
    """Within, stdout and stderr take every text: characters their encoding lacks become ?, and none of them fails.
    Warnings are one line each, "Note: ...", and those that libraries address to programmers are left out."""
    before = sys.stdout, sys.stderr
    nowhere = open(os.devnull, "w") if None in before else None
    sys.stdout, sys.stderr = (Tolerant(_replacing(stream or nowhere)) for stream in before)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                warnings.filterwarnings("ignore", category=category)
            warnings.filterwarnings("ignore", category=UserWarning, module=LIBRARIES)
            warnings.showwarning = _show_warning
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
        if nowhere is not None:
            nowhere.close()


def _replacing(stream: TextIO) -> TextIO:
    with suppress(AttributeError, OSError, ValueError):
        stream.reconfigure(errors="replace")
    return stream


def _show_warning(message: Any, *where: Any, **more: Any) -> None:
    print(f"Note: {message}", file=sys.stderr)
