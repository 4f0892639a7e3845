"""Records come from damaged folders too, and no line leads out of its folder."""

import json

import PIL.Image
import pytest

from comics_genai.publishing.gallery.records import first_seeds, in_words, json_safe, read_all
from comics_genai.sampling.records import write_picture
from tests.gallery_runs import record, save_picture, save_run, write_lines


def test_a_torn_line_a_line_without_a_name_and_bad_bytes_are_told_and_left_out(tmp_path):
    save_run(tmp_path / "run", [record("0.png", "a girl \u2028 jumping", 0)])
    with open(tmp_path / "run" / "metadata.jsonl", "ab") as file:
        file.write(b'{"prompt": "no name"}\n[1, 2]\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"file_name": "1.png", "pro')
    records, problems = read_all(tmp_path)
    assert [each.prompt for each in records] == ["a girl \u2028 jumping"]
    assert [problem.split(":")[0] for problem in problems] == [f"run/metadata.jsonl, line {i}" for i in range(2, 7)]
    assert "torn" in problems[-1] and "no file_name" in problems[0]


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "link.png", "a\x00.png", "\ud800.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    save_picture(tmp_path / "secret.png", 0)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link.png").symlink_to(tmp_path / "secret.png")
    write_lines(tmp_path / "run" / "metadata.jsonl", [{"file_name": name}])
    records, problems = read_all(tmp_path)
    assert records == [] and "outside its folder" in problems[0]


def test_scores_found_later_are_matched_by_name_and_win(tmp_path):
    save_run(tmp_path / "run", [record("0.png", "a girl", 0), record("1.png", "a girl", 1)])
    write_lines(
        tmp_path / "run" / "scores.jsonl",
        [{"file_name": "1.png", "method": "LoRA", "scores": {"pose": 1.0}}, {"file_name": "of another run.png"}],
    )
    records, problems = read_all(tmp_path)
    assert [each.method for each in records] == ["run", "LoRA"] and problems == []
    assert records[1].fields["scores"] == {"pose": 1.0} and records[1].prompt == "a girl"


def test_the_method_is_named_by_the_record_or_the_folder(tmp_path):
    save_run(tmp_path / "dreambooth_lora" / "finetuned", [record("0.png", "a", 0, adapter="x")])
    save_run(tmp_path / "dreambooth_lora" / "base_same_prompt", [record("0.png", "a", 0, adapter=None)])
    save_run(tmp_path / "gan_v1", [{"file_name": "0.png", "model": "GAN version 1"}])
    save_run(tmp_path / "study", [{"file_name": "0.png", "method": "lora · no prior"}])
    methods = [each.method for each in read_all(tmp_path)[0]]
    assert methods == ["base same prompt", "DreamBooth LoRA · fine-tuned", "GAN version 1", "LoRA · no prior"]
    assert in_words("ddpm_256") == "DDPM 256"


def test_plain_pictures_count_only_where_there_are_no_records_at_all(tmp_path):
    save_picture(tmp_path / "sketch.png", 0)
    save_picture(tmp_path / "more" / "b.png", 1)
    assert [each.path.name for each in read_all(tmp_path, loose=True)[0]] == ["sketch.png", "b.png"]
    assert read_all(tmp_path)[0] == []
    save_run(tmp_path / "run", [record("0.png", "a girl", 0)])
    assert [each.path.name for each in read_all(tmp_path, loose=True)[0]] == ["0.png"]


def test_a_picture_that_was_moved_alone_brings_its_record(tmp_path):
    image = PIL.Image.new("RGB", (8, 8))
    write_picture(tmp_path / "0.png", image, {"file_name": "old name.png", "prompt": "a girl", "seed": 3})
    write_picture(tmp_path / "1.png", image, ["no record"])
    records, _ = read_all(tmp_path, loose=True)
    assert [each.fields for each in records] == [
        {"file_name": "0.png", "prompt": "a girl", "seed": 3},
        {"file_name": "1.png"},
    ]


def test_values_that_a_browser_cannot_hold_are_made_safe():
    value = {"a": float("nan"), "b": [float("inf"), 2**60, 2**53], "c": "\ud800", "d": True}
    assert json_safe(value) == {"a": None, "b": [None, str(2**60), 2**53], "c": "?", "d": True}
    json.dumps(json_safe(value), allow_nan=False).encode()


def test_the_first_seeds_of_each_prompt_of_each_folder_are_kept_in_their_order(tmp_path):
    rows = [record(f"{prompt}{seed}.png", prompt, seed) for prompt in ("a", "b") for seed in (3, 0, 2, 1)]
    save_run(tmp_path / "one", rows)
    save_run(tmp_path / "two", rows[:2])
    kept = [each.path.relative_to(tmp_path).as_posix() for each in first_seeds(read_all(tmp_path)[0], 2)]
    assert kept == ["one/a0.png", "one/a1.png", "one/b0.png", "one/b1.png", "two/a3.png", "two/a0.png"]


def test_each_step_of_a_series_keeps_its_first_seeds(tmp_path):
    rows = [record(f"{step}-{seed}.png", "a", seed, training_step=step) for step in (100, 200) for seed in (0, 1)]
    save_run(tmp_path / "series", rows)
    assert [each.path.name for each in first_seeds(read_all(tmp_path)[0], 1)] == ["100-0.png", "200-0.png"]
