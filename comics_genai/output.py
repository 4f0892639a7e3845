"""Printing that never stops a run, whatever becomes of the terminal or pipe, and without the libraries' warnings."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

LIBRARIES = r"(diffusers|transformers|peft|accelerate|huggingface_hub|datasets)(\.|$)"


class Tolerant(io.TextIOBase):
    """A stream that drops what the stream below cannot write, and goes on."""

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
        except (OSError, ValueError):  # a pipe that nobody reads, a closed terminal, a full disk, or a closed file
            # Otherwise Python fails again at exit on what is left in the buffer.
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)


@contextmanager
def tolerant() -> Iterator[None]:
    """A context in which stdout and stderr never fail; a character that their encoding does not have is printed as ?.

    Each warning becomes one line, "Note: ...". Warnings that libraries address to programmers are left out.
    """
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
