import json
import math
import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from comics_genai.errors import UserError
from comics_genai.files import load_weights
from comics_genai.training.loop import LoopSettings, train


def small_model() -> nn.Module:
    """Has what a resume can get wrong: dropout, buffers that change, a frozen part, a channels-last weight."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
            nn.BatchNorm2d(4),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(36, 2),
        )
    model[4].bias.requires_grad_(False)
    return model


def regression(model: nn.Module, pause: float = 0.0):
    """A loss that draws from the step's generator and from every global one."""

    def step_loss(step: int, generator: torch.Generator):
        time.sleep(pause)
        x = torch.randn(8, 3, 5, 5, generator=generator)
        target = torch.rand(8, 2) + np.random.rand() + random.random()
        return (model(x) - target).square().mean(), {"target": target.mean()}

    return step_loss


def at_step(step_loss, step: int, action):
    """step_loss, with `action` called within one step."""

    def wrapped(i: int, generator: torch.Generator):
        if i == step:
            action()
        return step_loss(i, generator)

    return wrapped


def run(folder: Path, settings: LoopSettings, **options):
    model = small_model()
    return train(model, regression(model), settings, folder, **options)


def run_until(folder: Path, settings: LoopSettings, step: int, action):
    model = small_model()
    return train(model, at_step(regression(model), step, action), settings, folder)


def crash():
    raise RuntimeError("crash")


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def figures(folder: Path) -> list[dict]:
    """The log without its clock readings."""
    clocks = ("seconds", "steps_per_second", "peak_bytes")
    return [{k: v for k, v in row.items() if k not in clocks} for row in rows(folder)]


def same_outcome(folder: Path, other: Path) -> bool:
    names = ["weights.safetensors", "ema.safetensors"]
    return figures(folder) == figures(other) and all(
        (folder / name).read_bytes() == (other / name).read_bytes() for name in names
    )


def scalar_run(folder: Path, gradients, validate=None, **settings):
    """Trains one parameter w, started at 1, whose gradient at step i is gradients[i]."""
    model = nn.Module()
    model.w = nn.Parameter(torch.ones(1))
    loss_settings = LoopSettings(steps=len(gradients), log_every=1, **settings)
    train(model, lambda i, g: (model.w.sum() * gradients[i], {}), loss_settings, folder, validate=validate)
    return model.w.item()


EXACT = LoopSettings(
    steps=20, learning_rate=0.01, schedule="cosine", ema_decay=0.9, weight_decay=0.1, log_every=3, checkpoint_every=4
)


def test_adamw_uses_the_scheduled_rate(tmp_path):
    # Adam's first steps under a constant gradient have the length of the rate: 1 - 0.1 * (1 + 0.5).
    w = scalar_run(tmp_path, [3.0, 3.0], learning_rate=0.1, schedule="linear")
    assert w == pytest.approx(0.85, abs=1e-5)
    assert [row["lr"] for row in rows(tmp_path)] == pytest.approx([0.1, 0.05])


def test_ema_by_hand_is_what_validation_sees_and_what_is_saved(tmp_path):
    seen, training = [], []

    def validate(step, model):
        seen.append((step, model.w.item()))
        training.append((model.training, torch.is_grad_enabled()))
        return {"w": model.w.item()}

    w = scalar_run(tmp_path, [1.0] * 3, validate, learning_rate=0.1, ema_decay=0.15, validate_every=1, clip_norm=0)
    # w is 0.9, 0.8, 0.7; the decays are min(0.15, 1/10), min(0.15, 2/11), min(0.15, 3/12).
    first = 0.1 * 1.0 + 0.9 * 0.9
    second = 0.15 * first + 0.85 * 0.8
    third = 0.15 * second + 0.85 * 0.7
    assert [step for step, _ in seen] == [1, 2, 3]
    assert [value for _, value in seen] == pytest.approx([first, second, third], abs=1e-5)
    assert training == [(False, False)] * 3
    assert w == pytest.approx(0.7, abs=1e-5)
    assert safetensors.torch.load_file(tmp_path / "ema.safetensors")["w"].item() == seen[-1][1]
    assert safetensors.torch.load_file(tmp_path / "weights.safetensors")["w"].item() == w
    assert [row["validation_w"] for row in rows(tmp_path)] == [value for _, value in seen]


def test_validation_changes_nothing_in_training(tmp_path):
    run(tmp_path / "without", EXACT)
    options = LoopSettings(**{**EXACT.__dict__, "validate_every": 3})
    run(tmp_path / "with", options, validate=lambda step, model: {"x": model(torch.randn(2, 3, 5, 5)).mean().item()})
    assert (tmp_path / "with/weights.safetensors").read_bytes() == (
        tmp_path / "without/weights.safetensors"
    ).read_bytes()


def test_clipping_scales_the_gradient_to_the_norm_and_logs_the_norm_before(tmp_path):
    # Adam forgets the scale of a constant gradient, so a large one comes between small ones: m / sqrt(v) tells.
    def adam(gradients):
        w, m, v = 1.0, 0.0, 0.0
        for i, g in enumerate(gradients, start=1):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            w -= 0.1 * (m / (1 - 0.9**i)) / (math.sqrt(v / (1 - 0.999**i)) + 1e-8)
        return w

    clipped = scalar_run(tmp_path / "clipped", [0.1, 100.0, 0.1], learning_rate=0.1, clip_norm=0.5)
    free = scalar_run(tmp_path / "free", [0.1, 100.0, 0.1], learning_rate=0.1, clip_norm=0)
    assert clipped == pytest.approx(adam([0.1, 0.5, 0.1]), abs=1e-4)
    assert free == pytest.approx(adam([0.1, 100.0, 0.1]), abs=1e-4)
    assert [row["grad_norm"] for row in rows(tmp_path / "clipped")] == pytest.approx([0.1, 100.0, 0.1])


def test_log_holds_means_over_the_window(tmp_path):
    model = nn.Linear(1, 1)

    def step_loss(i, generator):
        return model(torch.zeros(1, 1)).sum() * 0 + i, {"double": torch.tensor(2.0 * i)}

    train(model, step_loss, LoopSettings(steps=5, log_every=2), tmp_path)
    assert [(row["step"], row["loss"], row["double"]) for row in rows(tmp_path)] == [
        (2, 0.5, 1),
        (4, 2.5, 5),
        (5, 4, 8),
    ]
    assert {"lr", "grad_norm", "seconds", "steps_per_second"} <= rows(tmp_path)[0].keys()


def test_bf16_computes_in_bf16_and_keeps_fp32_weights(tmp_path):
    model = nn.Linear(4, 4)
    dtypes = []

    def step_loss(i, generator):
        y = model(torch.randn(2, 4, generator=generator))
        dtypes.append(y.dtype)
        return y.square().mean(), {}

    train(model, step_loss, LoopSettings(steps=2, precision="bf16"), tmp_path)
    assert dtypes == [torch.bfloat16] * 2
    assert model.weight.dtype == torch.float32


@pytest.mark.parametrize("step", [0, 3, 10, 11, 19])
def test_resume_after_a_crash_gives_the_bytes_of_an_uninterrupted_run(tmp_path, step):
    run(tmp_path / "whole", EXACT)
    with pytest.raises(RuntimeError, match="crash"):
        run_until(tmp_path / "broken", EXACT, step, crash)
    assert not (tmp_path / "broken/weights.safetensors").exists()
    assert run(tmp_path / "broken", EXACT).finished
    assert same_outcome(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_the_step_saves_and_says_how_to_go_on(tmp_path, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    result = run_until(tmp_path / "stopped", EXACT, 6, lambda: os.kill(os.getpid(), number))
    assert (result.step, result.finished) == (7, False)
    assert signal.Signals(number).name in result.message and "step 7 of 20" in result.message
    assert "start it again with the same settings" in result.message
    names = sorted(path.name for path in (tmp_path / "stopped/checkpoints").iterdir())
    assert names == ["step_000004.safetensors", "step_000007.safetensors"]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers

    result = run(tmp_path / "stopped", EXACT)
    assert (result.step, result.finished) == (20, True)
    run(tmp_path / "whole", EXACT)
    assert same_outcome(tmp_path / "whole", tmp_path / "stopped")


def test_time_budget_stops_cleanly_and_a_larger_one_goes_on(tmp_path):
    short = LoopSettings(**{**EXACT.__dict__, "max_minutes": 0.05 / 60})
    result = run_until(tmp_path / "short", short, 5, lambda: time.sleep(0.06))
    assert not result.finished and 1 <= result.step <= 6
    assert "time budget" in result.message
    assert result.minutes >= 0.05 / 60
    assert run(tmp_path / "short", EXACT).finished
    run(tmp_path / "whole", EXACT)
    assert same_outcome(tmp_path / "whole", tmp_path / "short")


def trained_in_child(folder: str, ready) -> None:
    torch.set_num_threads(1)
    model = small_model()
    step_loss = regression(model, pause=0.015)

    def announcing(i, generator):
        ready.set()
        return step_loss(i, generator)

    train(model, announcing, KILLED, Path(folder))


KILLED = LoopSettings(steps=150, learning_rate=0.01, ema_decay=0.9, log_every=5, checkpoint_every=3)


def test_killed_again_and_again_gives_the_bytes_of_an_uninterrupted_run(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "numpy", "safetensors.torch", "tqdm.auto"])
    draw = random.Random()
    moments = [draw.uniform(0.0, 0.2) for _ in range(5)]  # 1 s at most; the run takes 2.25 s at least
    for moment in [*moments, None]:
        ready = context.Event()
        child = context.Process(target=trained_in_child, args=(str(tmp_path / "killed"), ready))
        child.start()
        assert ready.wait(60)
        if moment is not None:
            time.sleep(moment)
            child.kill()
        child.join(60)
        assert child.exitcode == (0 if moment is None else -signal.SIGKILL), moments

    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run(tmp_path / "whole", KILLED)
    finally:
        torch.set_num_threads(torch_threads)
    assert same_outcome(tmp_path / "whole", tmp_path / "killed"), moments
    assert not list((tmp_path / "killed").rglob("*.partial"))


def test_half_written_files_are_passed_over(tmp_path):
    run(tmp_path / "whole", EXACT)
    with pytest.raises(RuntimeError):
        run_until(tmp_path / "broken", EXACT, 10, crash)
    checkpoints = tmp_path / "broken/checkpoints"
    newest = checkpoints / "step_000008.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    (checkpoints / ".step_000012.safetensors.1.partial").write_bytes(b"half")
    with open(tmp_path / "broken/log.jsonl", "a") as file:
        file.write('{"step": 12, "lo')
    with pytest.warns(UserWarning, match="step_000008.safetensors is damaged"):
        run(tmp_path / "broken", EXACT)
    assert same_outcome(tmp_path / "whole", tmp_path / "broken")
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step_000016.safetensors", "step_000020.safetensors"]


@pytest.mark.parametrize("log_every", [1, 100])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, log_every):
    model = small_model()
    good = regression(model)
    settings = LoopSettings(steps=20, log_every=log_every, checkpoint_every=4)

    def step_loss(i, generator):
        loss, logs = good(i, generator)
        return (loss * math.nan if i == 9 else loss), logs

    with pytest.raises(UserError, match=r"loss is nan at step 10 .*step_000008\.safetensors.*learning_rate"):
        train(model, step_loss, settings, tmp_path)
    kept = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step_000004.safetensors", "step_000008.safetensors"]
    tensors = [tensor for path in kept for tensor in safetensors.torch.load_file(path).values()]
    assert all(torch.isfinite(tensor).all() for tensor in tensors)
    assert not (tmp_path / "weights.safetensors").exists()


def test_a_gradient_that_is_not_finite_stops_even_if_the_loss_is(tmp_path):
    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(1))
    with pytest.raises(UserError, match="gradient is inf at step 1 .*there is no checkpoint yet"):
        train(model, lambda i, g: (model.w.sqrt().sum(), {}), LoopSettings(steps=1), tmp_path)


def test_other_settings_in_the_same_folder_are_refused_with_the_first_difference(tmp_path):
    caller = {"rank": 8, "data": {"folder": "a", "flip": False}, "max_minutes": 3}
    run(tmp_path, EXACT, all_settings=caller)
    changed = LoopSettings(**{**EXACT.__dict__, "learning_rate": 0.02})
    with pytest.raises(UserError, match=r"started with loop\.learning_rate = 0\.01, and now .* = 0\.02"):
        run(tmp_path, changed, all_settings=caller)
    with pytest.raises(UserError, match=r"started with data\.flip = false, and now data\.flip = true"):
        run(tmp_path, EXACT, all_settings={**caller, "data": {"folder": "a", "flip": True}})
    with pytest.raises(UserError, match=r"started with rank = 8, and now rank = \(absent\)"):
        run(tmp_path, EXACT, all_settings={"data": caller["data"], "max_minutes": 3})

    free = {"max_minutes": 9.0, "log_every": 1, "checkpoint_every": 7}
    assert run(tmp_path, LoopSettings(**{**EXACT.__dict__, **free}), all_settings={**caller, "max_minutes": 4}).finished
    saved = json.loads((tmp_path / "settings.json").read_text())
    assert saved["rank"] == 8 and saved["loop"]["checkpoint_every"] == 7


def test_a_finished_run_returns_at_once_with_its_weights_in_the_model(tmp_path):
    first = small_model()
    train(first, regression(first), EXACT, tmp_path)
    content = (tmp_path / "weights.safetensors").read_bytes()
    second = small_model()
    result = train(second, lambda i, g: crash(), EXACT, tmp_path)
    assert (result.step, result.finished) == (20, True) and "finished before" in result.message
    assert result.minutes > 0
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert (tmp_path / "weights.safetensors").read_bytes() == content


def test_weights_hold_what_was_trained_and_load_into_the_same_model_only(tmp_path):
    run(tmp_path, EXACT)
    names = set(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert "4.weight" in names and "4.bias" not in names and "1.running_mean" in names
    with pytest.raises(UserError, match="belongs to another model"):
        load_weights(nn.Linear(2, 2), tmp_path / "weights.safetensors")


def test_a_full_disk_is_one_sentence_and_the_earlier_checkpoint_stays(tmp_path):
    partial = tmp_path / f"broken/checkpoints/.step_000008.safetensors.{os.getpid()}.partial"
    # Writing to /dev/full fails as a write to a full disk does.
    with pytest.raises(UserError, match=r"The disk is full: .*step_000008.*start the same run again"):
        run_until(tmp_path / "broken", EXACT, 5, lambda: partial.symlink_to("/dev/full"))
    assert [path.name for path in (tmp_path / "broken/checkpoints").iterdir()] == ["step_000004.safetensors"]
    run(tmp_path / "broken", EXACT)
    run(tmp_path / "whole", EXACT)
    assert same_outcome(tmp_path / "whole", tmp_path / "broken")


def test_training_leaves_the_callers_random_states_alone(tmp_path):
    def draws():
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        yield
        yield torch.rand(1).item(), np.random.rand(), random.random()

    without = draws()
    next(without)
    expected = next(without)
    within = draws()
    next(within)
    run(tmp_path, EXACT)
    assert next(within) == expected


def test_training_outside_the_main_thread_works(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(run(tmp_path, EXACT)))
    thread.start()
    thread.join(60)
    assert results[0].finished


def test_half_precision_and_untrainable_models_are_refused(tmp_path):
    model = nn.Linear(2, 2).half()
    with pytest.raises(UserError, match="weight is float16.*load the model in float32"):
        train(model, lambda i, g: crash(), LoopSettings(steps=1), tmp_path)
    with pytest.raises(UserError, match="no trainable parameter"):
        train(model.requires_grad_(False), lambda i, g: crash(), LoopSettings(steps=1), tmp_path)
    with pytest.raises(UserError, match="'fp16' needs a CUDA GPU"):
        train(nn.Linear(2, 2), lambda i, g: crash(), LoopSettings(steps=1, precision="fp16"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_progress_is_one_plain_line(tmp_path, capsys):
    run(tmp_path, EXACT, describe="little model")
    printed = capsys.readouterr()
    assert printed.out.startswith("little model: 20/20 · loss ")
    assert printed.out.count("\n") == 1 and "steps/s" in printed.out
    assert printed.err == ""
