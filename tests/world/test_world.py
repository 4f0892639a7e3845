"""The comic world: deterministic, the same at every size, and never showing pretraining a held-out character."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from comics_genai import world
from comics_genai.pretrain.dataset import HELD_OUT_SEED, DatasetSettings
from comics_genai.world.color import NAMES, SKIN_NAMES, color_name, lab, sample_color, skin_name, skin_tone


def pixels(scene, size=128):
    return np.asarray(world.draw(scene, size)).astype(int)


def test_the_same_seed_draws_the_same_bytes():
    scene = world.sample_scene(5)
    assert scene == world.sample_scene(5)
    assert world.draw(scene).tobytes() == world.draw(scene).tobytes()


@pytest.mark.parametrize("size", [64, 256, 512])
def test_a_picture_is_the_same_at_every_size(size):
    scene = world.sample_scene(8)
    small = np.asarray(world.draw(scene, size).resize((64, 64), 4)).astype(int)
    assert np.abs(small - np.asarray(world.draw(scene, 128).resize((64, 64), 4)).astype(int)).mean() < 3


def test_sizes_outside_the_limits_are_refused():
    with pytest.raises(ValueError, match="64 to 2048"):
        world.draw(world.sample_scene(0), 32)


@pytest.mark.parametrize("attribute", world.ATTRIBUTES, ids=lambda a: a.name)
def test_every_identity_factor_shows_in_at_least_sixteen_pixels(attribute):
    girl = world.UNICORN_GIRL
    scene = world.Scene(replace(girl, streak_color=(60.0, 0.9, 0.9)), world.Pose("standing", "out", "out"))
    old = getattr(scene.character, attribute.name)
    new = {"class": lambda: next(c for c in attribute.classes if c != old), "color": lambda: (210.0, 0.95, 0.4),
           "scalar": lambda: 0.0 if old > 0.5 else 1.0}[attribute.kind]()  # fmt: skip
    changed = replace(scene, character=replace(scene.character, **{attribute.name: new}))
    different = (np.abs(pixels(scene) - pixels(changed)).max(-1) > 24).sum()
    assert different >= 16


@pytest.mark.parametrize("factor", world.POSE_FACTORS)
def test_every_pose_factor_shows(factor):
    scene = world.Scene(world.UNICORN_GIRL)
    drawn = [pixels(replace(scene, pose=replace(scene.pose, **{factor: v}))) for v in world.POSE_FACTORS[factor]]
    for i, one in enumerate(drawn):
        for other in drawn[i + 1 :]:
            assert (np.abs(one - other).max(-1) > 24).sum() >= 16


def test_joints_lie_in_the_picture_and_follow_the_pose():
    for seed in range(0, 400, 2):
        points = world.joints(world.sample_scene(seed))
        assert points.shape == (len(world.JOINTS), 2) and points.dtype == np.float32
        assert points.min() > 0 and points.max() < 1
    hand = world.JOINTS.index("left_hand")
    girl = world.UNICORN_GIRL
    raised = world.joints(world.Scene(girl, world.Pose(left_arm="raised")))[hand]
    assert raised[1] < world.joints(world.Scene(girl, world.Pose(left_arm="down")))[hand][1] - 0.2


def test_no_held_out_character_and_not_her_token_are_in_the_pretraining_set():
    held_out = {(c.hair_style, c.headgear, c.outfit) for c in world.HELD_OUT}
    rng = np.random.default_rng(0)
    for seed in range(DatasetSettings().pictures):
        scene = world.sample_scene(seed)
        character = scene.character
        assert (character.hair_style, character.headgear, character.outfit) not in held_out
        if seed % 8 == 0:
            assert world.TOKEN.lower() not in world.sample_caption(scene, rng).lower()
    assert DatasetSettings().pictures < HELD_OUT_SEED


def test_scenes_come_in_pairs_of_look_alikes():
    shared = []
    for seed in range(0, 200, 2):
        one, other = world.sample_scene(seed), world.sample_scene(seed + 1)
        assert one.setting == other.setting and one != other
        shared.append(np.mean([getattr(one.character, f.name) == getattr(other.character, f.name)
                               for f in fields(world.Character)]))  # fmt: skip
    assert 0.45 < np.mean(shared) < 0.75


def test_captions_name_what_they_can_and_nothing_unnamed():
    scene = world.reference_scenes(world.UNICORN_GIRL)[0]
    caption = world.caption(scene)
    assert caption == (
        "a drawing of a girl with pale skin, long pink hair, a yellow horn, a dress, purple shoes, a yellow tail, "
        "standing, left arm down, right arm raised, looking ahead, smiling, in a meadow"
    )
    assert world.caption(scene, "class") == "a drawing of a girl"
    for word in ("star", "sock", "streak", "eyes", "fringe", "wav"):
        assert word not in caption


def test_full_partial_and_class_captions_come_in_their_shares():
    scene, rng = world.sample_scene(1), np.random.default_rng(0)
    full = world.caption(scene)
    sampled = [world.sample_caption(scene, rng) for _ in range(2000)]
    assert 0.66 < np.mean([c == full for c in sampled]) < 0.74
    assert 0.07 < np.mean([c == world.CLASS_PROMPT for c in sampled]) < 0.14


def test_colors_are_named_exactly_inside_their_ranges():
    rng = np.random.default_rng(1)
    names = [color_name(sample_color(rng, named=1.0)) for _ in range(500)]
    assert None not in names and set(names) == set(NAMES)
    assert color_name((182, 0.62, 0.74)) is None
    assert skin_name(skin_tone(0.1)) == "pale" and skin_name(skin_tone(0.9)) == "brown"
    assert skin_name((200.0, 0.3, 0.9)) is None


def test_every_word_is_the_nearest_to_its_own_colors():
    rng = np.random.default_rng(0)
    for name, ranges in NAMES.items():
        inside = [lab((rng.uniform(*ranges[0]) % 360, *(rng.uniform(*ends) for ends in ranges[1:]))) for _ in "ab"]
        assert world.nearest_name(np.array(inside)) == [name, name]
    for name, ends in SKIN_NAMES.items():
        assert world.nearest_name(np.array([lab(skin_tone(sum(ends) / 2))]), skin=True) == [name]


def test_what_a_caption_says_is_found_in_it_word_by_word():
    scene = world.sample_scene(5)
    everything = world.said(scene, world.caption(scene))
    assert everything.keys() <= world.WORDS.keys()
    assert all(everything[name] == getattr(scene.pose, name) for name in world.POSE_FACTORS)
    assert everything["outfit"] == scene.character.outfit and everything["background"] == scene.setting.background
    assert world.said(scene, world.CLASS_PROMPT) == {}
    for text in (world.caption(scene, "partial", np.random.default_rng(i)) for i in range(20)):
        part = world.said(scene, text)
        assert part.items() <= everything.items()
        assert len(part) >= text.removeprefix("a drawing of a girl").count(",")


def test_lab_agrees_with_scikit_image():
    from skimage.color import rgb2lab

    from comics_genai.world.color import rgb

    for hsv in ((0.0, 0.9, 0.9), (182.0, 0.62, 0.74), (50.0, 0.65, 0.98), (0.0, 0.0, 1.0)):
        assert np.allclose(lab(hsv), rgb2lab(np.array(rgb(hsv)) / 255), atol=0.15)


def test_an_album_is_six_captioned_drawings_of_any_held_out_character(tmp_path):
    folder = world.write_album(world.COMPANIONS[0], "FoxGirl", tmp_path / "fox", size=64)
    rows = [json.loads(line) for line in (folder / "train" / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == [f"{i:02d}.png" for i in range(6)]
    assert all(row["text"].startswith("a drawing of FoxGirl, a girl, ") for row in rows)
    assert len(list((folder / "train").glob("*.png"))) == 6
