"""A folder that Kaggle's client takes: what it checks before it sends anything; a notebook that runs as it stands."""

import json
from pathlib import Path

import nbformat
import pytest

from comics_genai.errors import UserError
from comics_genai.notebooks.execute import parameters_of
from comics_genai.publishing import kaggle

NOTEBOOK = Path(__file__).parents[2] / "4_finetuning" / "lora" / "LoRA.ipynb"


def given(*options: str) -> tuple:
    return kaggle.parsed(["--user", "ann", *options], parameters_of(NOTEBOOK))


def test_the_folder_holds_the_notebook_with_its_parameters_and_the_wheel(tmp_path):
    push, _, parameters = given("--base", "sdxl", "--steps", "800", "--drawings-source", "me/girl")
    assert parameters == {"base": "sdxl", "steps": 800, "drawings_source": "me/girl"}
    assert kaggle.write(NOTEBOOK, parameters, push, tmp_path) == tmp_path
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    wheel = names[2]
    assert names[:2] == ["notebook/LoRA.ipynb", "notebook/kernel-metadata.json"]
    assert wheel.startswith("wheel/comics_genai-") and wheel.endswith(".whl")
    assert names[3:] == ["wheel/dataset-metadata.json"]
    cells = [cell for cell in nbformat.read(tmp_path / names[0], 4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    values: dict = {}
    for cell in cells[1:3]:  # the defaults, and what was given behind them
        exec(cell.source, values)
    assert (values["base"], values["steps"], values["drawings_source"]) == ("sdxl", 800, "me/girl")
    assert values["rank"] == parameters_of(NOTEBOOK)["rank"]
    kernel, dataset = (json.loads((tmp_path / names[i]).read_text()) for i in (1, 3))
    assert kernel["code_file"] == "LoRA.ipynb" and dataset["id"] in kernel["dataset_sources"]


def test_the_metadata_pass_what_the_client_checks():
    push = kaggle.Push("ann", ("bob/drawings",), ("stabilityai/stable-diffusion-xl/pytorch/base-1-0/1",))
    fields = kaggle.kernel_metadata(push, "DreamBooth-LoRA.ipynb")
    owner, slug = fields["id"].split("/")
    assert owner == "ann" and slug == kaggle.slug(fields["title"]) == "comics-genai-dreambooth-lora"
    assert 5 <= len(fields["title"]) <= 50
    assert (fields["language"], fields["kernel_type"]) == ("python", "notebook")
    assert (fields["is_private"], fields["enable_gpu"], fields["enable_internet"]) == (True, True, True)
    assert fields["machine_shape"] == "NvidiaTeslaT4"
    assert fields["dataset_sources"] == ["ann/comics-genai-wheel", "bob/drawings"]
    assert all(len(source.split("/")) == 5 for source in fields["model_sources"])
    assert "machine_shape" not in kaggle.kernel_metadata(kaggle.Push("ann", gpu=False), "LoRA.ipynb")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rank", "many"], "--rank is 'many', but must be of the kind of "),
        (["--datasets", "drawings"], "Kaggle has no source 'drawings': give OWNER/NAME"),
        (["--models", "a/b"], "Kaggle has no source 'a/b': give OWNER/MODEL/FRAMEWORK/VARIATION/VERSION"),
        (["--user", "Ann Smith"], "'Ann Smith' cannot be a name on Kaggle"),
    ],
)
def test_what_kaggle_would_refuse_is_one_sentence_before_anything_is_written(options, sentence):
    with pytest.raises(UserError) as raised:
        given(*options)
    assert sentence in str(raised.value)


def test_a_whole_number_is_taken_where_the_notebook_has_a_fraction():
    assert kaggle.value_of("learning_rate", "1", 1e-3) == 1
    assert kaggle.value_of("guidances", "(1.0, 4.0)", (2.0,)) == (1.0, 4.0)


def test_a_folder_of_others_is_refused_and_their_notebooks_stay(tmp_path):
    push, _, parameters = given()
    for place, name in (("notebook", "thesis.ipynb"), ("wheel", "other.whl")):
        folder = tmp_path / place
        (folder / place).mkdir(parents=True)
        (folder / place / name).write_text("mine")
        with pytest.raises(UserError, match=f"{place} holds something else than what `kaggle` writes"):
            kaggle.write(NOTEBOOK, parameters, push, folder)
        assert [path.name for path in folder.rglob("*") if path.is_file()] == [name]
