"""Signals that stop a training after its current step, with a checkpoint.

Besides those of a terminal: clusters send SIGUSR1 some minutes before a job's time ends, and SIGXCPU when its processor
time is used up.
"""

import signal
import threading
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU")
NUMBERS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))  # Windows has only the first two


class StopSignals:
    """Turn the first signal into a wish to stop; a second one acts as it would without the loop.

    Signals that are ignored stay ignored: nohup ignores SIGHUP, and a shell's background jobs ignore SIGINT.
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
    """The exit status of a command: 0 if nothing stopped it, 130 for Ctrl-C, 143 for any other signal."""
    if not stopped_by:
        return 0
    return 128 + signal.SIGINT if stopped_by == "SIGINT" else 128 + signal.SIGTERM
