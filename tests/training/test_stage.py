"""A stage's folder: its settings, and its weights, averaged or of the newest checkpoint."""

import pytest
import torch
from torch import nn

from comics_genai.errors import UserError
from comics_genai.training.loop import LoopSettings, train
from comics_genai.training.stage import is_finished, load_stage, recorded_settings


def weights_of(folder):
    line = nn.Linear(2, 1)
    load_stage(line, folder)
    return line.weight


def trained(folder, **changes):
    """Train a line in `folder` to go through a point."""
    torch.manual_seed(0)
    line = nn.Linear(2, 1)

    def loss(step, generator):
        error = (line(torch.ones(1, 2)) - 3).square().mean()
        return error, {}

    settings = LoopSettings(steps=6, learning_rate=0.1, ema_decay=0.5, checkpoint_every=2, **changes)
    return train(line, loss, settings, folder, all_settings={"size": 2}), line


def test_a_stage_that_is_not_finished_gives_its_newest_checkpoint_and_a_finished_one_the_average(tmp_path):
    with pytest.raises(UserError, match="^The stage line was not trained in .*pretrain line` first.$"):
        recorded_settings(tmp_path / "line")
    result, line = trained(tmp_path, max_minutes=1e-9)
    assert (result.step, result.finished, is_finished(tmp_path)) == (1, False, False)
    early = weights_of(tmp_path)
    result, line = trained(tmp_path)
    assert result.finished and is_finished(tmp_path) and recorded_settings(tmp_path)["size"] == 2
    late = weights_of(tmp_path)
    assert not torch.equal(early, late) and not torch.equal(late, line.weight)  # the average lags behind
    assert (late - line.weight).abs().max() < (early - line.weight).abs().max()
