"""Runs on the Hub come down whole through the real client, whatever the way there does; else one sentence says why."""

import filecmp
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from comics_genai.errors import UserError
from comics_genai.hub import runs
from comics_genai.run import LORA_FILE, SETTINGS_FILE
from tests.hub_server import serving

TOKEN = "hf_secret"


@pytest.fixture
def hub(girl_run, monkeypatch, tmp_path):
    """A function that serves a finished run as me/girl, its next reads with faults, to a client with an empty cache."""
    (tmp_path / "hub").mkdir()
    for name in (LORA_FILE, SETTINGS_FILE):
        shutil.copy(girl_run / name, tmp_path / "hub")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name, value in {
        "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DOWNLOAD_TIMEOUT": 0.5,
    }.items():  # fmt: skip
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    return lambda reads, token=TOKEN: serving(tmp_path / "hub", "me/girl", token, "models", reads=reads)


def downloaded(monkeypatch, endpoint: str) -> Path:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    return runs.run_folder("me/girl")


@pytest.mark.parametrize("reads", [["slow"], ["truncated"], ["truncated", "reset", "slow"], ["reset"], ["429"]])
def test_what_passes_costs_no_byte(hub, girl_run, monkeypatch, reads):
    with hub(reads) as endpoint:
        folder = downloaded(monkeypatch, endpoint)
    assert reads == []
    for name in (LORA_FILE, SETTINGS_FILE):
        assert filecmp.cmp(folder / name, girl_run / name, shallow=False)


@pytest.mark.parametrize("fault", ["slow", "truncated", "reset", "500", "403", "401"])
def test_what_lasts_is_one_sentence_and_leaves_no_half_file(hub, girl_run, monkeypatch, fault):
    with hub([fault] * 200) as endpoint, pytest.raises(UserError) as raised:
        downloaded(monkeypatch, endpoint)
    said = str(raised.value)
    assert "me/girl" in said and said.endswith(".") and "\n" not in said and TOKEN not in said
    with hub([]) as endpoint:  # later it works, from where it was
        folder = downloaded(monkeypatch, endpoint)
    assert filecmp.cmp(folder / LORA_FILE, girl_run / LORA_FILE, shallow=False)


def test_a_private_run_is_hidden_from_another_token(hub, monkeypatch):
    with hub([], token="hf_of_its_owner") as endpoint:
        with pytest.raises(UserError, match="me/girl is neither a folder here nor a model .* set HF_TOKEN"):
            downloaded(monkeypatch, endpoint)
