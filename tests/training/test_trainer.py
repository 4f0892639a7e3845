"""What a checkpoint may hold: a training's own state, whole, or it is refused in a sentence."""

import json
import signal

import pytest
import safetensors.torch
import torch
from torch import nn

from comics_genai import files
from comics_genai.errors import UserError
from comics_genai.run import checkpoint_files
from comics_genai.training.loop import LoopSettings, train

SETTINGS = LoopSettings(steps=6, checkpoint_every=2, ema_decay=0.5, log_every=1)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 2)


def loss(net: nn.Module, stop: int = 99):
    def step_loss(i, generator):
        if i == stop:
            raise InterruptedError
        return net(torch.randn(3, 2, generator=generator)).square().mean(), {}

    return step_loss


@pytest.fixture
def folder(tmp_path):
    """A training that was stopped in step 5, with checkpoints of steps 2 and 4."""
    net = model()
    with pytest.raises(InterruptedError):
        train(net, loss(net, stop=4), SETTINGS, tmp_path / "run")
    return tmp_path / "run"


def go_on(folder, settings=SETTINGS, **options):
    net = model()
    return train(net, loss(net), settings, folder, **options)


def rewrite(folder, change) -> None:
    """The newest checkpoint anew, with its checksum, after `change` of its tensors and record."""
    path = checkpoint_files(folder)[-1]
    tensors, record = files.load_tensors(path)
    change(tensors, record)
    files.save_tensors(path, tensors, record)


def moments(value):
    return lambda tensors, record: tensors.update(dict.fromkeys(("optimizer.exp_avg.weight",), value))


FOREIGN = {
    "moments of another shape": (moments(torch.ones(3)), "lacks a part of the optimizer's state"),
    "moments of another type": (moments(torch.ones(2, 2, dtype=torch.int32)), "lacks a part of the optimizer's state"),
    "no moments": (lambda t, r: t.pop("optimizer.exp_avg.weight"), "lacks a part of the optimizer's state"),
    "no optimizer": (lambda t, r: r.pop("optimizers"), "lacks a part of the optimizer's state"),
    "weights of another type": (lambda t, r: t.update({"weights.weight": t["weights.weight"].half()}), "float16"),
    "weights of another shape": (lambda t, r: t.update({"weights.weight": torch.ones(3, 3)}), "another model"),
    "no averages": (lambda t, r: t.pop("ema.weight"), "lacks weight"),
    "a part that there is not": (lambda t, r: t.update({"x.y": torch.ones(1)}), "not part of a checkpoint"),
    "a step beyond": (lambda t, r: r.update(step=900), "says that it is of step 900"),
    "a step below 0": (lambda t, r: r.update(step=-1), "says that it is of step -1"),
    "no step": (lambda t, r: r.pop("step"), "says that it is of step None"),
    "another rate": (lambda t, r: r["loop"].update(learning_rate=9.0), "was trained with learning_rate = 9.0, and now"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_checkpoint_of_another_training_is_one_sentence(folder, kind):
    change, sentence = FOREIGN[kind]
    rewrite(folder, change)
    with pytest.raises(UserError, match=f"step_000004.*{sentence}"):
        go_on(folder)


def test_a_changed_bit_falls_back_to_the_checkpoint_before_and_says_so(folder, tmp_path):
    go_on(tmp_path / "whole")
    path = folder / "checkpoints" / "step_000004.safetensors"
    content = bytearray(path.read_bytes())
    content[-10] ^= 4
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="step_000004.safetensors is damaged and is passed over.*checksum"):
        go_on(folder)
    weights = [(run / "weights.safetensors").read_bytes() for run in (folder, tmp_path / "whole")]
    assert weights[0] == weights[1]


def test_stray_files_among_checkpoints_are_left_alone(folder):
    strays = [folder / "checkpoints" / name for name in ("step_000004 (1).safetensors", "step_x.safetensors", "a.txt")]
    for path in strays:
        path.write_bytes(b"x")
    assert go_on(folder).finished
    assert all(path.exists() for path in strays)


def test_other_numbers_of_threads_and_deleted_settings_are_told(folder):
    rewrite(folder, lambda tensors, record: record.update(threads=torch.get_num_threads() + 1))
    (folder / "settings.json").unlink()
    with pytest.warns(UserWarning) as told:
        assert go_on(folder).finished
    said = [str(warning.message) for warning in told]
    assert any("goes on with 1: the last bits" in one or "threads and goes on with" in one for one in said)
    assert any("settings.json is gone: it is written anew" in one for one in said)


def test_deleted_settings_of_other_values_are_still_noticed(folder):
    (folder / "settings.json").unlink()
    with pytest.warns(UserWarning, match="is gone"):
        with pytest.raises(UserError, match="was trained with seed = 0, and now seed = 5"):
            go_on(folder, LoopSettings(**{**SETTINGS.__dict__, "seed": 5}))


def test_weights_without_settings_are_nobodys(tmp_path):
    safetensors.torch.save_file({"x": torch.ones(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="holds weights.safetensors without the settings.json"):
        go_on(tmp_path)


def test_train_on_goes_past_the_end_from_its_last_checkpoint_and_is_a_run_of_the_new_length(tmp_path):
    assert go_on(tmp_path).finished
    longer = LoopSettings(**{**SETTINGS.__dict__, "steps": 10})
    with pytest.raises(UserError, match=r"loop\.steps = 6, and now .*= 10: .*`finetune --resume` to train on"):
        go_on(tmp_path, longer)
    assert (go_on(tmp_path, longer, extend=True).step, files.record_of(tmp_path / "weights.safetensors")["step"]) == (
        10,
        10,
    )
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 11))
    assert go_on(tmp_path, longer).message.count("finished before") == 1
    with pytest.raises(UserError, match=r"loop\.steps = 10, and now loop\.steps = 6"):
        go_on(tmp_path, extend=True)


def test_train_on_that_is_stopped_keeps_the_old_result_and_goes_on(tmp_path):
    go_on(tmp_path)
    old, longer = (tmp_path / "weights.safetensors").read_bytes(), LoopSettings(**{**SETTINGS.__dict__, "steps": 10})
    net = model()
    with pytest.raises(InterruptedError):
        train(net, loss(net, stop=8), longer, tmp_path, extend=True)
    assert (tmp_path / "weights.safetensors").read_bytes() == old
    assert go_on(tmp_path, longer).step == 10
    assert (tmp_path / "weights.safetensors").read_bytes() != old


def test_a_stopped_training_says_by_what(tmp_path):
    net = model()

    def stopping(i, generator):
        if i == 1:
            signal.raise_signal(signal.SIGUSR1)
        return loss(net)(i, generator)

    result = train(net, stopping, SETTINGS, tmp_path)
    assert (result.finished, result.stopped_by, result.step) == (False, "SIGUSR1", 2)
    assert f"go on from {tmp_path / 'checkpoints' / 'step_000002.safetensors'}" in result.message
