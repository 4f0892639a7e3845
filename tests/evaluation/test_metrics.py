import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import AttributeReader, AttributeReaderConfig
from comics_genai.evaluation.metrics import (
    POSE_PARTS,
    copy_threshold,
    known_character,
    other_character_renders,
    other_pose_scenes,
    reference_distances,
    scene_of,
    score_run,
    summarise,
    table,
    true_renders,
)
from comics_genai.evaluation.readings import Readings

GIRL = world.UNICORN_GIRL
NAMED, UNNAMED = ([a.name for a in world.ATTRIBUTES if a.named == named] for named in (True, False))


class KnowingReader(AttributeReader):
    """Reads off the scenes it is told, so that what the records make of readings can be checked by hand."""

    def __init__(self, scenes):
        torch.nn.Module.__init__(self)
        self.scenes, self.config = scenes, AttributeReaderConfig()

    def read(self, images, batch_size=32):
        assert len(images) == len(self.scenes)
        return Readings.of(self.scenes)


@pytest.fixture(scope="module")
def references() -> list[Image.Image]:
    return [world.draw(scene) for scene in world.reference_scenes(GIRL)]


@pytest.fixture(scope="module")
def scenes() -> list[world.Scene]:
    return other_pose_scenes(GIRL, 8, seed=5)


def test_the_truth_scores_full_marks(scenes, references):
    records = score_run(true_renders(scenes), scenes, references, KnowingReader(scenes))
    assert len(records) == 8
    for record in records:
        assert record["identity"] == record["identity_named"] == record["identity_unnamed"] == record["pose"] == 1
        assert record["identity_right"] and record["pose_right"] and record["joint_success"]
        assert record["joint_error"] == 0 and not record["copied"]
    json.dumps(records)


def test_wrong_attributes_lower_identity_by_their_share(references):
    scene = world.Scene(GIRL)
    read = replace(GIRL, headgear="hat", marking="moon", odd_sock="none")
    (record,) = score_run([world.draw(scene)], [scene], references, KnowingReader([world.Scene(read)]))
    n = len(world.ATTRIBUTES)
    assert record["identity"] == pytest.approx((n - 3) / n)
    assert record["identity_named"] == pytest.approx(1 - 1 / len(NAMED))
    assert record["identity_unnamed"] == pytest.approx(1 - 2 / len(UNNAMED))
    assert not record["identity_right"] and not record["joint_success"] and record["pose_right"]
    assert [name for name, right in record["right"].items() if not right] == ["headgear", "marking", "odd_sock"]
    two = replace(read, odd_sock=GIRL.odd_sock)
    (record,) = score_run([world.draw(scene)], [scene], references, KnowingReader([world.Scene(two)]))
    assert record["identity"] == pytest.approx(17 / 19) and record["joint_success"]


def test_a_pose_is_right_with_another_expression_but_not_with_another_arm(references):
    scene = world.Scene(GIRL, world.Pose("jumping", "raised", "hip", "left", "sad"))
    for change, right, share in (({"expression": "angry"}, True, 0.8), ({"left_arm": "out"}, False, 0.8)):
        read = replace(scene, pose=replace(scene.pose, **change))
        (record,) = score_run([world.draw(scene)], [scene], references, KnowingReader([read]))
        assert (record["pose_right"], record["joint_success"]) == (right, right)
        assert record["pose"] == pytest.approx(share)


def test_copies_are_found_however_spoilt_and_new_poses_are_not(references):
    threshold = copy_threshold(GIRL, references)
    rng = np.random.default_rng(0)
    copies = []
    for reference in references * 3:
        pixels = np.roll(np.asarray(reference, np.float32), (rng.integers(-5, 6), rng.integers(-5, 6)), (0, 1))
        pixels = pixels * rng.uniform(0.92, 1.08, 3) + rng.normal(0, 10, pixels.shape)
        copy = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        copies.append(copy.filter(ImageFilter.GaussianBlur(1.2)))
    distances = reference_distances(copies, references)
    assert (distances.min(1) < threshold).mean() > 0.95
    assert (distances.argmin(1) == list(range(6)) * 3).all()
    fresh = true_renders(other_pose_scenes(GIRL, 100, seed=9))
    assert (reference_distances(fresh, references).min(1) < threshold).mean() <= 0.05
    assert reference_distances(references, references).diagonal() == pytest.approx(0, abs=2e-3)


def test_distances_do_not_depend_on_size(references):
    small = [world.draw(scene) for scene in world.reference_scenes(GIRL)[:2]]
    large = [world.draw(scene, 512) for scene in world.reference_scenes(GIRL)[:2]]
    assert reference_distances(large, small).diagonal().max() < 0.02


def test_only_readable_attributes_count(scenes, references):
    wrong = replace(GIRL, fringe=next(f for f in world.factors.FRINGES if f != GIRL.fringe))
    seen = [replace(scene, character=wrong) for scene in scenes]
    reader = KnowingReader(seen)
    assert score_run(true_renders(scenes), scenes, references, reader)[0]["identity_unnamed"] < 1
    reader.readable = ("skin", "hair_wave")
    record = score_run(true_renders(scenes), scenes, references, reader)[0]
    assert record["identity_unnamed"] == record["identity"] == 1 and not record["right"]["fringe"]


def test_a_copy_is_reported_with_its_reference(scenes, references):
    pictures = [*true_renders(scenes[:7]), references[4]]
    records = score_run(pictures, scenes, references, KnowingReader(scenes))
    assert [record["copied"] for record in records] == [False] * 7 + [True]
    assert records[7]["nearest_reference"] == 4
    assert not score_run(pictures, scenes, references, KnowingReader(scenes), threshold=0.0)[7]["copied"]


def test_similarity_is_the_cosine_to_the_nearest_reference(scenes, references):
    def embed(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, 128, 128) and x.min() >= -1 and x.max() <= 1
        return torch.nn.functional.normalize(x.mean((2, 3)), dim=-1)

    pictures = [*true_renders(scenes[:7]), references[2]]
    records = score_run(pictures, scenes, references, KnowingReader(scenes), embed)
    assert records[7]["reference_similarity"] == pytest.approx(1, abs=1e-5)
    assert all(-1 <= record["reference_similarity"] <= 1.0001 for record in records)


def test_other_poses_are_other_and_reproducible():
    scenes = other_pose_scenes(GIRL, 200)
    parts = {(p.legs, p.left_arm, p.right_arm, p.facing) for p in world.REFERENCE_POSES}
    assert all((s.pose.legs, s.pose.left_arm, s.pose.right_arm, s.pose.facing) not in parts for s in scenes)
    assert scenes == other_pose_scenes(GIRL, 200) != other_pose_scenes(GIRL, 200, seed=1)


def test_ceiling_goes_through_what_it_is_given_and_the_floor_is_another_character(scenes):
    darker = true_renders(scenes[:2], through=lambda x: x // 2)
    assert np.array_equal(np.asarray(darker[1]), np.asarray(world.draw(scenes[1])) // 2)
    others = [replace(scene, character=world.COMPANIONS[i]) for i, scene in enumerate(scenes)]
    for picture, other in zip(other_character_renders(scenes), others, strict=True):
        assert picture.tobytes() == world.draw(other).tobytes()


def test_intervals_widen_with_nesting_and_the_table_holds_them():
    def record(prompt: int, success: bool) -> dict:
        right = {"skin": success, "legs": success}
        return {"prompt": prompt, "character": "her", "identity": 1.0, "joint_success": success, "right": right}

    records = [record(prompt, prompt % 2 == 0) for prompt in range(10) for _ in range(8)]
    nested = summarise(records)
    flat = summarise([{key: value for key, value in r.items() if key not in ("prompt", "character")} for r in records])
    assert nested["joint_success"].mean == flat["joint_success"].mean == pytest.approx(0.5)
    width = {name: s["joint_success"].high - s["joint_success"].low for name, s in (("n", nested), ("f", flat))}
    assert width["n"] > 2 * width["f"]
    assert (nested["identity"].low, nested["identity"].high) == pytest.approx((1, 1))
    scores = table({"fine-tuned": records, "base": records[8:16]})
    assert [row["name"] for row in scores["rows"]] == ["fine-tuned", "base"]
    assert scores["rows"][0]["joint_success"]["mean"] == pytest.approx(0.5)
    none = scores["rows"][1]["joint_success"]
    assert (none["mean"], none["low"]) == (0, 0) and none["high"] == pytest.approx(1 - 0.025 ** (1 / 8))
    assert scores["rows"][0]["copied"] is None and scores["rows"][1]["pictures"] == 8
    json.dumps(scores)


def test_prompts_are_read_back(scenes):
    for scene in scenes:
        read = scene_of(world.scene_prompt(scene, "UnicornGirl, a girl"), GIRL)
        assert replace(read.pose, jitter=scene.pose.jitter) == scene.pose
        assert read.setting.background == scene.setting.background and read.character == GIRL
    with pytest.raises(UserError, match="left arm"):
        scene_of("a drawing of UnicornGirl, a girl, jumping", GIRL)


def test_mismatched_input_is_refused(scenes, references):
    with pytest.raises(UserError, match="1 pictures and 2 scenes"):
        score_run(references[:1], scenes[:2], references, KnowingReader(scenes))
    mixed = [scenes[0], replace(scenes[1], character=world.COMPANIONS[0])]
    with pytest.raises(UserError, match="several characters"):
        score_run(references[:2], mixed, references, KnowingReader(mixed))
    with pytest.raises(UserError, match="no scored picture"):
        summarise([])


def test_the_halves_share_no_pose_and_know_every_part():
    chosen, measured = (other_pose_scenes(GIRL, 60, seed=3, half=half) for half in ("validation", "test"))

    def parts(scenes):
        return {tuple(getattr(scene.pose, name) for name in POSE_PARTS) for scene in scenes}

    assert not parts(chosen) & parts(measured)
    for i, name in enumerate(POSE_PARTS):
        assert (
            {pose[i] for pose in parts(chosen)}
            == {pose[i] for pose in parts(measured)}
            == set(world.POSE_FACTORS[name])
        )


@pytest.mark.parametrize("size", [64, 1024])
def test_a_known_character_is_recognized_by_all_its_drawings(size):
    drawings = [world.draw(scene, size) for scene in world.reference_scenes(world.COMPANIONS[1])]
    assert known_character(drawings) == world.COMPANIONS[1]
    stranger = world.draw(world.sample_scene(4), 256)
    assert known_character([*drawings[:5], stranger]) is None and known_character([]) is None
