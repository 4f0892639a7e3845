"""Signals that ask a training to stop: it ends after the step it is in, with a checkpoint.

Besides a terminal's: clusters send SIGUSR1 some minutes before the time is up, SIGXCPU when the processor's is.
"""

import signal
import threading
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU")
NUMBERS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))  # Windows has but the first two


class StopSignals:
    """Turns the first of those signals into a wish to stop; a second acts as it would have without the loop.

    What is ignored stays so: nohup ignores SIGHUP, a shell's background jobs SIGINT.
    """

    def __init__(self) -> None:
        self.received = ""
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: object) -> None:
        self.received = signal.Signals(number).name
        self.__exit__()


def exit_status(stopped_by: str) -> int:
    """The status that a command ends with: 0 if nothing stopped it, 130 for Ctrl-C, 143 for all else."""
    if not stopped_by:
        return 0
    return 128 + signal.SIGINT if stopped_by == "SIGINT" else 128 + signal.SIGTERM
