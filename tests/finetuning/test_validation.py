"""Which checkpoint validation chose."""

import shutil

from comics_genai.finetuning.validation import chosen, last_and_chosen_step


def test_the_last_and_the_chosen_step_of_a_run(girl_run, tmp_path):
    assert chosen(girl_run) is None and last_and_chosen_step(girl_run) == (2, 2)
    shutil.copytree(girl_run, tmp_path / "run")
    (tmp_path / "run" / "best").mkdir()
    (tmp_path / "run" / "best" / "chosen.json").write_text('{"step": 1, "score": 0.5}')
    assert last_and_chosen_step(tmp_path / "run") == (2, 1)
