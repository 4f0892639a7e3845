import json

import numpy as np
import pytest
import torch
from PIL import Image

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import CROP_SIZE, AttributeReader, AttributeReaderConfig, crop
from comics_genai.images import as_tensor

TINY = AttributeReaderConfig(
    size=64, widths=(8, 8, 16, 16), blocks=(0, 1, 0, 1), pyramid=16, crop_widths=(8, 8, 16, 16), vector=24, head=8
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([np.asarray(world.draw(world.sample_scene(i), 64)) for i in range(12)])


def test_the_network_has_the_shapes_it_says():
    reader = AttributeReader()
    outputs = reader(torch.rand(2, 3, 128, 128))
    for a in world.ATTRIBUTES:
        assert outputs[a.name].shape == (2, {"class": len(a.classes), "color": 3, "scalar": 1}[a.kind])
    for name, values in world.POSE_FACTORS.items():
        assert outputs[name].shape == (2, len(values))
    assert outputs["joints"].shape == (2, 13, 2) and outputs["legible"].shape == (2, 1)
    assert ((0 <= outputs["joints"]) & (outputs["joints"] <= 1)).all()
    assert 3_500_000 < sum(p.numel() for p in reader.parameters()) < 4_500_000


def test_saved_and_loaded_it_reads_the_same(tmp_path, images):
    torch.manual_seed(0)
    reader = AttributeReader(TINY)
    reader(as_tensor(images, 64))  # moves the running statistics away from where they start
    reader.save(tmp_path)
    loaded = AttributeReader.load(tmp_path)
    before, after = reader.read(images, batch_size=5), loaded.read(images)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    np.testing.assert_allclose(before.joints, after.joints, atol=2e-3)
    np.testing.assert_allclose(before.attributes["skin"], after.attributes["skin"], atol=0.2)
    assert (tmp_path / "model.safetensors").stat().st_size < 2.5 * sum(p.numel() for p in reader.parameters()) + 40_000


def test_reading_does_not_depend_on_batch_or_form(images):
    reader = AttributeReader(TINY)
    array = reader.read(images, batch_size=12)
    pictures = reader.read([Image.fromarray(image) for image in images], batch_size=1)
    np.testing.assert_allclose(array.joints, pictures.joints, atol=1e-5)
    large = Image.fromarray(images[0]).resize((512, 512), Image.Resampling.NEAREST)
    clear = Image.fromarray(np.dstack([images[0], np.full((64, 64), 255, np.uint8)]))
    np.testing.assert_allclose(reader.read([large, clear]).joints, array.joints[[0, 0]], atol=1e-5)
    assert reader.training and len(reader.read([])) == 0


def test_a_reader_of_another_world_is_refused(tmp_path):
    AttributeReader(TINY).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["factors"]["headgear"] = ["fez"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="other factors"):
        AttributeReader.load(tmp_path)
    with pytest.raises(UserError, match="No attribute reader can be loaded"):
        AttributeReader.load(tmp_path / "absent")


def test_a_crop_is_the_square_around_its_center_and_the_border_goes_on():
    images = torch.zeros(2, 3, 64, 64)
    images[0, :, 20, 44] = 1.0  # y, x
    images[1, 0] = 0.5
    center = torch.tensor([[44.5 / 64, 20.5 / 64], [0.0, 0.0]])
    found = crop(images, center, CROP_SIZE / 64)  # a pixel is a pixel
    assert found.shape == (2, 3, CROP_SIZE, CROP_SIZE)
    middle = found[0, :, CROP_SIZE // 2 - 1 : CROP_SIZE // 2 + 1, CROP_SIZE // 2 - 1 : CROP_SIZE // 2 + 1]
    assert middle.sum() == pytest.approx(3, abs=1e-4) and found[0].sum() == pytest.approx(3, abs=1e-4)
    assert torch.allclose(found[1, 0], torch.tensor(0.5))


def test_readers_look_where_they_are_told(images):
    torch.manual_seed(0)
    reader = AttributeReader(TINY).eval()
    x = as_tensor(images[:1], 64)
    joints = reader(x)["joints"]
    told = reader(x, joints)
    assert all(torch.allclose(told[name], output, atol=1e-5) for name, output in reader(x).items())
    elsewhere = reader(x, joints + 0.2)
    assert torch.equal(elsewhere["joints"], joints) and not torch.allclose(elsewhere["skin"], told["skin"], atol=1e-4)


def test_what_a_reader_can_read_is_kept_with_it(tmp_path):
    reader = AttributeReader(TINY)
    reader.readable = ("skin", "outfit")
    reader.save(tmp_path)
    assert AttributeReader.load(tmp_path).readable == ("skin", "outfit")
