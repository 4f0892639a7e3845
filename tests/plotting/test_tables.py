"""Tables as text and as Markdown."""

from comics_genai.plotting.tables import markdown, table


def test_figures_are_percent_with_their_interval_and_a_dash_where_none_applies():
    figure = {"mean": 0.5, "low": 0.25, "high": 0.753}
    scores = {"columns": {"a": "identity", "b": "copy"}, "rows": [{"name": "tuned", "a": figure}]}
    lines = table(scores).splitlines()
    assert lines[1].startswith("tuned") and "50.0 % [25.0, 75.3]" in lines[1] and lines[1].endswith("-")
    assert len(lines[0]) == len(lines[1])


def test_bars_in_a_cell_are_escaped_and_numbers_stand_to_the_right():
    text = markdown([{"file": "a|b", "share": 3}, {"file": "c\nd", "share": 1.5}])
    assert text.splitlines() == ["| file | share |", "| :-- | --: |", "| a\\|b | 3 |", "| c d | 1.5 |"]
