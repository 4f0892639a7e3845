"""Checkpoints through the Hub while training goes on: a machine taken away loses nothing, and no fault stops a run."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.hub import access
from comics_genai.publishing import retries
from comics_genai.publishing.push import push
from comics_genai.publishing.uploading import check_token, may_write, uploading
from comics_genai.sampling.generate import Sampling
from tests.hub_server import serving
from tests.stopping import stop_at_3

ROOT, TOKEN = Path(__file__).parents[2], "hf_secret"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A function that serves one empty repository, me/half, to this process."""
    (tmp_path / "hub").mkdir()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return lambda **options: serving(tmp_path / "hub", "me/half", TOKEN, "models", {}, **options)


@pytest.fixture
def unfinished(character_folder, tiny_sdxl, tmp_path) -> Path:
    settings = FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), method="lora", steps=6, batch_size=2, rank=4, variants=1,
        warmup_steps=0, checkpoint_every=2, validate_every=3, validation_prompts=("a girl",),
        sampling=Sampling(steps=2),
    )  # fmt: skip
    with pytest.raises(InterruptedError):
        finetune(settings, tmp_path / "run", validate=stop_at_3)
    return tmp_path / "run"


def test_without_a_repository_nothing_goes_to_the_hub_and_no_token_is_needed(served, unfinished, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    with served() as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with uploading(unfinished, "", minutes=60):
            pass
    assert not list((tmp_path / "hub").iterdir())


def test_a_token_that_may_not_write_is_found_out_before_training(served, monkeypatch):
    with served(role="read") as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with pytest.raises(UserError, match="HF_TOKEN may not write to me/half: make a token of the type Write"):
            check_token("me/half")
        monkeypatch.setenv("HF_TOKEN", "hf_other")
        with pytest.raises(UserError, match=r"does not know HF_TOKEN \(401\): copy it anew") as raised:
            check_token("me/half")
        assert "hf_other" not in str(raised.value)
    with served() as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        check_token("me/half")


def test_a_fine_grained_token_writes_where_its_scopes_say():
    scope = {"entity": {"name": "me"}, "permissions": ["repo.content.read", "repo.write"]}
    token = {"role": "fineGrained", "fineGrained": {"scoped": [scope]}}
    assert may_write(token, "me/half") and not may_write(token, "you/half")
    assert not may_write({"role": "fineGrained", "fineGrained": {"scoped": []}}, "me/half")
    assert [may_write({"role": role}, "me/half") for role in ("read", "write", "admin")] == [False, True, True]
    assert may_write({}, "me/half")  # a log-in through the browser


@pytest.mark.parametrize("faults", [[503, 500], [429], [0]], ids=["fault of the Hub", "too many requests", "reset"])
def test_a_passing_fault_is_tried_again_and_the_files_arrive(served, unfinished, monkeypatch, tmp_path, faults):
    with served(faults=faults) as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        push(unfinished, "me/half", checkpoint=True)
    name = "checkpoints/step_000002.safetensors"
    assert (tmp_path / "hub" / name).read_bytes() == (unfinished / name).read_bytes() and faults == []


def test_a_push_arrives_though_every_kind_of_its_requests_fails_once(served, unfinished, monkeypatch, tmp_path):
    monkeypatch.setattr(access, "SILENCE", 0.5)
    # Each time one request further: the repository's creation, the card's check, then what leads to the commit.
    faults: list = [503, None, "slow", None, 0, None, None, 429, None, None, None, 502]
    with served(faults=faults) as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        push(unfinished, "me/half", checkpoint=True)
    assert faults == []
    name = "checkpoints/step_000002.safetensors"
    assert (tmp_path / "hub" / name).read_bytes() == (unfinished / name).read_bytes()


@pytest.mark.parametrize("what", ["a push", "the token's check"])
def test_a_hub_that_never_answers_is_asked_twice_and_then_a_sentence(served, unfinished, monkeypatch, what):
    assert 2 * access.SECONDS + retries.FIRST_WAIT < 60  # seconds until the sentence
    monkeypatch.setattr(access, "SECONDS", 0.2)
    monkeypatch.setattr(access, "SILENCE", 3600.0)
    asked = []

    def listen(silent: socket.socket) -> None:
        with suppress(OSError):
            while True:
                asked.append(silent.accept())

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        threading.Thread(target=listen, args=(silent,), daemon=True).start()
        with pytest.raises(UserError, match="The Hub did not answer in time about me/half: try again later"):
            push(unfinished, "me/half", checkpoint=True) if what == "a push" else check_token("me/half")
    assert len(asked) == 2


def test_storage_that_refuses_a_large_file_is_one_sentence_and_stops_no_run(served, unfinished, monkeypatch):
    with served(storage=[403, 413]) as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with pytest.raises(UserError, match=r"lets nobody with this token write to me/half \(403\)"):
            push(unfinished, "me/half", checkpoint=True)
        with pytest.warns(UserWarning, match=r"not uploaded: A file for me/half is larger .* By hand: `push"):
            with uploading(unfinished, "me/half", 60):
                pass


def test_a_token_that_only_reads_is_refused_in_one_sentence_and_at_once(served, unfinished, monkeypatch, tmp_path):
    with served(role="read") as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with pytest.raises(UserError, match=r"token write to me/half \(403\).*the right to write") as raised:
            push(unfinished, "me/half", checkpoint=True)
    assert TOKEN not in str(raised.value) and not list((tmp_path / "hub").iterdir())


def test_a_lasting_fault_stops_no_run_and_says_how_to_push_again(served, unfinished, monkeypatch):
    with served(faults=[400] * 9) as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with pytest.warns(UserWarning, match=r"The checkpoint was not uploaded: .* By hand: `push .* --checkpoint`"):
            with uploading(unfinished, "me/half", 60):
                pass


def test_a_run_whose_machine_is_taken_away_goes_on_from_the_hub_to_the_same_bytes(
    served, unfinished, character_folder, tiny_sdxl, tmp_path
):
    options = [
        *("--drawings", str(character_folder), "--base", str(tiny_sdxl), "--method", "lora", "--steps", "60"),
        *("--batch-size", "2", "--rank", "4", "--variants", "1", "--warmup-steps", "0", "--checkpoint-every", "5"),
        *("--validate-every", "0", "--device", "cpu"),
    ]
    hub, threads = tmp_path / "hub", {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": str(ROOT)}

    def command(endpoint: str, *arguments: str) -> subprocess.Popen:
        environment = os.environ | threads | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")}
        environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN}
        program = [sys.executable, "-m", "comics_genai", "finetune", *arguments]
        return subprocess.Popen(program, env=environment, cwd=tmp_path)

    with served() as endpoint:
        lost = ["--run", "lost", "--upload-to", "me/half", "--upload-every", "0.0005"]
        running = command(endpoint, *options, *lost)
        while not list(hub.glob("checkpoints/*")) and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        shutil.rmtree(tmp_path / "lost")
        (pushed,) = hub.glob("checkpoints/step_*.safetensors")
        resumed = command(
            endpoint, "--resume-from", "me/half", "--run", "resumed", "--device", "cpu",
            "--drawings", str(character_folder), "--base", str(tiny_sdxl),
        )  # fmt: skip
        assert resumed.wait() == 0
        whole = command(endpoint, *options, "--run", "whole")
        assert whole.wait() == 0
    assert 0 < int(pushed.stem.removeprefix("step_")) <= 60
    weights = "weights.safetensors"
    assert (tmp_path / "resumed" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
