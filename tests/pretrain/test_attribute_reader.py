"""What the attribute reader learns from, how its training measures it, and what it keeps when it is interrupted."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from comics_genai import world
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import AttributeReader, AttributeReaderConfig, as_readings
from comics_genai.evaluation.readings import FACTORS, Readings, compare
from comics_genai.images import as_tensor
from comics_genai.pretrain import attribute_reader
from comics_genai.pretrain import vae as vae_stage
from comics_genai.pretrain.attribute_reader import (
    ReaderSettings,
    batches,
    cached_reconstructions,
    reader_loss,
    reconstruct,
    targets_of,
    train_reader,
)
from comics_genai.pretrain.dataset import draw_scenes
from comics_genai.training.loop import LoopSettings

SCENES = [world.sample_scene(seed) for seed in range(4)]
TINY = AttributeReaderConfig(
    size=64, widths=(8, 8, 16, 16), blocks=(0, 1, 0, 1), pyramid=16, crop_widths=(8, 8, 16, 16), vector=24, head=8
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return draw_scenes(range(12), 64)


@pytest.fixture(scope="module")
def truth() -> Readings:
    return Readings.of([world.sample_scene(i) for i in range(12)])


@pytest.fixture(scope="module")
def vae():
    return vae_stage.build(3, 4, 8).eval().requires_grad_(False)


def outputs_for(truth: Readings) -> dict[str, torch.Tensor]:
    """What a perfect network would give."""
    outputs = {}
    for name, target in targets_of(truth).items():
        attribute = next((a for a in world.ATTRIBUTES if a.name == name), None)
        values = len(world.POSE_FACTORS[name]) if name in world.POSE_FACTORS else 0
        if attribute is not None and attribute.kind == "class":
            values = len(attribute.classes)
        if values:
            outputs[name] = 50 * torch.nn.functional.one_hot(target, values).float()
        else:
            outputs[name] = target[:, None] if target.ndim == 1 else target
    return outputs | {"legible": torch.full((len(truth), 1), 50.0)}


def test_outputs_and_targets_are_inverse(truth):
    outputs = outputs_for(truth)
    readings = as_readings(outputs)
    assert all(right.all() for right in compare(readings, truth).values())
    np.testing.assert_allclose(readings.attributes["hair_color"], truth.attributes["hair_color"], atol=1e-3)
    loss, parts = reader_loss(outputs, targets_of(truth))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert set(parts) == {"classes", "colors", "scalars", "pose", "joints", "legible"}


def test_of_what_is_called_illegible_nothing_is_right_and_nothing_else_is_learned(truth):
    outputs, targets = outputs_for(truth), targets_of(truth)
    outputs["legible"][0] = -50.0
    right = compare(as_readings(outputs), truth)
    assert all(not found[0] and found[1:].all() for found in right.values())
    spoilt = {**outputs, "skin": outputs["skin"] + 9.0}
    spoilt["skin"][1:] = outputs["skin"][1:]
    targets["legible"] = torch.tensor([0.0] + 11 * [1.0])
    assert reader_loss(spoilt, targets)[0].item() == pytest.approx(0, abs=1e-6)
    targets["legible"][0] = 1.0
    assert reader_loss(spoilt, targets)[1]["legible"] > 10


def test_no_unit_can_die(images, truth):
    # Of a ReLU below zero no gradient reaches anything before it, for good. That once cost four attributes.
    reader = AttributeReader(TINY)
    for layer in (*(head[0] for head in reader.heads.values()), *(close[-2] for close in reader.readers.values())):
        torch.nn.init.constant_(layer.bias, -100.0)
    reader_loss(reader(as_tensor(images, 64)), targets_of(truth))[0].backward()
    for factor, head in reader.heads.items():
        assert head[0].weight.grad.abs().sum() > 0, factor
    for close in reader.readers.values():
        assert close[0][0].weight.grad.abs().sum() > 0


def test_a_reader_can_learn_factors_and_joints(images, truth):
    torch.manual_seed(0)
    reader, targets = AttributeReader(TINY), targets_of(truth)
    optimizer = torch.optim.AdamW(reader.parameters(), 1e-2)
    x = as_tensor(images, 64)
    first = reader_loss(reader(x), targets)[0].item()
    for _ in range(60):
        optimizer.zero_grad()
        loss, _ = reader_loss(reader(x), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.25 * first
    outputs = {name: output.detach() for name, output in reader(x).items()}
    right = compare(as_readings(outputs), truth)
    assert right["legs"].mean() > 0.9 and right["outfit"].mean() > 0.9


def test_joints_follow_the_shifts_of_a_batch(images, truth):
    settings = ReaderSettings(batch_size=40, blurred=0, noisy=0, shift=4)
    x, targets = batches(settings, images, None, targets_of(truth))(torch.Generator().manual_seed(0))
    assert x.shape == (40, 3, 64, 64)
    matched = 0
    for picture, joints in zip(x, targets["joints"], strict=True):
        # Which scene it is follows from the joints' shape, which a shift does not change.
        distances = np.abs(np.ptp(truth.joints, axis=1) - np.ptp(joints.numpy(), axis=0)).sum(-1)
        i = int(distances.argmin())
        dx, dy = np.round((joints.numpy() - truth.joints[i])[0] * 64).astype(int)
        assert max(abs(dx), abs(dy)) <= 4
        inner = np.roll(images[i], (dy, dx), (0, 1))[4:-4, 4:-4]
        matched += np.array_equal(np.round(picture.permute(1, 2, 0).numpy() * 255)[4:-4, 4:-4], inner)
    assert matched == 40


def test_a_batch_is_spoilt_in_its_shares_and_a_function_of_its_generator(images, truth):
    settings = ReaderSettings(batch_size=200, shift=0, reconstructed=0.5, blurred=0, noisy=0)
    black = np.zeros_like(images)
    draw = batches(settings, images, black, targets_of(truth))
    x, _ = draw(torch.Generator().manual_seed(1))
    assert 0.4 < (x.amax((1, 2, 3)) == 0).float().mean() < 0.6
    again, _ = draw(torch.Generator().manual_seed(1))
    assert torch.equal(x, again)
    spoilt, _ = batches(replace(settings, blurred=0.3, noisy=0.3), images, None, targets_of(truth))(
        torch.Generator().manual_seed(1)
    )
    known = {image.tobytes() for image in images}
    untouched = np.mean(
        [np.round(p.permute(1, 2, 0).numpy() * 255).astype(np.uint8).tobytes() in known for p in spoilt]
    )
    assert 0.38 < untouched < 0.62  # 0.7 * 0.7


def test_a_share_of_a_batch_is_illegible(images, truth):
    settings = ReaderSettings(batch_size=200, shift=0, illegible=0.3, blurred=0, noisy=0)
    white = np.full((2, 64, 64, 3), 255, np.uint8)
    x, targets = batches(settings, images, None, targets_of(truth), white)(torch.Generator().manual_seed(1))
    blank = x.amin((1, 2, 3)) == 1
    assert 0.2 < blank.float().mean() < 0.4 and torch.equal(blank, targets["legible"] == 0)


def test_half_of_the_reconstructions_are_noisy(vae, images):
    clean = reconstruct(vae, images, 0.0, torch.Generator().manual_seed(0))
    noisy = reconstruct(vae, images, 2.0, torch.Generator().manual_seed(0))
    assert clean.shape == images.shape and clean.dtype == np.uint8
    changed = (clean != noisy).any((1, 2, 3))
    assert 2 <= changed.sum() <= 10
    np.testing.assert_array_equal(noisy, reconstruct(vae, images, 2.0, torch.Generator().manual_seed(0)))


def test_reconstructions_are_computed_once_for_each_vae(tmp_path, vae, images, monkeypatch):
    monkeypatch.setattr("comics_genai.pretrain.attribute_reader.RECONSTRUCTED_AT_ONCE", 5)
    first = np.array(cached_reconstructions(vae, images, 0.4, tmp_path))
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    np.testing.assert_array_equal(first, cached_reconstructions(vae, images, 0.4, tmp_path))
    assert file.stat().st_mtime_ns == written
    other = vae_stage.build(3, 4, 16).eval().requires_grad_(False)
    cached_reconstructions(other, images, 0.4, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_stage_trains_goes_on_and_ships_a_reader_with_its_accuracy(tmp_path, vae, images):
    loop = LoopSettings(steps=3, learning_rate=1e-3, ema_decay=0.9, log_every=1, validate_every=3)
    settings = ReaderSettings(network=TINY, batch_size=8, illegible_pictures=6, held_out=4, loop=loop)
    stopped = train_reader(replace(settings, loop=replace(loop, max_minutes=1e-9)), images, tmp_path, vae)
    assert not stopped.finished and not (tmp_path / "accuracy.json").exists()
    assert train_reader(settings, images, tmp_path, vae).finished
    straight = tmp_path / "straight"
    assert train_reader(settings, images, straight, vae).finished
    assert (tmp_path / "export/model.safetensors").read_bytes() == (straight / "export/model.safetensors").read_bytes()
    record = json.loads((tmp_path / "accuracy.json").read_text())
    assert record["held_out_pictures"] == 4 and 0 <= record["illegible_found"] <= 1
    for kind in ("renders", "reconstructions"):
        assert set(record[kind]) == {a.name for a in world.ATTRIBUTES} | set(world.POSE_FACTORS) | {"joint_error"}
        assert all(0 <= share <= 1 for share in record[kind].values())
    assert len(AttributeReader.load(tmp_path / "export").read(images[:2])) == 2


def test_without_a_vae_it_trains_on_renders_or_says_so(tmp_path, images):
    settings = ReaderSettings(network=TINY, batch_size=8, illegible_pictures=6, held_out=4, loop=LoopSettings(steps=1))
    with pytest.raises(UserError, match="no trained VAE"):
        train_reader(settings, images, tmp_path / "a")
    assert train_reader(replace(settings, reconstructions=False), images, tmp_path / "b").finished
    record = json.loads((tmp_path / "b/accuracy.json").read_text())
    assert "renders" in record and "reconstructions" not in record


class Telling:
    """A reader that reads given scenes in any pictures."""

    def __init__(self, scenes: list[world.Scene], joints_off: float = 0.0):
        self.readings = Readings.of(scenes)
        self.readings.joints[..., 0] += joints_off

    def read(self, images: np.ndarray) -> Readings:
        return self.readings


def test_accuracy_is_the_share_of_pictures_in_which_a_factor_is_read_right():
    other = "sad" if SCENES[0].pose.expression != "sad" else "angry"
    wrong = replace(SCENES[0], pose=replace(SCENES[0].pose, expression=other))
    truth = Readings.of(SCENES)
    shares = attribute_reader.accuracy(Telling([wrong, *SCENES[1:]]), np.zeros((4, 8, 8, 3), np.uint8), truth)
    assert shares.pop("joint_error") == 0 and shares.keys() == set(FACTORS)
    assert shares.pop("expression") == 0.75 and set(shares.values()) == {1.0}
    shares = attribute_reader.accuracy(Telling(SCENES, joints_off=0.1), np.zeros((4, 8, 8, 3), np.uint8), truth)
    assert shares["joint_error"] == pytest.approx(0.1)


def test_an_interruption_loses_one_part_of_the_reconstructions_and_changes_none(tmp_path, monkeypatch):
    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    vae = AutoencoderTiny(**widths, **blocks, upsampling_scaling_factor=2).eval()
    images = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
    monkeypatch.setattr(attribute_reader, "RECONSTRUCTED_AT_ONCE", 2)
    whole = np.array(attribute_reader.cached_reconstructions(vae, images, 0.4, tmp_path / "whole"))
    reconstruct, made = attribute_reader.reconstruct, []

    def interrupted(vae, chunk, *options):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(chunk))
        return reconstruct(vae, chunk, *options)

    monkeypatch.setattr(attribute_reader, "reconstruct", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attribute_reader.cached_reconstructions(vae, images, 0.4, tmp_path / "run")
    made.clear()
    resumed = attribute_reader.cached_reconstructions(vae, images, 0.4, tmp_path / "run")
    assert made == [2]  # the other two parts were there
    np.testing.assert_array_equal(resumed, whole)
    assert [path.suffix for path in (tmp_path / "run").iterdir()] == [".npy"]
