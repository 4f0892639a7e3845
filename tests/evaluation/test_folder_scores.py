import json

import pytest

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import AttributeReader, AttributeReaderConfig
from comics_genai.evaluation.folder_scores import ScoreSettings, main, score_source
from comics_genai.evaluation.metrics import other_pose_scenes
from comics_genai.sampling.records import write_metadata, write_picture

SCENES = other_pose_scenes(world.UNICORN_GIRL, 3, seed=5)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    AttributeReader(AttributeReaderConfig(64, (8, 8, 8, 8), (0, 0, 0, 0), 8, (8, 8, 8, 8), 8, 8)).save(folder)
    return folder


def drawn(folder, metadata: bool = True) -> list[dict]:
    rows = []
    for i, scene in enumerate(SCENES):
        rows.append({"file_name": f"{i}.png", "prompt": world.scene_prompt(scene, "UnicornGirl, a girl"), "seed": i})
        write_picture(folder / f"{i}.png", world.draw(scene, 64), rows[-1])
    if metadata:
        write_metadata(folder, rows)
    return rows


def test_a_folder_of_pictures_is_scored_between_chance_and_ceiling(tmp_path, reader):
    rows = drawn(tmp_path / "pictures")
    text = score_source(ScoreSettings(tmp_path / "pictures", reader=reader))
    assert text.startswith("3 pictures of") and "joint success" in text and "chance: other characters" in text
    records = [json.loads(line) for line in (tmp_path / "pictures" / "scores.jsonl").read_text().splitlines()]
    assert [record["file_name"] for record in records] == ["0.png", "1.png", "2.png"]
    assert {record["character"] for record in records} == {"UnicornGirl"} and len(rows) == 3
    assert all((tmp_path / "pictures" / record["true_drawing"]).is_file() for record in records)
    assert all(isinstance(record["scores"]["right"]["left_arm"], bool) for record in records)
    table = json.loads((tmp_path / "pictures" / "scores.json").read_text())["rows"]
    assert [(row["name"], row["pictures"]) for row in table] == [
        ("pictures", 3), ("chance: other characters", 3), ("ceiling: true drawings", 3)]  # fmt: skip
    assert table[0]["copied"]["mean"] == table[2]["copied"]["mean"] == 0
    assert table[0]["copied"]["high"] == pytest.approx(1 - 0.025 ** (1 / 3))


def test_folders_in_a_folder_are_rows_and_pictures_carry_their_own_records(tmp_path, reader):
    drawn(tmp_path / "all" / "one", metadata=False)
    world.draw(SCENES[0], 64).save(tmp_path / "all" / "one" / "contact_sheet.png")
    (tmp_path / "all" / "two").mkdir()
    world.draw(SCENES[0], 64).save(tmp_path / "all" / "two" / "x.png")
    text = score_source(ScoreSettings(tmp_path / "all", reader=reader))
    rows = {row["name"]: row for row in json.loads((tmp_path / "all" / "scores.json").read_text())["rows"]}
    assert text.startswith("4 pictures of") and rows["one"]["pictures"] == 3 and rows["two"]["pictures"] == 1
    assert rows["two"]["pose"] is None and rows["two"]["joint_success"] is None and rows["two"]["identity"]
    unposed = json.loads((tmp_path / "all" / "two" / "scores.jsonl").read_text())
    assert "true_drawing" not in unposed and not {"pose", "joint_success"} & unposed["scores"].keys()
    assert "left_arm" not in unposed["scores"]["right"] and "outfit" in unposed["scores"]["right"]


@pytest.mark.parametrize("prompt", ["", None, 5, ["a girl"]])
def test_a_prompt_that_is_no_text_asks_for_no_pose(tmp_path, reader, prompt):
    rows = drawn(tmp_path, metadata=False)
    write_metadata(tmp_path, [{**rows[0], "prompt": prompt, "seed": prompt}, *rows[1:]])
    assert score_source(ScoreSettings(tmp_path, reader=reader)).startswith("3 pictures of")
    for line in (tmp_path / "scores.jsonl").read_text().splitlines():
        told = json.loads(line)
        assert "joint_success" not in told["scores"] and "outfit" in told["scores"]["right"]


def test_what_cannot_be_scored_is_said(tmp_path, reader):
    with pytest.raises(UserError, match="no PNG picture"):
        score_source(ScoreSettings(tmp_path, reader=reader))
    drawn(tmp_path)
    with pytest.raises(UserError, match="0 \\(UnicornGirl\\) to 9"):
        score_source(ScoreSettings(tmp_path, character=10, reader=reader))
    (tmp_path / "1.png").unlink()
    with pytest.raises(UserError, match="1.png is gone or damaged: put it back, or take its line out"):
        score_source(ScoreSettings(tmp_path, reader=reader))
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "../secret.png", "prompt": "a girl"}\n')
    with pytest.raises(UserError, match=r"metadata.jsonl names \.\./secret.png, which lies outside of"):
        score_source(ScoreSettings(tmp_path, reader=reader))
    (tmp_path / "metadata.jsonl").write_text('{"file_name": \n')
    with pytest.raises(UserError, match="Line 1 of .*metadata.jsonl is not JSON"):
        score_source(ScoreSettings(tmp_path, reader=reader))
    run = tmp_path / "a_run_without_pictures"
    run.mkdir()
    (run / "settings.json").write_text("{}")
    with pytest.raises(UserError, match="has no pictures"):
        score_source(ScoreSettings(run, reader=reader))


def test_the_readers_option_is_refused_by_its_earlier_name(tmp_path, reader):
    with pytest.raises(UserError, match="^The option --scorer is called --reader now: write --reader.$"):
        main([str(tmp_path), "--scorer", str(reader)])
    drawn(tmp_path)
    assert main([str(tmp_path), "--reader", str(reader)]).startswith("3 pictures of")
