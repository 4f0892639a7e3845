"""Checkpoints up to the Hub while training goes on, so that a machine that is taken away takes no more than minutes.

    with uploading(run, "me/half", minutes=10):
        finetune(settings, run)

Another machine goes on with `finetune --resume-from me/half`, to the same bytes.
"""

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars, httpx

from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.publishing.push import push
from comics_genai.run import checkpoint_files

TOKENS = "https://huggingface.co/settings/tokens"


def check_token(repo: str) -> None:
    """Raises UserError where there is no token, the Hub does not know it, or it may not write to `repo`, OWNER/NAME."""
    token = environment.secret("HF_TOKEN") or get_token()
    if token is None:
        raise UserError(f"Nothing can be uploaded to {repo}: {environment.no_secret('HF_TOKEN')}.")
    try:
        known = HfApi(token=token).whoami()
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise UserError(f"The Hub does not know HF_TOKEN ({status}): copy it anew from {TOKENS}.") from None
        raise UserError(f"The Hub did not say what HF_TOKEN may do ({status}): try again later.") from None
    except (httpx.HTTPError, ConnectionError):
        raise UserError("The Hub cannot be reached to check HF_TOKEN: switch the internet on and try again.") from None
    if not may_write(known.get("auth", {}).get("accessToken", {}), repo):
        raise UserError(f"HF_TOKEN may not write to {repo}: make a token of the type Write at {TOKENS} and use that.")


def may_write(token: Mapping[str, Any], repo: str) -> bool:
    """Whether a token, as the Hub describes it, may write to a repository. A fine-grained one needs repo.write for the
    owner or the repository."""
    if token.get("role") != "fineGrained":
        return token.get("role") in ("write", "admin")
    scopes = (token.get("fineGrained") or {}).get("scoped") or []
    names = {repo, repo.partition("/")[0]}
    return any("repo.write" in scope["permissions"] for scope in scopes if scope["entity"].get("name") in names)


@contextmanager
def uploading(run: Path, repo: str, minutes: float) -> Iterator[None]:
    """Within it the newest checkpoint of `run` goes to `repo` every so many minutes, and once more at the end.

    A failed upload never stops the training: it is told in one sentence and tried again after as many minutes. A token
    that may not write is found out first: raises UserError as `check_token` does.
    """
    check_token(repo)
    disable_progress_bars()  # they would run through the training's own
    ended, sent = threading.Event(), set[Path]()

    def send() -> None:
        newest = checkpoint_files(run)[-1:]
        if not newest or newest[0] in sent:
            return
        try:
            push(run, repo, checkpoint=True)
            sent.add(newest[0])
        except (UserError, OSError) as error:
            warnings.warn(
                f"The checkpoint was not uploaded: {error} By hand: `push {run} --repo {repo} --checkpoint`.",
                stacklevel=2,
            )

    def work() -> None:
        while not ended.wait(60 * minutes):
            send()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        send()
