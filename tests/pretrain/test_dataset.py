"""The pretraining set."""

from dataclasses import replace

import numpy as np

from comics_genai import world
from comics_genai.pretrain import dataset, semantics
from comics_genai.pretrain.dataset import DatasetSettings


def test_the_pictures_are_the_scenes_in_order_and_whole_parts_are_not_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "CHUNK", 3)
    settings = DatasetSettings(pictures=7, size=64, workers=1)
    part = tmp_path / "parts" / "00000003-00000006-64.npz"
    part.parent.mkdir(parents=True)
    kept = {dataset.IMAGES: np.full((3, 64, 64, 3), 9, np.uint8), dataset.MAPS: np.ones((3, 17, 16, 16), np.float16)}
    np.savez(part, **kept)
    images, maps = (np.load(dataset.build(settings, tmp_path) / name) for name in (dataset.IMAGES, dataset.MAPS))
    assert maps.shape == (7, 17, 16, 16) and (maps[3:6] == 1).all()
    assert np.array_equal(maps[6], semantics.draw(world.sample_scene(6), 64)[1].astype(np.float16))
    assert images.shape == (7, 64, 64, 3) and images.dtype == np.uint8
    assert np.array_equal(images[[0, 1, 2, 6]], dataset.draw_scenes([0, 1, 2, 6], 64))
    assert (images[3:6] == 9).all() and not part.exists()
    assert dataset.is_built(settings, tmp_path) and not dataset.is_built(replace(settings, size=128), tmp_path)


def test_captions_depend_on_the_scene_alone():
    assert dataset.captions([3, 9])[1] == dataset.captions([9])[0]
    assert len(dataset.captions([3])[0]) == dataset.CAPTIONS_A_PICTURE
