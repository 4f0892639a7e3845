"""Progress tells what is done, and its last state as a line where there is no bar."""

from comics_genai.progress import Progress, shows_bar


def test_without_a_terminal_the_last_state_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert not shows_bar()
    with Progress(10, done=4, describe="drawing") as progress:
        progress.update(7, "loss 0.5")
        assert progress.line().startswith("drawing: 7/10 · loss 0.5 · ")
        progress.update(10)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("drawing: 10/10 · loss 0.5 · ") and lines[0].endswith(" · 0:00 left")


def test_where_nothing_was_done_nothing_is_said(monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with Progress(10, done=4):
        pass
    assert capsys.readouterr().out == ""
