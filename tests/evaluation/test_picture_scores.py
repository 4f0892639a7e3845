"""Scores beside pictures: where the truth is known they are told, and the gallery words them; else there are none."""

import json
import shutil
from dataclasses import replace

import PIL.Image
import pytest

from comics_genai import world
from comics_genai.__main__ import main
from comics_genai.bases.base import Base
from comics_genai.evaluation import metrics
from comics_genai.evaluation.picture_scores import Told, name_of, own_reader, tell, tell_generated
from comics_genai.publishing.gallery import GallerySettings, build
from comics_genai.sampling.generate import Picture

SCENES = metrics.other_pose_scenes(world.UNICORN_GIRL, 2, seed=5)
PROMPTS = [world.scene_prompt(scene, "UnicornGirl, a girl") for scene in SCENES]


@pytest.fixture(scope="module")
def world_base(tiny_sdxl, tiny_reader, tmp_path_factory):
    """A tiny base that has an attribute reader beside its weights, as the miniature does."""
    folder = tmp_path_factory.mktemp("world") / "base"
    shutil.copytree(tiny_sdxl, folder)
    tiny_reader.save(folder / "attribute_reader")
    return folder


def lines_of(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]


def test_generate_tells_scores_of_a_base_of_the_comic_world_and_the_gallery_says_them_in_words(
    girl, girl_run, world_base, tmp_path
):
    run = tmp_path / "girl"
    shutil.copytree(girl_run, run)
    drawing = ["generate", str(run), "--base", str(world_base), "--seeds", "0", "--steps", "1"]
    drawing += [f"--prompt={PROMPTS[0]}", "--prompt=a drawing of UnicornGirl, a girl, thinking"]
    assert main([*drawing, "--folder", str(tmp_path / "pictures" / "girl")]) == 0
    (told,) = lines_of(tmp_path / "pictures" / "girl")  # the other prompt says no pose
    assert told["character"] == "UnicornGirl" and isinstance(told["scores"]["right"]["legs"], bool)
    drawings = shutil.copytree(girl, tmp_path / "unicorn_girl")
    built = build(GallerySettings((), into=tmp_path / "pictures", drawings=(drawings,)))
    page = json.loads(built.index.read_text().split('id="gallery-data">')[1].split("</script>")[0])
    shown = {each["record"]["file_name"]: each for each in page["pictures"]}[told["file_name"]]
    assert built.problems == [] and shown["true"]["width"] == 64
    factors = {**told["scores"]["right"]}
    words = {True: shown["scores"]["right"], False: shown["scores"]["wrong"]}
    assert all(name.replace("_", " ").replace("color", "colour") in words[right] for name, right in factors.items())
    assert shown["nearest"]["by"] == "scores"


def test_of_a_foreign_base_a_stranger_or_a_prompt_without_her_name_nothing_is_told(
    girl, girl_run, world_base, tiny_sdxl, character_folder, tmp_path
):
    foreign, ours = Base.load(tiny_sdxl), Base.load(world_base)
    assert own_reader(foreign) is None and own_reader(ours) is not None
    settings = {"drawings": str(girl), "identifier": "UnicornGirl"}
    image = PIL.Image.new("RGB", (64, 64))
    pictures = [Picture(image, tmp_path / "0.png", {"prompt": PROMPTS[0]})]
    unnamed = [Picture(image, tmp_path / "0.png", {"prompt": world.scene_prompt(SCENES[0], "a girl")})]
    assert tell_generated(foreign, settings, pictures, tmp_path) == 0
    assert tell_generated(ours, settings, unnamed, tmp_path) == 0
    assert tell_generated(ours, settings | {"drawings": str(character_folder)}, pictures, tmp_path) == 0
    assert tell_generated(ours, settings | {"drawings": "gone"}, pictures, tmp_path) == 0
    assert not (tmp_path / "scores.jsonl").exists()
    assert tell_generated(ours, settings, pictures, tmp_path) == 1


def test_a_line_replaces_the_same_pictures_earlier_one_and_a_torn_line_goes(tmp_path):
    def told(name, identity):
        return Told(name, SCENES[0], {"identity": identity, "pose": None, "prompt": "not a score", "right": {}})

    tell(tmp_path, [told("0.png", 0.5), told("1.png", 0.5)], world.UNICORN_GIRL, 64)
    with open(tmp_path / "scores.jsonl", "a", encoding="utf-8") as file:
        file.write('{"file_name": "2.p')
    tell(tmp_path, [told("1.png", 1.0)], world.UNICORN_GIRL, 64)
    assert [(line["file_name"], line["scores"]) for line in lines_of(tmp_path)] == [
        ("0.png", {"identity": 0.5, "right": {}}), ("1.png", {"identity": 1.0, "right": {}})]  # fmt: skip
    with PIL.Image.open(tmp_path / lines_of(tmp_path)[0]["true_drawing"]) as true:
        assert true.tobytes() == world.draw(SCENES[0], 64).tobytes()


def test_true_drawings_of_several_folders_may_lie_together(tmp_path):
    told = [Told("0.png", scene, {"right": {}}) for scene in (SCENES[0], replace(SCENES[0]))]
    for name in ("one", "two"):
        tell(tmp_path / name, told, world.HELD_OUT[3], 64, shared=tmp_path)
    assert len(list((tmp_path / "true_drawings").iterdir())) == 1
    (line,) = lines_of(tmp_path / "two")
    assert line["true_drawing"].startswith("../true_drawings/") and line["character"] == "companion 3"
    assert name_of(world.UNICORN_GIRL) == "UnicornGirl"
