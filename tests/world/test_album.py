"""A character's six drawings as a data set."""

import json

from comics_genai import world


def test_an_album_is_six_captioned_drawings_of_any_held_out_character(tmp_path):
    folder = world.write_album(world.COMPANIONS[0], "FoxGirl", tmp_path / "fox", size=64)
    rows = [json.loads(line) for line in (folder / "train" / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == [f"{i:02d}.png" for i in range(6)]
    assert all(row["text"].startswith("a drawing of FoxGirl, a girl, ") for row in rows)
    assert len(list((folder / "train").glob("*.png"))) == 6
