"""Repeat calls to the Hub that its client makes only once, if waiting may help: 429, 5xx, resets, time-outs."""

import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

T = TypeVar("T")
TRIES = 5
SILENCES = 2  # time-outs after which nothing more is expected: each of them has waited already
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds; each wait is twice as long as the one before
PASSING = (429, 500, 502, 503, 504)


def retried(call: Callable[[], T], tries: int = TRIES) -> T:
    """The result of `call`. After `tries` failures for a temporary reason, or two time-outs, the last is raised."""
    wait, silences = FIRST_WAIT, 0
    for left in reversed(range(tries)):
        try:
            return call()
        except (HfHubHTTPError, httpx.TransportError, ConnectionError) as error:
            response = getattr(error, "response", None)
            silences += isinstance(error, httpx.TimeoutException)
            if not left or silences == SILENCES or (response is not None and response.status_code not in PASSING):
                raise
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)
    raise ValueError(f"tries is {tries}, but must be at least 1.")
