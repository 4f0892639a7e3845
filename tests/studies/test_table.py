import pytest

from comics_genai.errors import UserError
from comics_genai.studies.table import Table, columns_of, records_of

RECORDS = [
    {"prompt": 0, "noise": 0, "identity": 0.5, "pose": None, "copied": True, "right": {"skin": True, "eyes": False}},
    {"prompt": 0, "noise": 1, "identity": 1.0, "pose": None, "copied": False, "right": {"skin": False, "eyes": False}},
]


def test_records_come_back_from_a_row_with_the_groups_of_the_bootstrap(tmp_path):
    table = Table(tmp_path / "new" / "study.jsonl")
    table.append({"cell": "a", "character": 3, "seed": 1, "pictures": columns_of(RECORDS)})
    groups = {"character": 3, "training_seed": 1}
    assert records_of(table.rows()[0]) == [groups | record for record in RECORDS]


def test_the_newest_row_of_a_cell_counts_and_torn_lines_do_not(tmp_path):
    table = Table(tmp_path / "study.jsonl")
    for row in ({"cell": "a", "x": 1.23456789}, {"cell": "b", "x": float("nan")}):
        table.append(row)
    with open(table.path, "a") as file:
        file.write('{"cell": "c", "x"')
    table.append({"cell": "a", "x": 2})
    assert table.rows() == [{"cell": "a", "x": 2}, {"cell": "b", "x": None}]
    assert '"x":1.2346}' in table.path.read_text()


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(UserError, match="not a row of a study"):
        Table(tmp_path / "log.jsonl").rows()
    assert Table(tmp_path / "none.jsonl").rows() == []
