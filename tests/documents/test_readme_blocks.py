"""README blocks say what the runs' files say."""

import json
from pathlib import Path

import pytest

from comics_genai.documents import readme_blocks, run_scores
from comics_genai.errors import UserError

ROOT = Path(__file__).parents[2]


def share(mean, low, high):
    return {"mean": mean, "low": low, "high": high}


def scores(tuned, careful):
    """A scores.json whose rows have the same figure in every column."""
    keys = ("identity", "identity_unnamed", "pose", "joint_success", "copied")
    names = {run_scores.TUNED: tuned, run_scores.CAREFUL: careful, run_scores.BASE: share(0.2, 0.1, 0.3)}
    return {
        "columns": {key: key.replace("_", " ") for key in keys},
        "rows": [{"name": name, **dict.fromkeys(keys, figure)} for name, figure in names.items()],
    }


def test_a_block_is_replaced_by_its_table_and_all_else_stays(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scores.json").write_text(json.dumps(scores(share(0.5, 0.4, 0.6), share(0.1, 0.05, 0.15))))
    text = "before\n<!-- from: scores run/scores.json -->\nold\n<!-- end -->\nafter\n"
    done = readme_blocks.filled(text, tmp_path)
    assert done.startswith("before\n<!-- from: scores run/scores.json -->\n\n| | identity |") and "old" not in done
    assert "| fine-tuned | 50 [40, 60] |" in done and done.endswith("\n\n<!-- end -->\nafter\n")
    assert readme_blocks.filled(done, tmp_path) == done


def test_an_unknown_table_and_a_missing_file_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="asks for the table 'nothing'"):
        readme_blocks.filled("<!-- from: nothing x -->\n<!-- end -->", tmp_path)
    with pytest.raises(UserError, match="which cannot be read"):
        readme_blocks.filled("<!-- from: scores run/scores.json -->\n<!-- end -->", tmp_path)


@pytest.mark.parametrize("path", readme_blocks.readmes(ROOT), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_committed_block_is_what_the_committed_files_say(path):
    text = path.read_text(encoding="utf-8")
    assert readme_blocks.filled(text, ROOT) == text


def test_the_front_page_and_the_methods_hold_blocks():
    for path in (ROOT / "README.md", ROOT / "4_finetuning" / "README.md", ROOT / "3_baselines" / "README.md"):
        assert readme_blocks.BLOCK.search(path.read_text(encoding="utf-8"))
