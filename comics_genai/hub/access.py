"""Requests to the Hugging Face Hub: each of its refusals, time-outs and odd answers becomes a sentence with the cause.

    with answers("me/mygirl", "download"):
        snapshot_download("me/mygirl", token=token())

No sentence holds the token.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session, httpx

from comics_genai import environment
from comics_genai.errors import UserError

SECONDS = 20  # to wait for the first answer
SILENCE = 30  # seconds without a byte, after which a request has failed; the Hub's own client waits for ever
NETWORK = (httpx.TransportError, ConnectionError, TimeoutError, socket.gaierror)


def token() -> str | None:
    """This machine's token for the Hub, or None. Raises UserError if the token holds characters that none can have."""
    found = environment.secret("HF_TOKEN") or get_token()
    if found and not (found.isascii() and found.isprintable() and " " not in found):
        raise UserError(
            "HF_TOKEN holds a space, a line break or a letter that no token has: copy it anew from "
            "https://huggingface.co/settings/tokens."
        )
    return found


@contextmanager
def answers(name: str, doing: str = "download", kind: str = "model") -> Iterator[None]:
    """A context in which every failure between here and the Hub becomes a UserError about the repository `name`.

    doing: "download" or "upload", for the advice. kind: what the repository holds.
    """
    get_session().timeout = SILENCE
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        sentence = _sentence(error, name, doing, kind)
        if sentence is None:
            raise
        # The original error is dropped on purpose: the requests in it carry the token.
        raise UserError(sentence) from None


@contextmanager
def first_answer() -> Iterator[None]:
    """A context, within `answers`, for the first requests: a Hub that says nothing at all is given up sooner."""
    session = get_session()
    session.timeout = SECONDS
    try:
        yield
    finally:
        session.timeout = SILENCE


def _sentence(error: BaseException, name: str, doing: str, kind: str) -> str | None:
    """The first informative cause in the chain of errors, beginning with the outermost."""
    if isinstance(error, (GatedRepoError, RepositoryNotFoundError)) and doing == "download":
        return _absent(name, kind)
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return _of_status(error.response.status_code, name, doing, kind)
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        # It says "check your connection" whatever the Hub answered.
        if (inner := _sentence(error.__cause__, name, doing, kind)) is not None:
            return inner
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        # A large file that did not arrive in the Hub's storage: why is in the cause.
        return _sentence(error.__cause__, name, doing, kind)
    if isinstance(error, RevisionNotFoundError):
        return f"{name} has no such revision on the Hub: leave the revision out."
    if isinstance(error, OfflineModeIsEnabled):
        return f"{name} is not kept here and the Hub is switched off by HF_HUB_OFFLINE: unset it to {doing}."
    if isinstance(error, LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return f"{name} is not kept here and the Hub is switched off by HF_HUB_OFFLINE: unset it to {doing}."
    if isinstance(error, HFValidationError):
        return f"{name!r} cannot be a name on the Hub: give OWNER/NAME, such as me/mygirl."
    if isinstance(error, httpx.HTTPStatusError):
        return _of_status(error.response.status_code, name, doing, kind)
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return f"The Hub did not answer in time about {name}: try again later."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full, and {name} could not be kept in {constants.HF_HUB_CACHE}: make room and try again."
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{error.filename or constants.HF_HUB_CACHE} cannot be written ({os.strerror(error.errno)}), where "
            f"{name} would be kept: set HF_HOME to a folder of your own."
        )
    if isinstance(error, (*NETWORK, LocalEntryNotFoundError)):
        return f"The Hub cannot be reached to {doing} {name}: check the name and your network, and try again."
    if isinstance(error, httpx.HTTPError):
        return f"The Hub broke off while {name} was to be {doing}ed: try again later."
    if isinstance(error, EntryNotFoundError):
        return f"{name} lacks a file that the Hub lists: try again later."
    if isinstance(error, (ValueError, TypeError, KeyError, AttributeError, IndexError)):
        # HTML of a proxy or a log-in page, a list for an object, a repository without an address.
        return f"What answered for the Hub about {name} is not the Hub's: check HF_ENDPOINT and your network's log-in."
    return None


def _absent(name: str, kind: str) -> str:
    return (
        f"{name} is neither a folder here nor a {kind} on the Hub that you may read: check the name, and for a private "
        "or gated one set HF_TOKEN."
    )


def _of_status(status: int, name: str, doing: str, kind: str) -> str:
    if doing == "download":
        if status in (401, 403, 404):
            return f"{_absent(name, kind).removesuffix('.')} ({status})."
    elif status in (401, 403):
        return (
            f"The Hub lets nobody with this token write to {name} ({status}): check the owner's name, and give "
            "HF_TOKEN a token with the right to write."
        )
    elif status == 404:
        return f"There is no {name} to upload to (404): check the owner's name."
    if status == 429:
        return f"The Hub has had too many requests from here ({status}) about {name}: wait some minutes and try again."
    if status == 413:
        return f"A file for {name} is larger than the Hub takes ({status}): push without it."
    if status >= 500:
        return f"The Hub itself has a fault ({status}) about {name}: try again later."
    return f"The Hub refused to {doing} {name} ({status}): try again later."
