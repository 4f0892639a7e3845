"""Tables of the statistics notebooks."""

from comics_genai.plotting.tables import markdown


def test_a_table_is_markdown_with_numbers_to_the_right():
    text = markdown([{"file": "a|b", "share %": 3}, {"file": "c", "share %": 12}])
    assert text.splitlines() == ["| file | share % |", "| :-- | --: |", "| a\\|b | 3 |", "| c | 12 |"]
    assert markdown([]) == ""
