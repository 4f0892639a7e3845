"""Every notebook runs from its first cell to its last, with small parameters, as on Kaggle and Colab: no repository
around it, the package from its wheel."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest

from tests import hosted
from tests.hub_server import serving

ROOT = Path(__file__).parent.parent
TRAINING = {
    "dreambooth/DreamBooth": "smoke_dreambooth",
    "lora/LoRA": "smoke_lora",
    "dreambooth_lora/DreamBooth-LoRA": "smoke",
}
SAVED = {
    "dreambooth/DreamBooth_Inference": "smoke_saved_dreambooth",
    "dreambooth_lora/DreamBooth-LoRA-Inference": "smoke_saved",
}
DRAWING = {  # with saved weights
    "training_steps": 1,
    "sampling_steps": 2,
    "scenes": 1,
    "seeds": 1,
    "adapter_scales": [0.0, 1.25],
    "guidances": [4.0],
    "schedulers": ["ddim"],
    "steps": [2],
    "negatives": ["", "a hat"],
}
QUICK = {"steps": 2, "validate_every": 2, "sampling_steps": 2, "test_scenes": 2}
STUDIES = {
    "Comparison": "comparison",
    "Ablations": "ablations",
    "tuning/Training_Steps": "training_steps",
    "tuning/Learning_Rate": "learning_rate",
    "tuning/Inference_Steps": "inference_steps",
}
FROM_HUB = (  # those whose drawings come from a private dataset on the Hub here; those of the others, from the wheel
    "2_descriptive_stats/Image_ColorBreakdown.ipynb",
    "2_descriptive_stats/Image_HSV.ipynb",
    "3_baselines/gan/GAN_Model_Version1.ipynb",
    "3_baselines/diffusion/Diffusion_256x256.ipynb",
    "3_baselines/Stable-Diffusion-XL-Prompt.ipynb",
    "4_finetuning/lora/LoRA.ipynb",
    "4_finetuning/dreambooth/DreamBooth_GoogleColab.ipynb",
    "4_finetuning/dreambooth_lora/DreamBooth-LoRA-Inference.ipynb",
)
SMOKE: dict[str, dict] = {
    "1_data/Comic_World.ipynb": {"characters": 6, "side": 64},
    "1_data/Pretrain_Mini_SDXL.ipynb": {},
    "2_descriptive_stats/Image_ColorBreakdown.ipynb": {},
    "2_descriptive_stats/Image_DataOverview.ipynb": {},
    "2_descriptive_stats/Image_HSV.ipynb": {},
    "3_baselines/gan/GAN_Model_Version1.ipynb": {"run": "smoke_gan_v1", "steps": 2, "validate_every": 1, "pictures": 4},
    "3_baselines/gan/GAN_Model_Version2.ipynb": {
        "run": "smoke_gan_v2",
        "version_1_run": "smoke_gan_v1",
        "steps": 2,
        "version_1_steps": 2,
        "validate_every": 1,
        "pictures": 4,
    },
    "3_baselines/diffusion/Diffusion_32x32.ipynb": {
        "run": "smoke_ddpm_32",
        "steps": 2,
        "validate_every": 1,
        "white_paper_steps": 1,
        "pictures": 4,
        "sampling_steps": 2,
        "ddpm_steps": 3,
    },
    "3_baselines/diffusion/Diffusion_256x256.ipynb": {
        "run": "smoke_ddpm_256",
        "steps": 1,
        "validate_every": 1,
        "pictures": 2,
        "sampling_steps": 2,
        "measure_unfolded": False,
    },
    "3_baselines/Scaling.ipynb": {
        "run": "smoke_scaling",
        "counts": [6, 9],
        "steps": {"GAN version 2": 1, "DDPM 32": 1},
        "pictures": 4,
    },
    "3_baselines/Stable-Diffusion-XL-Prompt.ipynb": {
        "pictures_folder": "smoke_prompt",
        "sampling_steps": 2,
        "scenes": 1,
        "seeds": 1,
        "guidances": [4.0],
        "steps": [2],
        "negatives": ["", "a hat"],
        "noises": [0.5, 0.9],
    },
    **{f"4_finetuning/{name}.ipynb": {"study": f"smoke/{study}"} for name, study in STUDIES.items()},
    "4_finetuning/dreambooth/DreamBooth_GoogleColab.ipynb": {
        "run": "smoke_colab",
        "steps": 2,
        "validate_every": 2,
        "test_scenes": 2,
    },
    **{f"4_finetuning/{name}.ipynb": {"run": run, "pictures_folder": run, **DRAWING} for name, run in SAVED.items()},
    **{f"4_finetuning/{name}.ipynb": {"run": run, **QUICK} for name, run in TRAINING.items()},
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> hosted.Hosted:
    """A stand-in for Kaggle and Colab, with the package in an attached wheel; runs and pictures stay in its folder."""
    return hosted.kaggle(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def dataset(machine) -> Iterator[str]:
    """The address of a Hub with the drawings as a private dataset, me/girl, for who gives the platform's secret."""
    with serving(ROOT / "1_data/unicorn_girl", "me/girl", hosted.TOKEN) as endpoint:
        yield endpoint


@pytest.fixture
def kernels(machine, monkeypatch, tmp_path):
    """The stand-in's kernels for papermill; their only token is the secret in the platform's store."""
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    known = {"JUPYTER_PATH": machine.kernels, "HF_HOME": tmp_path / "home", "HF_HUB_DISABLE_XET": "1"}
    for name, value in known.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("path", SMOKE)
def test_it_runs_to_its_end_where_no_repository_is_around(path, machine, dataset, kernels, monkeypatch):
    repository = machine.working
    executed = machine.kernels.parent / Path(path).name
    from_hub = {"drawings_source": "me/girl"} if path in FROM_HUB else {}
    monkeypatch.setenv("HF_ENDPOINT", dataset)
    papermill.execute_notebook(
        str(ROOT / path),
        str(executed),
        parameters=SMOKE[path] | from_hub,
        kernel_name="colab" if "Colab" in path else "kaggle",
        cwd=str(repository),
        progress_bar=False,
    )
    text = executed.read_text(encoding="utf-8")
    assert hosted.TOKEN not in text
    if "Colab" in path:
        assert "from me/girl; there is a secret HF_TOKEN." in text
    cells = [cell for cell in nbformat.read(executed, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    if "test_scenes" in SMOKE[path]:
        run = SMOKE[path]["run"]
        scores = json.loads((repository / "6_generated" / run / "scores.json").read_text())
        assert {row["pictures"] for row in scores["rows"]} == {4}
        assert (repository / "runs" / run / "weights.safetensors").exists()
        assert json.loads((repository / "runs" / run / "best" / "chosen.json").read_text())["step"] == 2
    if "pictures_folder" in SMOKE[path]:
        _check_ways(repository / "6_generated" / SMOKE[path]["pictures_folder"])
    if path.startswith("3_baselines/") and "pictures" in SMOKE[path]:
        _check_samples(SMOKE[path], repository)


def _check_ways(folder: Path) -> None:
    """Every way to draw left its pictures, each with its record, and its scores."""
    names = [json.loads(line)["file_name"] for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert names and all((folder / name).exists() for name in names)
    for comparison in folder.glob("*.json"):
        assert {row["pictures"] for row in json.loads(comparison.read_text())["rows"]} == {1}, comparison
    assert {"guidance.json", "negative.json"} <= {file.name for file in folder.glob("*.json")}


def _check_samples(parameters: dict, repository: Path) -> None:
    """What a model from scratch left in 6_generated/: its pictures and their scores, between ceiling and floor."""
    folder = repository / "6_generated" / parameters["run"]
    if "counts" in parameters:
        points = json.loads((folder / "scaling.json").read_text())["points"]
        assert [point["drawings"] for point in points] == 2 * parameters["counts"]
        return
    names = [json.loads(line)["file_name"] for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert len(names) == min(parameters["pictures"], 6) and all((folder / name).exists() for name in names)
    rows = json.loads((folder / "scores.json").read_text())["rows"]
    assert [row["pictures"] for row in rows] == [parameters["pictures"], 48, 48]
    assert (repository / "runs" / parameters["run"] / "weights.safetensors").exists()


def test_no_notebook_is_left_out():
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("[0-9]_*/**/*.ipynb")}
    assert {path for path in found if not path.startswith("6_generated/")} == set(SMOKE)


@pytest.fixture
def session(machine, kernels, girl, tiny_sdxl, tmp_path):
    """A function that executes a notebook of 4_finetuning/ in a session of its own, on a tiny base; its text then."""
    known = {"base": str(tiny_sdxl), "drawings_source": str(girl), "validate_every": 0, "test_scenes": 1, "steps": 3}
    known |= {"seeds_a_prompt": 1}

    def execute(name: str, run: str, platform: str, **parameters) -> str:
        executed = tmp_path / f"{run}.ipynb"
        papermill.execute_notebook(
            str(ROOT / "4_finetuning" / name), str(executed), parameters=known | {"run": run} | parameters,
            kernel_name=platform, cwd=str(machine.working), progress_bar=False,
        )  # fmt: skip
        return executed.read_text(encoding="utf-8")

    return execute


def test_a_session_of_colab_that_ends_goes_on_in_the_next_from_the_hub(machine, session, monkeypatch, tmp_path):
    name = "dreambooth/DreamBooth_GoogleColab.ipynb"
    hub, runs = tmp_path / "hub", machine.working / "runs"
    hub.mkdir()
    with serving(hub, "me/half", hosted.TOKEN, "models", {}) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        ended = session(name, "ended", "colab", repository="me/half", max_minutes=1e-9)
        assert "Training stopped before its end" in ended
        pushed = [path.name for path in hub.glob("checkpoints/*")]
        assert len(pushed) == 1 and 0 < int(Path(pushed[0]).stem.removeprefix("step_")) < 3
        shutil.rmtree(runs / "ended")
        told = session(name, "goes_on", "colab", repository="me/half", resume_from="me/half")
    assert f"{endpoint}/me/half" in told and not list(hub.glob("checkpoints/*"))
    session(name, "whole", "colab")
    weights = "weights.safetensors"
    assert (hub / weights).read_bytes() == (runs / "whole" / weights).read_bytes()
    assert hosted.TOKEN not in told + "".join(file.read_text(errors="replace") for file in hub.glob("*.*"))


def test_a_notebook_on_kaggle_puts_its_weights_into_a_private_repository(machine, session, monkeypatch, tmp_path):
    hub, created = tmp_path / "hub", {}
    hub.mkdir()
    with serving(hub, "me/girl", hosted.TOKEN, "models", created) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        told = session("lora/LoRA.ipynb", "pushed", "kaggle", repository="me/girl", sampling_steps=2, rank=4)
    assert created["visibility"] == "private" and f"{endpoint}/me/girl" in told
    weights = "pytorch_lora_weights.safetensors"
    assert (hub / weights).read_bytes() == (machine.working / "runs" / "pushed" / weights).read_bytes()
    card = (hub / "README.md").read_text(encoding="utf-8")
    assert "url: image_0.png" in card and (hub / "image_0.png").is_file() and "## Scores" in card
    assert hosted.TOKEN not in told + "".join(file.read_text(errors="replace") for file in hub.glob("*.*"))
