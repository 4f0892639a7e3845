"""The demonstration runs a notebook once, says what it shows, and does not run it again."""

import json
import shutil
import subprocess

import nbformat
import pytest

from comics_genai import environment
from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.notebooks.demo import NOTEBOOK, run_notebook
from comics_genai.plotting.tables import table
from comics_genai.publishing.gallery import GallerySettings, build
from tests.gallery_runs import record, save_run

FIGURE = {"mean": 0.875, "low": 0.81, "high": 0.9312}
SCORES = {
    "columns": {"identity": "identity", "copy": "copy rate"},
    "rows": [{"name": "fine-tuned", "identity": FIGURE, "copy": FIGURE}, {"name": "base", "identity": FIGURE}],
    "contact_sheet": "contact_sheet.png",
}


def notebook(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_the_notebook_is_executed_once_and_its_scores_are_told(tmp_path, capfd):
    folder = tmp_path / "generated" / "my_demo"
    path = notebook(
        tmp_path / "job.ipynb",
        "run = 'standard'",
        f"import pathlib; folder = pathlib.Path({str(tmp_path / 'generated')!r}) / run; print('step 1/2 of', run)",
        f"folder.joinpath('scores.json').write_text({json.dumps(SCORES)!r})",
    )
    told = run_notebook(path, folder)
    assert "step 1/2 of my_demo" in capfd.readouterr().out  # progress, as it happens
    assert "87.5 % [81.0, 93.1]" in told and str(folder / "contact_sheet.png") in told
    executed = nbformat.read(folder / "job.ipynb", 4)
    assert executed.cells[-1].execution_count == 4  # the parameters' cell is injected after the tagged one
    written = (folder / "job.ipynb").stat().st_mtime_ns
    again = run_notebook(path, folder)
    assert again.startswith("The demonstration was run before") and "87.5 % [81.0, 93.1]" in again
    assert (folder / "job.ipynb").stat().st_mtime_ns == written


def git(folder, *words: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_command_ends_with_the_gallery_prints_its_address_and_leaves_a_clone_clean(tmp_path, monkeypatch, capfd):
    repository = environment.root()
    recipe = (repository / "Makefile").read_text(encoding="utf-8").split("\ndemo:")[1].split("\n\n")[0]
    assert recipe.endswith("$(python) -m comics_genai demo")
    monkeypatch.setattr(environment, "root", lambda: tmp_path)
    shutil.copy(repository / ".gitignore", tmp_path)
    path = tmp_path / NOTEBOOK
    path.parent.mkdir(parents=True)
    generated = tmp_path / "6_generated"
    notebook(
        path,
        "run = 'standard'",
        f"import pathlib; folder = pathlib.Path({str(generated)!r}) / run; (folder / 'finetuned').mkdir()",
        f"folder.joinpath('scores.json').write_text({json.dumps(SCORES)!r})",
        "import PIL.Image; PIL.Image.new('RGB', (32, 32)).save(folder / 'finetuned' / '0.png')",
        """folder.joinpath('finetuned/metadata.jsonl').write_text('{"file_name": "0.png", "prompt": "a girl"}\\n')""",
    )
    save_run(generated / "lora", [record("0.png", "a girl", 0)], side=300)
    git(tmp_path, "init", "--quiet")
    build(GallerySettings(curate=True))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "as cloned")
    for _ in range(2):  # the second time nothing is executed, and the gallery is built again
        assert main(["demo"]) == 0
        told = capfd.readouterr().out.splitlines()
        assert told[-1] == f"2 pictures are in the gallery {(generated / 'everything.html').as_uri()}"
        page = (generated / "everything.html").read_text(encoding="utf-8")
        assert "dreambooth_lora_demo/finetuned/0.png" in page and "lora/0.png" in page
        assert git(tmp_path, "status", "--porcelain") == ""
        (generated / "everything.html").unlink()
    assert "dreambooth_lora_demo" not in (generated / "index.html").read_text(encoding="utf-8")


def test_a_notebook_that_stops_is_one_sentence_and_counts_as_not_run(tmp_path):
    folder = tmp_path / "demo"
    path = notebook(tmp_path / "job.ipynb", "run = ''", "raise ValueError('no drawings')")
    with pytest.raises(UserError, match=r"stopped in cell 3 \(ValueError: no drawings\)"):
        run_notebook(path, folder)
    assert not (folder / "job.ipynb").exists() and (folder / "job.running.ipynb").exists()


def test_a_missing_or_foreign_notebook_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="job.ipynb is missing"):
        run_notebook(tmp_path / "job.ipynb", tmp_path / "demo")
    path = notebook(tmp_path / "job.ipynb", "name = ''")
    with pytest.raises(UserError, match="has no parameter run"):
        run_notebook(path, tmp_path / "demo")


def test_the_table_is_aligned_and_marks_what_does_not_apply():
    assert table(SCORES).splitlines() == [
        "                       identity            copy rate",
        "fine-tuned  87.5 % [81.0, 93.1]  87.5 % [81.0, 93.1]",
        "base        87.5 % [81.0, 93.1]                    -",
    ]
