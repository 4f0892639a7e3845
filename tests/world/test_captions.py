"""Captions say what has a name, and nothing else."""

import numpy as np

from comics_genai import world


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
