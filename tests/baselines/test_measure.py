"""What is measured of samples: copies, collapse, identity."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from comics_genai import world
from comics_genai.baselines import measure
from comics_genai.evaluation.attribute_reader import AttributeReader, AttributeReaderConfig, Readings
from comics_genai.evaluation.metrics import other_pose_scenes, table


class KnowingReader(AttributeReader):
    """Reads off the scenes it is told."""

    def __init__(self, scenes):
        nn.Module.__init__(self)
        self.scenes, self.config = scenes, AttributeReaderConfig()

    def read(self, images, batch_size=32):
        return Readings.of(self.scenes)


@pytest.fixture(scope="module")
def girl():
    references = world.reference_scenes(world.UNICORN_GIRL)
    return references, [world.draw(scene, 64) for scene in references]


def test_copies_and_collapse_are_measured(girl):
    _, drawings = girl
    assert measure.copy_rate(drawings[:3], drawings, threshold=0.01) == 1
    white = Image.new("RGB", (64, 64), "white")
    assert measure.copy_rate([drawings[0], white], drawings, threshold=0.01) == 0.5
    assert measure.pairwise_distance([white] * 4) == 0
    assert measure.pairwise_distance([white, Image.new("RGB", (64, 64))]) == pytest.approx(1)
    # Three pairs, two of them black against white.
    assert measure.pairwise_distance([white, white, Image.new("RGB", (64, 64))]) == pytest.approx(2 / 3)


def test_each_sample_stands_above_its_nearest_drawing(girl):
    _, drawings = girl
    samples = [drawings[3], drawings[1], drawings[3]]
    sheet = np.asarray(measure.beside_nearest(samples, drawings, columns=2))
    assert sheet.shape == (4 * 64, 3 * 64, 3)
    assert (sheet[:, :64] < 128).any()  # what each row shows, in words
    sheet = sheet[:, 64:]
    assert np.array_equal(sheet[:64], sheet[64:128]) and np.array_equal(sheet[128:192], sheet[192:])
    assert (sheet[128:, 64:] == 255).all()  # the row's empty place


def test_samples_are_scored_without_a_pose_asked_for(girl):
    references, drawings = girl
    others = other_pose_scenes(world.UNICORN_GIRL, 3, seed=4)
    stranger = replace(others[0], character=world.COMPANIONS[0])
    scenes = [references[0], references[0], *others, stranger]
    pictures = [world.draw(scene, 64) for scene in scenes]
    records = measure.score_samples(pictures, world.UNICORN_GIRL, drawings, KnowingReader(scenes), threshold=0.01)
    assert [record["copied"] for record in records] == [True, True, False, False, False, False]
    assert [record["new_pose"] for record in records] == [False, False, True, True, True, True]
    assert [record["novel"] for record in records] == [False, False, True, True, True, False]
    assert [record["identity_right"] for record in records] == [True] * 5 + [False]
    assert "pose" not in records[0] and "joint_success" not in records[0] and "legs" not in records[0]["right"]
    json.dumps(records)
    row = table({"samples": records})["rows"][0]
    assert row["pose"] is None and row["joint_success"] is None and row["copied"]["mean"] == pytest.approx(1 / 3)

    summary = measure.summarise_samples(records, pictures)
    assert summary["pictures"] == 6 and summary["copy_rate"] == pytest.approx(1 / 3) and summary["novel"] == 0.5
    distinct = {measure._parts(scene.pose) for scene in [references[0], *others]}
    assert summary["pose_coverage"] == len(distinct) / 240 and sum(summary["poses"].values()) == 5
    assert summary["pose_coverage_drawings"] == 6 / 240 and summary["pose_chance"] == 1 / 240
    assert summary["pose_coverage_uniform"] == pytest.approx(240 * (1 - (239 / 240) ** 6) / 240)
    assert max(summary["poses"], key=summary["poses"].get) == ", ".join(measure._parts(references[0].pose))
    json.dumps(summary)
