"""Repeat calls to the Hub that its client makes only once, if waiting may help: 429, 5xx, resets, time-outs."""

import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

T = TypeVar("T")
TRIES = 5
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds; each wait is twice as long as the one before
PASSING = (429, 500, 502, 503, 504)


def retried(call: Callable[[], T], tries: int = TRIES) -> T:
    """The result of `call`. If it fails for a temporary reason `tries` times, the last error is raised."""
    wait = FIRST_WAIT
    for left in reversed(range(tries)):
        try:
            return call()
        except (HfHubHTTPError, httpx.TransportError, ConnectionError) as error:
            response = getattr(error, "response", None)
            if not left or (response is not None and response.status_code not in PASSING):
                raise
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)
    raise ValueError(f"tries is {tries}, but must be at least 1.")
