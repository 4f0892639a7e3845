"""Progress of a long task: a bar in a terminal or a notebook, a few plain lines anywhere else."""

import os
import sys
import time

from tqdm.auto import tqdm

SECONDS_BETWEEN_LINES = 10.0
LINES = 20


def shows_bar() -> bool:
    """Whether to draw a bar: in a terminal or a notebook, unless the environment variable TQDM_DISABLE is set."""
    if os.environ.get("TQDM_DISABLE"):
        return False
    # The kernel's package being imported proves nothing: papermill imports it in a terminal too.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel") or (sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty())


class Progress:
    """Shows steps done, steps/s, time left and the loss; a context manager.

    Without a bar it prints one line every 10 s or more, at most 20 in all, so that a log file stays readable.
    """

    def __init__(self, total: int, done: int = 0, describe: str = "", budget_seconds: float = 0.0):
        self.total, self.done, self.first, self.describe = total, done, done, describe
        self.budget_seconds = budget_seconds  # 0: none
        self.note = ""
        self.start = self.last_line = time.monotonic()
        self.last_fraction = 0.0
        self.bar = tqdm(total=total, initial=done, desc=describe, unit="step") if shows_bar() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.done > self.first:
            print(self.line(), flush=True)

    def update(self, done: int, note: str | None = None) -> None:
        """Set how many steps are done in all. A `note` is shown from now on."""
        if note is not None:
            self.note = note
        if self.bar is not None:
            if note is not None:
                self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - self.done)
            self.done = done
            return
        self.done = done
        now = time.monotonic()
        fraction = (done - self.first) / max(self.total - self.first, 1)
        if self.budget_seconds:
            fraction = max(fraction, (now - self.start) / self.budget_seconds)
        # One of the lines is reserved for the last state.
        enough = fraction - self.last_fraction >= 1 / (LINES - 1)
        if enough and now - self.last_line >= SECONDS_BETWEEN_LINES and done < self.total:
            self.last_line, self.last_fraction = now, fraction
            print(self.line(), flush=True)

    def line(self) -> str:
        """The state in one line of text."""
        elapsed = time.monotonic() - self.start
        rate = (self.done - self.first) / max(elapsed, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        if self.budget_seconds:
            left = min(left, max(self.budget_seconds - elapsed, 0.0))
        clock = f"{int(left) // 60}:{int(left) % 60:02d} left"
        parts = [f"{self.describe}: {self.done}/{self.total}", self.note, f"{rate:.2f} steps/s", clock]
        return " · ".join(part for part in parts if part)
