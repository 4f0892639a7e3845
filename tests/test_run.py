"""The folder of a run: its settings are read, compared and kept up to date in one place."""

import json

import pytest

from comics_genai import run
from comics_genai.errors import UserError


@pytest.fixture
def folder(tmp_path):
    record = {
        "finetune": {"method": "lora", "learn_token": False, "old": 1, "sampling": {"steps": 2}},
        "loop": {"steps": 3},
    }
    run.claim(tmp_path, record)
    return tmp_path


def test_settings_are_read_and_anything_else_is_a_sentence(folder, tmp_path):
    assert run.finetuning_settings(folder)["method"] == "lora" and run.recorded(folder)["loop"] == {"steps": 3}
    for content in ("{", "[]", "{}", '{"finetune": 3}'):
        (folder / run.SETTINGS_FILE).write_text(content)
        with pytest.raises(UserError, match="her-run is not the folder of a fine-tuning"):
            run.finetuning_settings(folder, "her-run")
    assert not run.is_run(tmp_path / "absent")
    with pytest.raises(UserError, match="There is no folder .*absent: give the folder that `finetune` named"):
        run.finetuning_settings(tmp_path / "absent")


@pytest.mark.parametrize(
    ("digest", "what"), [("drawings_digest", "other drawings or captions"), ("base_digest", "a base of other content")]
)
def test_what_a_run_was_started_with_is_named_in_words(tmp_path, digest, what):
    run.claim(tmp_path, {"finetune": {}, digest: "1"})
    with pytest.raises(UserError, match=f"was started with {what}: put back what it had to go on with it, or choose"):
        run.claim(tmp_path, {"finetune": {}, digest: "2"})


def test_the_weights_are_the_chosen_ones_else_the_average_else_the_last(folder):
    assert run.weights_in(folder) is None
    (folder / run.FULL_FILE).touch()
    assert run.weights_in(folder) == folder / run.FULL_FILE
    (folder / run.EMA_FILE).touch()
    assert run.weights_in(folder) == folder / run.EMA_FILE
    (folder / run.BEST).mkdir()
    (folder / run.BEST / run.FULL_FILE).touch()
    assert run.weights_in(folder) == folder / run.BEST / run.FULL_FILE
    assert run.weights_in(folder, best=False) == folder / run.EMA_FILE


def test_a_run_is_finished_with_its_own_settings_alone(folder):
    record = {"finetune": run.finetuning_settings(folder)}
    assert not run.is_finished(folder, record)
    (folder / run.LORA_FILE).touch()
    assert run.is_finished(folder, record)
    assert not run.is_finished(folder, {"finetune": record["finetune"] | {"old": 2}})


def test_a_run_of_an_earlier_version_gets_the_new_names_and_the_defaults_of_what_did_not_exist(folder):
    defaults = {"finetune": {"new": 5, "fresh": (1,), "sampling": {"steps": 25, "scale": 1.0}}, "loop": {"clip": 1.0}}

    def renamed(record):
        return record | {"finetune": {"new" if n == "old" else n: value for n, value in record["finetune"].items()}}

    run.bring_up_to_date(folder, renamed, defaults)
    sampling = {"steps": 2, "scale": 1.0}
    expected = {"method": "lora", "learn_token": False, "new": 1, "fresh": [1], "sampling": sampling}
    assert run.recorded(folder) == {"finetune": expected, "loop": {"steps": 3, "clip": 1.0}}
    before = (folder / run.SETTINGS_FILE).stat().st_mtime_ns
    run.bring_up_to_date(folder, renamed, defaults)
    assert (folder / run.SETTINGS_FILE).stat().st_mtime_ns == before
    run.claim(folder, {"finetune": expected, "loop": {"steps": 3, "clip": 1.0}})


def test_a_run_follows_its_drawings_where_the_digest_is_the_same(folder):
    record = {"finetune": {"drawings": "there"}, "drawings_digest": "1"}
    old = {"finetune": {"drawings": "here"}, "drawings_digest": "1"}
    (folder / run.SETTINGS_FILE).write_text(json.dumps(old))
    run.follow(folder, record, "drawings")
    assert run.recorded(folder)["finetune"]["drawings"] == "there"
    run.follow(folder, {"finetune": {"drawings": "elsewhere"}, "drawings_digest": "2"}, "drawings")
    assert run.recorded(folder)["finetune"]["drawings"] == "there"


def test_a_folder_whose_name_no_weights_can_lie_under_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="has half a character in its name"), run.held(tmp_path / "run\udcff"):
        pass
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UserError, match="circle cannot be written"), run.held(tmp_path / "circle"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["circle"]


def test_checkpoints_are_found_in_order_of_their_steps_and_copies_of_them_are_not(folder):
    assert run.checkpoint_files(folder) == []
    (folder / run.CHECKPOINTS).mkdir()
    paths = [run.checkpoint_file(folder, step) for step in (9, 100, 1_000_000)]
    for path in reversed(paths):
        path.touch()
    paths[0].with_name("step_000009 (1).safetensors").touch()
    paths[0].with_name("step_000050.safetensors.tmp").touch()
    assert run.checkpoint_files(folder) == paths
    assert [path.name for path in paths[:2]] == ["step_000009.safetensors", "step_000100.safetensors"]
    assert [run.step_in_name(path) for path in paths] == [9, 100, 1_000_000]
    picture = run.step_picture(folder / run.VALIDATION, 50)
    assert picture.name == "step_000050.png" and picture.match(run.STEP_PICTURES) and run.step_in_name(picture) == 50
