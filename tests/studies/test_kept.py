import json

import PIL.Image
import pytest

from comics_genai import environment
from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.sampling.records import read_metadata, write_metadata, write_picture
from comics_genai.studies.cast import Subject
from comics_genai.studies.grid import Grid
from comics_genai.studies.kept import keep_pictures, kept_folder, kept_pictures, tell_kept


def drawn(folder, prompts) -> None:
    records = [{"file_name": f"{i}.png", "prompt": prompt, "seed": seed} for i, (prompt, seed) in enumerate(prompts)]
    for record in records:
        write_picture(folder / record["file_name"], PIL.Image.new("RGB", (8, 8), "red"), record)
    write_metadata(folder, records)


def test_the_first_prompts_with_the_noise_asked_for_are_kept(tmp_path):
    drawn(tmp_path / "all", [(prompt, seed) for prompt in ("a", "b", "c") for seed in (0, 1)])
    keep_pictures(tmp_path / "all", tmp_path / "kept", 2, (1,))
    assert [(row["prompt"], row["seed"]) for row in read_metadata(tmp_path / "kept")] == [("a", 1), ("b", 1)]
    assert sorted(path.name for path in (tmp_path / "kept").glob("*.png")) == ["1.png", "3.png"]


def test_of_pictures_without_prompts_as_many_are_kept(tmp_path):
    drawn(tmp_path / "all", [("", 1)] * 5)
    keep_pictures(tmp_path / "all", tmp_path / "kept", 2, (0,))
    assert len(json.loads("[" + ",".join((tmp_path / "kept" / "metadata.jsonl").read_text().splitlines()) + "]")) == 2
    keep_pictures(tmp_path / "nowhere", tmp_path / "none", 2, (0,))
    assert not (tmp_path / "none").exists()


def test_pictures_of_every_varied_setting_have_a_folder_of_their_own(tmp_path):
    path = tmp_path / "some.toml"
    path.write_text("""
prompts = 3
[methods.lora]
[vary.finetune]
steps = [2, 8]
[variants."no prior"]
finetune.prior = "none"
[keep]
folder = "kept"
prompts = 1
""")
    grid = Grid.read(path)
    folders = [kept_folder(grid, cell) for cell in grid.cells()]
    assert folders == [tmp_path / "kept" / name for name in ("lora-no_prior-steps_2", "lora-no_prior-steps_8")]
    assert kept_pictures(grid) == {}
    drawn(folders[1], [("a", 1), ("a", 0)])
    assert list(kept_pictures(grid)) == ["true drawing", "lora-no_prior-steps_8"]
    assert [len(pictures) for pictures in kept_pictures(grid).values()] == [1, 1]  # one a prompt, of two seeds


def test_a_varied_setting_is_told_by_the_gallerys_name_for_it(tmp_path, tiny_reader):
    path = tmp_path / "how_long.toml"
    path.write_text("""
prompts = 2
noise = 2
drawing_side = 64
other_poses = 4
true_drawings = 0
[methods.lora]
[vary.finetune]
steps = [2, 8]
[keep]
folder = "kept"
prompts = 2
""")
    grid = Grid.read(path)
    subject = Subject(0, grid, 64, tiny_reader, tmp_path / "drawings")
    prompts = subject.prompts("UnicornGirl, a girl")
    asked = [(prompt, seed) for prompt in prompts for seed in (0, 1)]
    records = subject.records([PIL.Image.new("RGB", (64, 64), "red")] * 4, 2, asked=True)
    for cell, steps in zip(grid.cells(), (2, 8), strict=True):
        target = kept_folder(grid, cell)
        drawn(target, asked)
        tell_kept(grid, cell, target, subject, prompts, records)
        lines = [json.loads(line) for line in (target / "scores.jsonl").read_text().splitlines()]
        assert [line["training_step"] for line in lines] == [steps] * 4
        assert {line["method"] for line in lines} == {"lora · how_long"}
        assert [line["test_prompt"] for line in lines] == [prompt for prompt, _ in asked]


OUTSIDE = {
    "above": 'folder = "../escaped"',
    "from the top": 'folder = "/tmp/escaped"',
    "below and above": 'folder = "kept/../../escaped"',
    "Windows": 'folder = "C:\\\\escaped"',
    "through a link": 'folder = "link/kept"',
    "no text": "folder = 3",
    "no list of characters": 'folder = "kept"\ncharacters = 0',
    "no list of seeds": 'folder = "kept"\nseeds = "0"',
    "no number of prompts": 'folder = "kept"\nprompts = "many"',
    "something else": 'folder = "kept"\nplace = "."',
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_pictures_are_kept_in_the_repository_or_beside_the_study_or_it_is_refused_before_anything_is_done(
    tmp_path, kind, capsys
):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "link").symlink_to(tmp_path)
    path = tmp_path / "study" / "some.toml"
    path.write_text(f"prompts = 1\n[methods.base]\n[keep]\n{OUTSIDE[kind]}\n")
    before = sorted(tmp_path.rglob("*"))
    assert main(["study", str(path), "--runs", str(tmp_path / "runs"), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("The study some") and said.count("\n") == 1 and sorted(tmp_path.rglob("*")) == before


def test_a_name_in_a_study_is_no_path(tmp_path):
    path = tmp_path / "some.toml"
    for kind in ('methods."../../x"', 'variants."a/b"'):
        path.write_text(f'[methods.base]\n[{kind}]\nkind = "lora"\n')
        with pytest.raises(UserError, match="of the study some .* holds '/'"):
            Grid.read(path)
    path.write_text('[methods.lora]\n[vary.finetune]\ncaption_column = ["../../x"]\n[keep]\nfolder = "kept"\n')
    grid = Grid.read(path)
    assert kept_folder(grid, grid.cells()[0]) == tmp_path / "kept" / "lora-caption_column_.._.._x"


def test_a_study_of_the_repository_keeps_its_pictures_there():
    studies = environment.root() / "4_finetuning" / "studies"
    grid = Grid.read(studies / "comparison.toml")
    folders = [folder for cell in grid.cells() if (folder := kept_folder(grid, cell)) is not None]
    assert folders and all(folder.parent == environment.root() / "6_generated" / "comparison" for folder in folders)
