"""Upload checkpoints to the Hub during training, so that losing the machine costs only minutes of work.

    with uploading(run, "me/half", minutes=10):
        finetune(settings, run)

Another machine resumes with `finetune --resume-from me/half` and ends with the same bytes.
"""

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars

from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.hub import access
from comics_genai.publishing.push import push
from comics_genai.publishing.retries import retried
from comics_genai.run import checkpoint_files

TOKENS = "https://huggingface.co/settings/tokens"


def check_token(repo: str) -> None:
    """Raise UserError if there is no token, the Hub does not know it, or it may not write to `repo` (OWNER/NAME)."""
    token = access.token()
    if token is None:
        raise UserError(f"Nothing can be uploaded to {repo}: {environment.no_secret('HF_TOKEN')}.")
    with access.answers(repo, "upload"), access.first_answer():
        try:
            known = retried(HfApi(token=token).whoami, tries=3)
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (401, 403):
                raise UserError(f"The Hub does not know HF_TOKEN ({status}): copy it anew from {TOKENS}.") from None
            raise
        allowed = may_write(known.get("auth", {}).get("accessToken") or {}, repo)
    if not allowed:
        raise UserError(f"HF_TOKEN may not write to {repo}: make a token of the type Write at {TOKENS} and use that.")


def may_write(token: Mapping[str, Any], repo: str) -> bool:
    """Whether a token, by the Hub's description of it, may write to a repository.

    A fine-grained token needs repo.write for the owner or for the repository.
    """
    if token.get("role") != "fineGrained":
        # A log-in through the browser has no role; whether it may write, the first upload shows.
        return token.get("role") in ("write", "admin", None)
    scopes = (token.get("fineGrained") or {}).get("scoped") or []
    names = {repo, repo.partition("/")[0]}
    return any("repo.write" in scope["permissions"] for scope in scopes if scope["entity"].get("name") in names)


@contextmanager
def uploading(run: Path, repo: str, minutes: float) -> Iterator[None]:
    """A context in which the newest checkpoint of `run` is uploaded to `repo` every few minutes, and at the end.

    A failed upload never stops the training: a sentence reports it, and it is repeated after the same time. The token
    is checked first, which raises UserError as `check_token` does. Without a `repo` ("") nothing is uploaded.
    """
    if not repo:
        yield
        return
    check_token(repo)
    disable_progress_bars()  # its progress bars would disturb that of the training
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
