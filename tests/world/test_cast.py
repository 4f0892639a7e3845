"""Held-out characters stay out of pretraining; its scenes come in pairs."""

from dataclasses import fields

import numpy as np

from comics_genai import world
from comics_genai.pretrain.dataset import HELD_OUT_SEED, DatasetSettings


def test_no_held_out_character_and_not_her_token_are_in_the_pretraining_set():
    held_out = {(c.hair_style, c.headgear, c.outfit) for c in world.HELD_OUT}
    rng = np.random.default_rng(0)
    for seed in range(0, DatasetSettings().pictures, 5):  # odd and even alike, for a pair has one of each
        scene = world.sample_scene(seed)
        character = scene.character
        assert (character.hair_style, character.headgear, character.outfit) not in held_out
        if seed % 40 == 0:
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
