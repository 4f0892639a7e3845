"""Every optimizer descends, resumes to the same bytes, and takes batches together as one large one."""

import sys

import pytest
import torch
from torch import nn

from comics_genai.errors import UserError
from comics_genai.training import optimizers
from comics_genai.training.loop import LoopSettings, train

RATES = {"adamw": 1e-2, "adafactor": 1e-2, "prodigy": 1.0}


def small_model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def regression(model: nn.Module, stop_at: int | None = None):
    def step_loss(step: int, generator: torch.Generator):
        if step == stop_at:
            raise InterruptedError
        x = torch.randn(16, 6, generator=generator)
        return (model(x) - x.sum(1, keepdim=True)).square().mean(), {}

    return step_loss


def trained(folder, settings: LoopSettings, stop_at: int | None = None) -> nn.Module:
    model = small_model()
    train(model, regression(model, stop_at), settings, folder)
    return model


@pytest.mark.parametrize(("name", "fused"), [(name, False) for name in RATES] + [("adamw", True), ("adafactor", True)])
def test_it_descends_and_resumes_to_the_same_bytes(name, fused, tmp_path):
    settings = LoopSettings(
        steps=250 if name == "prodigy" else 40,  # it feels its way up from a tiny rate
        optimizer=name, learning_rate=RATES[name], weight_decay=0.01, checkpoint_every=7, clip_norm=0,
        fused_backward=fused,
    )  # fmt: skip
    whole = trained(tmp_path / "whole", settings)
    with pytest.raises(InterruptedError):
        trained(tmp_path / "parts", settings, stop_at=17)
    trained(tmp_path / "parts", settings)
    files = [(tmp_path / part / "weights.safetensors").read_bytes() for part in ("whole", "parts")]
    assert files[0] == files[1]
    x = torch.randn(256, 6, generator=torch.Generator().manual_seed(1))
    error, before = ((m(x) - x.sum(1, keepdim=True)).square().mean() for m in (whole, small_model()))
    assert error < 0.9 * before


def test_updating_within_the_backward_pass_changes_no_bit_and_keeps_no_gradient(tmp_path):
    settings = {"steps": 5, "learning_rate": 1e-2, "clip_norm": 0.0, "log_every": 1}
    apart, within = (
        trained(tmp_path / str(fused), LoopSettings(**settings, fused_backward=fused)) for fused in (False, True)
    )
    assert all(torch.equal(a, b) for a, b in zip(apart.parameters(), within.parameters(), strict=True))
    assert all(p.grad is None for p in within.parameters())
    logs = [(tmp_path / str(fused) / "log.jsonl").read_text().splitlines() for fused in (False, True)]
    norms = [[float(line.split('"grad_norm": ')[1].split(",")[0]) for line in lines] for lines in logs]
    assert norms[0] == pytest.approx(norms[1]) and min(norms[0]) > 0


def test_accumulated_batches_are_one_large_batch(tmp_path):
    data = torch.randn(12, 6, generator=torch.Generator().manual_seed(2))

    def train_on(size: int, accumulate: int):
        model = small_model()

        def step_loss(batch: int, generator: torch.Generator):
            x = data[(torch.arange(size) + batch * size) % len(data)]
            return (model(x) - x.sum(1, keepdim=True)).square().mean(), {"batch": torch.tensor(float(batch))}

        settings = LoopSettings(steps=3, accumulate=accumulate, log_every=1)
        train(model, step_loss, settings, tmp_path / f"{size}x{accumulate}")
        return torch.cat([p.flatten() for p in model.parameters()])

    torch.testing.assert_close(train_on(2, 3), train_on(6, 1))
    first = (tmp_path / "2x3" / "log.jsonl").read_text().splitlines()[1]
    assert '"batch": 4.0' in first  # the mean of the batches 3, 4 and 5 of the second step


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="adamw8bit needs the package bitsandbytes: run `pip install bitsandbytes`"):
        optimizers.build("adamw8bit", small_model().parameters(), 1e-3, (0.9, 0.99), 0.0)


@pytest.mark.parametrize("needs_all", [{"accumulate": 2}, {"clip_norm": 1.0}, {"precision": "fp16"}])
def test_what_needs_all_gradients_at_once_is_refused_with_the_fused_backward_pass(needs_all):
    with pytest.raises(UserError, match="fused_backward is True, but must be False with accumulate, clip_norm or"):
        LoopSettings(**{"steps": 1, "clip_norm": 0.0, "fused_backward": True} | needs_all)
