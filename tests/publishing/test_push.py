"""Up to the Hub and down again: a run with its card, a checkpoint to go on from, drawings; private, and no secret."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import yaml
from huggingface_hub import constants

from comics_genai import drawings
from comics_genai.bases.adapters import load_adapter
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.publishing.push import push
from comics_genai.sampling.generate import Sampling, generate
from tests.hub_server import serving
from tests.stopping import stop_at_3

ROOT = Path(__file__).parents[2]
TOKEN = "hf_secret"
PROMPT = "a drawing of UnicornGirl, a girl"
SMALL = "num_inference_steps=2, generator=torch.Generator().manual_seed(0)"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Functions that serve one empty repository, and use it for uploads from this process."""

    def served(repo: str, kind: str, created: dict | None):
        folder = tmp_path / "hub" / repo
        folder.mkdir(parents=True)
        return folder, serving(folder, repo, TOKEN, kind, created)

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return served


@pytest.fixture
def settings(character_folder, tiny_sdxl) -> FinetuneSettings:
    return FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), method="lora", steps=6, batch_size=2, rank=4, alpha=8,
        learning_rate=1e-2, variants=2, warmup_steps=0, sampling=Sampling(steps=2),
    )  # fmt: skip


def fresh_process(endpoint: str, home: Path, *arguments: str, folder: Path = ROOT) -> str:
    """What a fresh Python, whose Hub is `endpoint`, prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    # As many threads as here: sums are split among them, and their last bits with them.
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


def command(endpoint: str, home: Path, *arguments: str, folder: Path = ROOT) -> str:
    """What a fresh process of the command line, whose Hub is `endpoint`, prints."""
    return fresh_process(endpoint, home, "-m", "comics_genai", *arguments, folder=folder)


def drawn_by(pipeline) -> np.ndarray:
    """A small picture of PROMPT, (height, width, 3)."""
    return np.asarray(eval(f"pipeline(PROMPT, {SMALL})").images[0], int)


def card_of(folder: Path) -> tuple[dict, str]:
    _, head, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_run_goes_up_with_its_card_and_comes_down_to_draw(settings, hub, monkeypatch, tmp_path):
    run, pictures = tmp_path / "run", tmp_path / "pictures"
    settings = replace(settings, learn_token=True, validate_every=3, checkpoint_every=3)
    finetune(settings, run, validate=lambda step, pictures: {"score": 1 / step})
    base = Base.load(settings.base)
    prompts = ["a drawing of UnicornGirl, a girl", "a drawing of UnicornGirl, a girl, jumping"]
    generate(base, prompts, [0], pictures, Sampling(steps=2))  # of the bare base: not for the card
    drawn = generate(base, prompts, [0], pictures, Sampling(steps=2), load_adapter(base, run))
    created: dict = {}
    folder, serve = hub("me/my-girl", "models", created)
    (folder / "image_3.png").write_bytes(b"of an earlier push")
    (folder / "notes.png").write_bytes(b"someone's own")
    with serve as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        for _ in range(2):  # again is no mistake
            assert push(run, "me/my-girl", pictures=pictures) == f"{endpoint}/me/my-girl"
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        out = command(
            endpoint, tmp_path / "home", "generate", "me/my-girl", "--base", settings.base, "--prompt", prompts[1],
            "--seeds", "0", "--steps", "2", "--device", "cpu", "--folder", str(tmp_path / "elsewhere"),
        )  # fmt: skip
    assert created["visibility"] == "private"
    weights = ["learned_embeds.safetensors", "pytorch_lora_weights.safetensors"]
    shown = ["image_0.png", "image_1.png", "image_2.png"]  # the last is the validation's
    assert names == sorted(["README.md", *shown, "notes.png", *weights, "settings.json"])
    for name in weights:  # those that validation chose
        assert (folder / name).read_bytes() == (run / "best" / name).read_bytes() != (run / name).read_bytes()
    head, body = card_of(folder)
    assert head["library_name"] == "diffusers" and head["instance_prompt"] == prompts[0]
    assert set(head["tags"]) == {"text-to-image", "diffusers", "diffusers-training", "lora", "template:sd-lora"}
    texts = [*prompts, prompts[0]]
    widget = [{"text": prompt, "output": {"url": name}} for prompt, name in zip(texts, shown, strict=True)]
    assert head["widget"] == widget and "<Gallery />" in body and "6 steps" in body
    assert (folder / "image_1.png").read_bytes() == drawn[1].path.read_bytes()
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert TOKEN.encode() not in everything and str(tmp_path.parent).encode() not in everything
    # The same picture, drawn with what was downloaded.
    assert "1 picture is in" in out
    (picture,) = (path for path in (tmp_path / "elsewhere").glob("*.png") if path.name != "grid.png")
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(picture)), np.asarray(drawn[1].image))


CARDS = {  # of each: the settings, and what the card's head says
    "an adapter": ({"learning_rate": 0.1, "lora_targets": "all"}, "lora"),  # so that its pictures differ visibly
    "an adapter and a token": ({"learn_token": True}, "lora"),
    "full weights": ({"method": "dreambooth", "prior": "none"}, "diffusers-training"),
    "full weights, text encoders and a token": (
        {"method": "dreambooth", "prior": "none", "train_text_encoders": True, "learn_token": True},
        "diffusers-training",
    ),
}


@pytest.mark.parametrize("changes", CARDS.values(), ids=CARDS)
def test_the_cards_code_loads_with_diffusers_what_was_pushed_to_a_private_repository(
    settings, legacy_sdxl, hub, monkeypatch, tmp_path, changes
):
    changes, tag = changes
    run, settings = tmp_path / "run", replace(settings, base=str(legacy_sdxl), **changes)
    finetune(settings, run)
    base = Base.load(settings.base)
    untrained = drawn_by(base.pipeline)
    load_adapter(base, run)
    record = json.loads((run / "settings.json").read_text())
    record["finetune"]["base"] = "sdxl"
    (run / "settings.json").write_text(json.dumps(record))
    folder, serve = hub("me/my-girl", "models", {})
    with serve as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        push(run, "me/my-girl", pictures=tmp_path / "none")
        head, body = card_of(folder)
        code = body.split("```python\n")[1].split("```")[0]
        here = {  # all else is run as it stands on the card
            head["base_model"]: settings.base, '.to("cuda")': "", "dtype=torch.float16": "dtype=torch.float32",
            f"pipeline({json.dumps(PROMPT)})": f"pipeline({json.dumps(PROMPT)}, {SMALL})",
        }  # fmt: skip
        for old, new in here.items():
            assert code.count(old) == 1, old
            code = code.replace(old, new)
        fresh_process(endpoint, tmp_path / "home", "-c", code, folder=tmp_path)
    assert head["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0" and head["license"] == "openrail++"
    assert {"stable-diffusion-xl", tag} <= set(head["tags"]) and "widget" not in head and "<Gallery" not in body
    expected, found = drawn_by(base.pipeline), np.asarray(PIL.Image.open(tmp_path / "unicorngirl.png"), int)
    assert np.abs(found - expected).max() <= 1 < np.abs(found - untrained).max()


def test_of_full_weights_the_average_goes_up_under_their_name(settings, hub, monkeypatch, tmp_path):
    run = tmp_path / "run"
    finetune(replace(settings, method="dreambooth", steps=2, ema_decay=0.5), run)
    test, base = tmp_path / "test", Base.load(settings.base)  # as a notebook lays its test pictures out
    generate(base, [PROMPT], [0], test / "base_same_prompt", Sampling(steps=2))
    (drawn,) = generate(base, [PROMPT], [0], test / "finetuned", Sampling(steps=2), load_adapter(base, run))
    folder, serve = hub("me/my-girl", "models", {})
    with serve as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        push(run, "me/my-girl", pictures=test)
    assert [path.read_bytes() for path in folder.glob("image_*")] == [drawn.path.read_bytes()]
    assert (folder / "weights.safetensors").read_bytes() == (run / "ema.safetensors").read_bytes()
    head, body = card_of(folder)
    assert "lora" not in head["tags"] and "rank" not in body and "```python" not in body  # its base is a folder here
    assert load_adapter(base, folder).full


def test_an_unfinished_run_goes_on_elsewhere_to_the_same_bytes(settings, hub, character_folder, monkeypatch, tmp_path):
    settings = replace(settings, checkpoint_every=2, validate_every=3, validation_prompts=("a girl",))
    finetune(settings, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        finetune(settings, tmp_path / "run", validate=stop_at_3)
    folder, serve = hub("me/half", "models", {})
    moved = tmp_path / "other machine"
    moved.mkdir()
    os.symlink(character_folder, moved / "drawings")
    with serve as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with pytest.raises(UserError, match="is not finished: start it again to go on, or push its checkpoint"):
            push(tmp_path / "run", "me/half")
        push(tmp_path / "run", "me/half", checkpoint=True)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        out = command(
            endpoint, tmp_path / "home", "finetune", "--resume-from", "me/half", "--drawings", "drawings",
            "--base", settings.base, "--device", "cpu", folder=moved,
        )  # fmt: skip
    assert names == ["README.md", "checkpoints/step_000002.safetensors", "log.jsonl", "settings.json"]
    assert (
        "--resume-from me/half" in card_of(folder)[1]
        and str(tmp_path.parent) not in (folder / "settings.json").read_text()
    )
    assert "finished after 6 steps" in out
    weights = moved / "runs" / "unicorngirl-lora" / "weights.safetensors"
    assert weights.read_bytes() == (tmp_path / "whole" / "weights.safetensors").read_bytes()


def test_drawings_go_up_upright_without_what_else_their_files_say_and_load_alike(hub, monkeypatch, tmp_path):
    source, (rng) = tmp_path / "drawings", np.random.default_rng(0)
    source.mkdir()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned
    exif[0x010E] = "at home"
    PIL.Image.fromarray(rng.integers(0, 255, (80, 100, 3), np.uint8)).save(source / "phone.png", exif=exif)
    PIL.Image.fromarray(rng.integers(0, 255, (90, 70, 4), np.uint8)).save(source / "layer.png")
    for name in ("phone", "layer"):
        (source / f"{name}.txt").write_text(f"UnicornGirl «{name}»", encoding="utf-8")
    created: dict = {}
    folder, serve = hub("me/drawings", "datasets", created)
    with serve as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        push(source, "me/drawings", public=True, licence="cc-by-4.0")
    assert created["visibility"] == "public" and created["type"] == "dataset"
    assert sorted(path.name for path in (folder / "train").iterdir()) == ["00.png", "01.png", "metadata.jsonl"]
    head, body = card_of(folder)
    assert head["license"] == "cc-by-4.0" and head["task_categories"] == ["text-to-image"] and "2 drawings" in body
    assert b"at home" not in b"".join(path.read_bytes() for path in folder.rglob("*.png"))
    ours, theirs = drawings.load(source), drawings.load(folder)
    for mine, loaded in zip(ours, theirs, strict=True):
        assert mine.caption == loaded.caption
        np.testing.assert_array_equal(np.asarray(mine.image), np.asarray(loaded.image))
        assert (mine.mask is None) == (loaded.mask is None)


DATASETS = """
import hashlib, json, sys
import datasets
rows = datasets.load_dataset(sys.argv[1], split="train")
digests = [hashlib.sha256(row["image"].convert("RGB").tobytes()).hexdigest() for row in rows]
print(json.dumps([[row["text"], list(row["image"].size), digest] for row, digest in zip(rows, digests)]))
"""


def test_drawings_that_were_pushed_load_with_datasets_from_their_private_repository(hub, character_folder, tmp_path):
    created: dict = {}
    _, serve = hub("me/drawings", "datasets", created)
    with serve as endpoint:
        told = command(endpoint, tmp_path / "here", "push", str(character_folder), "--repo", "me/drawings")
        loaded = fresh_process(endpoint, tmp_path / "elsewhere", "-c", DATASETS, "me/drawings", folder=tmp_path)
    assert created == created | {"visibility": "private", "type": "dataset"} and "me/drawings, private." in told
    expected = [
        [drawing.caption, list(drawing.image.size), hashlib.sha256(drawing.image.convert("RGB").tobytes()).hexdigest()]
        for drawing in drawings.load(character_folder)
    ]
    assert json.loads(loaded.splitlines()[-1]) == expected and len(expected) == 3


def test_what_cannot_go_up_is_one_sentence_without_the_token(hub, character_folder, monkeypatch, tmp_path):
    def refusal(source: Path = character_folder, repo: str = "me/drawings", **options) -> str:
        with pytest.raises(UserError) as caught:
            push(source, repo, **options)
        sentence = str(caught.value)
        assert sentence.endswith(".") and TOKEN not in sentence
        return sentence

    assert "cannot be a name on the Hub: give OWNER/NAME" in refusal(repo="drawings")
    assert "There is no folder" in refusal(tmp_path / "absent")
    assert "no pictures" in refusal(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text(json.dumps({"finetune": {"learn_token": False}}))
    assert "has no checkpoint to push" in refusal(tmp_path / "run", checkpoint=True)
    folder, serve = hub("me/drawings", "datasets", {"visibility": "public"})
    with serve as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        assert "is there already and public: push with --public" in refusal()
        assert not list(folder.iterdir())
        monkeypatch.setenv("HF_TOKEN", "hf_other")
        assert "lets nobody with this token write to me/drawings (401)" in refusal()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert "The Hub cannot be reached to upload me/drawings" in refusal()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("comics_genai.hub.access.get_token", lambda: None)
    assert "There is no token for the Hub here: set HF_TOKEN" in refusal()
