"""Every notebook as committed: from one fresh run, without errors, small, and naming no platform."""

import re
from pathlib import Path

import nbformat
import pytest

from comics_genai.notebooks import opening

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(
    path.relative_to(ROOT)
    for folder in ROOT.glob("[0-9]_*")
    for path in folder.rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts and folder.name != "6_generated"
)
SETUP_CELL = opening.setup_cell()
LARGEST = 1_500_000  # bytes
PLATFORM_PATH = re.compile(r"""(?<![\w./:])/(kaggle|content|home|root|work|tmp|mnt|Users)(?=["'\s/]|$)|[A-Z]:\\""")
TRAINING = ("finetune(", "train_gan(", "train_ddpm(", "white_paper.samples_of(", "scaling.measure(")
COLAB_METADATA = {"colab", "accelerator", "gpuClass"}


def test_there_are_notebooks():
    assert Path("4_finetuning/dreambooth_lora/DreamBooth-LoRA.ipynb") in NOTEBOOKS


@pytest.fixture(params=NOTEBOOKS, ids=str)
def path(request) -> Path:
    return ROOT / request.param


@pytest.fixture
def notebook(path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What the cell says and what it printed: its source and its outputs that are text."""
    found = [cell.source]
    for output in cell.get("outputs", []):
        found.append("".join(output.get("text", "")))
        found += ["".join(text) for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return found


def test_it_is_a_valid_python_notebook(notebook):
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.kernelspec.language == "python"


def test_it_was_run_in_order_from_one_fresh_kernel(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)) and counts


def test_no_cell_failed_or_warned(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            if output.get("name") == "stderr":  # progress is written there too
                assert "Warning" not in output.text and "Traceback" not in output.text, output.text


def test_it_is_small(path):
    assert path.stat().st_size <= LARGEST


def test_it_begins_with_a_title_and_the_setup_cell(notebook):
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    assert code_cells(notebook)[0].source == SETUP_CELL
    assert sum("environment.set_up(" in cell.source for cell in code_cells(notebook)) == 1


def test_it_has_one_cell_of_parameters_after_the_setup_cell(notebook):
    tagged = [i for i, cell in enumerate(code_cells(notebook)) if "parameters" in tags(cell)]
    assert len(tagged) == 1 and tagged[0] > 0
    assert not any("injected-parameters" in tags(cell) for cell in notebook.cells)


def test_it_checks_the_machine_before_it_trains(notebook):
    code = "\n".join(cell.source for cell in code_cells(notebook))
    for training in TRAINING:
        if training in code:
            assert -1 < code.find("print(preflight.checked(") < code.index(training), training


def test_what_it_fine_tunes_can_go_to_a_private_repository_and_come_back(notebook):
    code = "\n".join(cell.source for cell in code_cells(notebook))
    if "result = finetune(" in code:
        (parameters,) = (cell.source for cell in code_cells(notebook) if "parameters" in tags(cell))
        assert 'repository = ""' in parameters and 'resume_from = ""' in parameters
        assert "with uploading(folder, repository, minutes=10):" in code
        assert "put_in_place(unfinished_run(resume_from), folder" in code
        assert "push(folder, repository, checkpoint=not result.finished)" in code


def test_its_drawings_may_be_a_dataset_on_the_hub(notebook):
    for cell in code_cells(notebook):  # a folder put before the name would make it a path
        assert not re.search(r"/ *drawings_source", cell.source), cell.source


def test_it_names_no_path_of_a_platform(notebook):
    for cell in notebook.cells:
        for text in texts(cell):
            assert not PLATFORM_PATH.search(text), text[:500]


def test_it_keeps_no_widgets_and_no_ids_of_colab_or_papermill(notebook):
    assert "widgets" not in notebook.metadata and "papermill" not in notebook.metadata
    assert not COLAB_METADATA & set(notebook.metadata)
    for cell in notebook.cells:
        assert not {"colab", "outputId", "papermill", "execution"} & set(cell.metadata)
        for output in cell.get("outputs", []):
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"/kaggle/working/x.png"', True),
        ("cd /content", True),
        ("saved to /home/ann/run", True),
        ("/tmp/ipykernel_12/3.py", True),
        (f"'{Path('/', 'root', '.cache')}'", True),
        ("C:\\Users\\ann", True),
        ("https://kaggle.com/kernels/welcome", False),
        ("https://example.org/content/page", False),
        ("1_data/content/a.png and the root/leaf ratio", False),
        ("home/work balance", False),
    ],
)
def test_paths_of_platforms_are_recognized(text, found):
    assert bool(PLATFORM_PATH.search(text)) is found
