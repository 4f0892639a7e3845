"""What others made chooses neither where is written nor what is read or uploaded, whichever command reads it."""

import ast
import json
import os
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

from comics_genai.__main__ import main
from comics_genai.bases.adapters import digest_of, weights_of
from comics_genai.drawings.captions import instance_prompt
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.publishing import cards
from comics_genai.publishing.push import push
from comics_genai.sampling.records import write_picture
from tests.hub_server import serving

TOKEN = "hf_secret"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder that the Hub serves as me/x, and its address in force."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "hub"
    folder.mkdir()
    with serving(folder, "me/x", TOKEN, "models", {"visibility": "private"}) as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder, beside which lies a secret."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not {"cache", "hub"} & set(path.relative_to(folder).parts)}


def refused(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err
    assert said.endswith(".\n") and "Traceback" not in said and TOKEN not in said
    return said


HOSTILE = {
    "an identifier that is a path": ({"identifier": "../../escaped/x"}, "The identifier '../../escaped/x' holds '/'"),
    "an absolute identifier": ({"identifier": "/tmp/escaped"}, "The identifier '/tmp/escaped' holds '/'"),
    "an identifier of two lines": ({"identifier": "a\nb"}, "The identifier"),
    "a folder here as its base": ({"base": "../hub"}, "names '../hub', a folder of the machine it was made on"),
    "any folder as its base": ({"base": "/etc"}, "give --base for this machine"),
    "a folder here as its drawings": ({"drawings": "/home"}, "give --drawings for this machine"),
    "a folder as CLIP": ({"validate_every": 5, "validation_clip": "/etc"}, "give --validation-clip for this machine"),
    "CLIP's earlier name": ({"validate_every": 5, "judge_clip": "/etc"}, "give --validation-clip for this machine"),
    "settings of another type": ({"steps": "many"}, "steps is 'many', but must be a whole number"),
    "a setting that there is not": ({"hook": "os.system"}, "The run's settings are damaged, or of another version"),
    "sampling that is a list": ({"sampling": [1]}, "The run's settings are damaged, or of another version"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_runs_settings_from_the_hub_write_nowhere_and_name_nothing_here(hub, here, capsys, kind):
    values, sentence = HOSTILE[kind]
    record = json.loads(json.dumps(asdict(FinetuneSettings(base="me/base", drawings="me/drawings")))) | values
    (hub / "settings.json").write_text(json.dumps({"finetune": record, "loop": {}}))
    (hub / "checkpoints").mkdir()
    safetensors.torch.save_file({"x": torch.ones(1)}, hub / "checkpoints" / "step_000001.safetensors")
    before = everything(here.parent)
    assert sentence in refused(capsys, "finetune", "--resume-from", "me/x", "--device", "cpu")
    assert everything(here.parent) == before


@pytest.mark.parametrize("base", ["../hub", "/etc", ".", "C:\\base", 3, None, ["mini"]])
def test_an_adapter_from_the_hub_names_no_base_here(hub, here, capsys, base):
    (hub / "settings.json").write_text(json.dumps({"finetune": {"base": base}}))
    safetensors.torch.save_file({"x": torch.ones(1)}, hub / "pytorch_lora_weights.safetensors")
    before = everything(here.parent)
    said = refused(capsys, "generate", "me/x", "--prompt", "a girl", "--device", "cpu", "--folder", "pictures")
    assert "give --base for this machine" in said
    assert everything(here.parent) == before


@pytest.fixture
def run(girl_run, tmp_path) -> Path:
    return Path(shutil.copytree(girl_run, tmp_path / "run"))


def drawn(run: Path, folder: Path, name: str) -> None:
    """A folder of pictures whose list names `name`, drawn with the run."""
    folder.mkdir(exist_ok=True)
    row = {"file_name": name, "prompt": "a girl", "seed": 0, "adapter_digest": digest_of(weights_of(run))}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "link.png", "gone.png", "text.png"])
def test_a_row_uploads_no_file_but_a_picture_of_the_folder(hub, here, run, name):
    pictures = here / "pictures"
    drawn(run, pictures, name)
    os.symlink(here.parent / "secret.txt", pictures / "link.png")
    (pictures / "text.png").write_text("secret")
    with pytest.raises(UserError, match=r"metadata\.jsonl names|is gone or no whole picture"):
        push(run, "me/x", pictures=pictures)
    assert not list(hub.iterdir())


@pytest.mark.parametrize("what", ["000.txt", "000.png", "metadata.jsonl"])
def test_drawings_that_link_out_of_their_folder_are_not_uploaded(hub, here, what):
    folder = here / "drawings"
    folder.mkdir()
    for i in range(2):
        picture = np.random.default_rng(i).integers(0, 255, (80, 80, 3), np.uint8)
        PIL.Image.fromarray(picture).save(folder / f"{i:03}.png")
    (folder / what).unlink(missing_ok=True)
    os.symlink(here.parent / "secret.txt", folder / what)
    with pytest.raises(UserError, match=f"{what} is a link out of .*: put the file itself there"):
        push(folder, "me/x")
    assert not list(hub.iterdir())


@pytest.mark.parametrize("name", ["log.jsonl", "best/chosen.json"])
def test_a_link_out_of_a_run_is_not_uploaded_with_its_checkpoint(hub, here, run, name):
    (run / "best").mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    os.symlink(here.parent / "secret.txt", run / name)
    with pytest.raises(UserError, match=f"names {name}, which lies outside of"):
        push(run, "me/x", checkpoint=True)
    assert not list(hub.iterdir())


@pytest.mark.parametrize("what", ["a link", "a text"])
def test_a_validation_picture_that_is_a_link_or_none_is_not_uploaded(hub, here, run, what):
    picture = run / "validation" / "step_000001.png"
    picture.parent.mkdir(exist_ok=True)
    if what == "a link":
        PIL.Image.new("RGB", (8, 8)).save(here.parent / "secret.png")
        os.symlink(here.parent / "secret.png", picture)
    else:
        picture.write_text("no picture")
    with pytest.raises(UserError, match="lies outside of|step_000001.png is gone or damaged: delete it"):
        push(run, "me/x", pictures=here)
    assert not list(hub.iterdir())


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_torn_file_is_not_uploaded(hub, here, run, checkpoint):
    torn = sorted(run.glob("checkpoints/*.safetensors"))[-1] if checkpoint else run / "pytorch_lora_weights.safetensors"
    damage(torn)
    with pytest.raises(UserError, match=f"{torn.name} is damaged"):
        push(run, "me/x", checkpoint=checkpoint, pictures=here)
    assert not list(hub.iterdir())


def test_no_path_of_this_machine_is_uploaded(hub, here, run):
    path = run / "settings.json"
    record = json.loads(path.read_text())
    networks = {"validation_clip": str(here / "clip"), "validation_dino": "C:\\Users\\me\\dino"}
    record["finetune"] |= networks | {"drawings": "~/girl"}
    record["notes"] = [str(here.parent / "else")]
    path.write_text(json.dumps(record))
    pictures = here / "pictures"
    drawn(run, pictures, "a.png")
    write_picture(pictures / "a.png", PIL.Image.new("RGB", (8, 8)), {"prompt": "a girl"})
    push(run, "me/x", pictures=pictures)
    settings = json.loads((hub / "settings.json").read_text())
    named = [settings["finetune"][name] for name in ("validation_clip", "validation_dino", "drawings")]
    assert named == ["clip", "dino", "girl"] and settings["notes"] == ["else"]
    uploaded = b"".join(file.read_bytes() for file in hub.rglob("*") if file.is_file())
    assert str(here.parent).encode() not in uploaded and b"Users" not in uploaded
    assert (hub / "image_0.png").read_bytes() == (pictures / "a.png").read_bytes()


@pytest.mark.parametrize(
    "identifier", ['say "hi"', "it's", "$(reboot)", "`reboot`", "<b>x", "a_b*c", "Ünï", "a&b"]
)
def test_names_are_quoted_in_the_cards_shell_and_python(identifier):
    settings = {"identifier": identifier, "class_name": "girl", "base": "sdxl", "method": "lora", "steps": 3}
    settings |= {"learning_rate": 1e-3, "seed": 0, "rank": 4, "alpha": 4.0, "learn_token": True}
    card = cards.run_card("me/x", settings, [])
    prompt = instance_prompt(None, identifier, "girl")
    line = next(line for line in card.splitlines() if line.startswith("python -m"))
    assert shlex.split(line)[5:] == ["--prompt", prompt, "--seeds", "0-7"]
    code = ast.parse(card.split("```python\n")[1].split("```")[0])
    texts = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert {prompt, identifier, "me/x"} <= texts
    assert "<b>" not in card.split("---")[2].split("```")[0].replace(f"`{prompt.replace('`', ' ')}`", "")


@pytest.mark.parametrize("repo", ["me/a--b", "me/a..b", "../x", "me", "a/b/c", "me/ü", ""])
def test_no_repository_of_a_wrong_name_is_asked_for(hub, here, run, capsys, repo):
    assert "cannot be a name on the Hub" in refused(capsys, "push", str(run), "--repo", repo)
    assert "There is no" in refused(capsys, "generate", repo or "x", "--prompt", "x", "--device", "cpu")
    assert "There is no" in refused(capsys, "finetune", "--resume-from", repo or "x", "--device", "cpu")
