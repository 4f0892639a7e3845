"""Every notebook runs from its first cell to its last, with small parameters, in a copy of the repository."""

import json
import shutil
from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parent.parent
TRAINING = {
    "dreambooth/DreamBooth": "smoke_dreambooth",
    "lora/LoRA": "smoke_lora",
    "dreambooth_lora/DreamBooth-LoRA": "smoke",
}
SMOKE: dict[str, dict] = {
    "1_data/Comic_World.ipynb": {"characters": 6, "side": 64},
    "1_data/Pretrain_Mini_SDXL.ipynb": {},
    "2_descriptive_stats/Image_ColorBreakdown.ipynb": {},
    "2_descriptive_stats/Image_DataOverview.ipynb": {},
    "2_descriptive_stats/Image_HSV.ipynb": {},
    **{
        f"4_finetuning/{name}.ipynb": {"run": run, "steps": 2, "validate_every": 2, "test_scenes": 2}
        for name, run in TRAINING.items()
    },
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy whose runs and pictures are its own."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "comics_genai", root / "comics_genai", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "1_data").symlink_to(ROOT / "1_data")
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, root / name)
    return root


@pytest.mark.parametrize("path", SMOKE)
def test_it_runs_to_its_end(path, repository):
    folder = repository / "work" / Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    executed = folder / Path(path).name
    papermill.execute_notebook(
        str(ROOT / path), str(executed), parameters=SMOKE[path], cwd=str(folder), progress_bar=False
    )
    cells = [cell for cell in nbformat.read(executed, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    if "test_scenes" in SMOKE[path]:
        run = SMOKE[path]["run"]
        scores = json.loads((repository / "6_generated" / run / "scores.json").read_text())
        assert {row["pictures"] for row in scores["rows"]} == {4}
        assert (repository / "runs" / run / "weights.safetensors").exists()
        assert json.loads((repository / "runs" / run / "best" / "chosen.json").read_text())["step"] == 2


def test_no_notebook_is_left_out():
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("[0-9]_*/**/*.ipynb")}
    assert {path for path in found if not path.startswith("6_generated/")} == set(SMOKE)
