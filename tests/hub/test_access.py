"""What the Hub says, or whatever answers in its place, becomes a sentence with its cause and without the token."""

import errno
import os
import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from comics_genai import drawings
from comics_genai.errors import UserError
from comics_genai.hub import access, runs
from comics_genai.publishing.uploading import check_token

TOKEN = "hf_secret"


@contextmanager
def answering(status: int, body: bytes, kind: str = "application/json"):
    """A server that answers everything alike, without a header of the Hub's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_POST = do_GET

        def log_message(self, *arguments):
            """Silence."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def online(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def refusal(monkeypatch, endpoint: str) -> str:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    with pytest.raises(UserError) as caught:
        runs.run_folder("me/girl")
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and TOKEN not in sentence
    return sentence


ANSWERS = {
    "401": (401, b"{}", "or a model on the Hub that you may read: check the name, and .* set HF_TOKEN \\(401\\)"),
    "403": (403, b"{}", "set HF_TOKEN \\(403\\)"),
    "404": (404, b"{}", "is neither a folder here nor a model on the Hub .*\\(404\\)"),
    "429": (429, b"{}", "too many requests from here \\(429\\)"),
    "500": (500, b"{}", "The Hub itself has a fault \\(500\\)"),
    "503 of a proxy": (503, b"<html>", "The Hub itself has a fault \\(503\\)"),
    "a log-in page": (
        200,
        b"<html>please log in</html>",
        "is not the Hub's: check HF_ENDPOINT and your network's log-in",
    ),
    "a list": (200, b"[]", "is not the Hub's"),
    "null": (200, b"null", "is not the Hub's"),
    "nothing": (200, b"", "is not the Hub's"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_answers_is_named(monkeypatch, kind):
    status, body, sentence = ANSWERS[kind]
    with answering(status, body) as endpoint:
        assert re.search(sentence, refusal(monkeypatch, endpoint))


ABOUT_A_TOKEN = {401: "does not know HF_TOKEN", 403: "does not know HF_TOKEN", 404: "no me/girl to upload to"}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_answers_about_drawings_and_about_a_token_is_named_alike(monkeypatch, kind):
    status, body, sentence = ANSWERS[kind]
    with answering(status, body) as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with pytest.raises(UserError, match=sentence.replace("a model", "a dataset")) as caught:
            drawings.load("me/girl")
        with pytest.raises(UserError, match=ABOUT_A_TOKEN.get(status, sentence)) as asked:
            check_token("me/girl")
    assert TOKEN not in f"{caught.value}{asked.value}" and "\n" not in str(caught.value)


def test_nobody_there_and_a_silent_hub_are_told_apart(monkeypatch):
    monkeypatch.setattr(access, "SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "cannot be reached to download me/girl" in refusal(monkeypatch, endpoint)
        silent.listen()
        assert "did not answer in time" in refusal(monkeypatch, endpoint)


ERRORS = {
    "a full disk": (OSError(errno.ENOSPC, "x"), "The disk is full, and me/girl could not be kept in"),
    "no inode": (OSError(errno.EDQUOT, "x"), "The disk is full"),
    "another's cache": (PermissionError(errno.EACCES, "x", "/srv/hf"), "/srv/hf cannot be written .*set HF_HOME"),
    "no address": (KeyError("url"), "is not the Hub's"),
    "a broken connection": (ConnectionResetError(), "cannot be reached"),
    "a timeout": (TimeoutError(), "did not answer in time"),
}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("inner", [False, True])
def test_every_cause_is_its_own_sentence_even_behind_another(kind, inner):
    error, sentence = ERRORS[kind]
    with pytest.raises(UserError, match=sentence):
        with access.answers("me/girl"):
            if not inner:
                raise error
            raise LocalEntryNotFoundError("check your connection") from error


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        with access.answers("me/girl"):
            1 / 0  # noqa: B018


@pytest.mark.parametrize("token", ["hf_a\nb", "hf_ü", "hf a", "hf_\x00"])
def test_a_token_that_no_header_carries_is_told_and_not_shown(monkeypatch, token):
    monkeypatch.setattr(access.environment, "secret", lambda name: token)
    with pytest.raises(UserError, match="HF_TOKEN holds a space, a line break or a letter") as caught:
        access.token()
    assert token not in str(caught.value)


def test_the_offline_switch_is_named(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="is not kept here and the Hub is switched off by HF_HUB_OFFLINE"):
        runs.run_folder("me/girl")
    assert os.environ["HF_TOKEN"] == TOKEN
