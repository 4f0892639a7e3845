import copy
import json
import math
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from PIL import Image
from torch import nn
from torch.nn import functional as F

from comics_genai import objective, world
from comics_genai.baselines import augment, conditioned_augment, data, ddpm, gan, measure
from comics_genai.errors import UserError
from comics_genai.loop import LoopSettings
from comics_genai.score import other_pose_scenes, table
from comics_genai.scorer import Readings, Scorer, ScorerConfig

LOOP = LoopSettings(
    steps=6, learning_rate=1e-3, ema_decay=0.9, clip_norm=0.0, log_every=1, checkpoint_every=2, validate_every=3
)
# The target below any r_t lets p rise, so that a resume has it to restore.
LITE = gan.GanSettings(
    size=32,
    latent=8,
    generator_width=4,
    discriminator_width=4,
    batch_size=4,
    r1_every=2,
    ada_target=-1.0,
    ada_pictures=40,
    samples=2,
    loop=LOOP,
)
DCGAN = replace(LITE, model="dcgan", r1_gamma=0.0, augment=False, loop=replace(LOOP, ema_decay=0.0, beta1=0.5))
DDPM = ddpm.DdpmSettings(
    size=8,
    channels=(32,),
    layers=1,
    timesteps=20,
    augment=0.5,
    batch_size=3,
    samples=2,
    sampling=ddpm.DdpmSampling(steps=5),
    loop=LOOP,
)
TRAIN = {"lite": (gan.train_gan, LITE), "dcgan": (gan.train_gan, DCGAN), "ddpm": (ddpm.train_ddpm, DDPM)}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Uniform in [-1, 1]."""
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(folder) -> list[dict]:
    clocks = ("seconds", "steps_per_second")
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in clocks} for line in lines]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# The drawings


def test_drawings_are_whole_and_in_range():
    wide = Image.fromarray(np.full((20, 60, 3), 255, np.uint8))
    wide.paste((0, 0, 0), (0, 8, 4, 12))  # at the very edge, where a crop would lose it
    pictures = data.prepare([wide, Image.new("RGB", (40, 40), (255, 0, 0))], 32)
    assert pictures.shape == (2, 3, 32, 32) and pictures.dtype == torch.float32
    assert pictures[0, :, 15, 0].max() < -0.95 and pictures[0, :, 0].min() == 1
    assert torch.equal(pictures[1, :, 0, 0], torch.tensor([1.0, -1.0, -1.0]))


def test_variants_follow_their_drawing_which_comes_first():
    images = [world.draw(scene, 64) for scene in world.reference_scenes(world.UNICORN_GIRL)[:2]]
    plain, varied = data.prepare(images, 32), data.prepare(images, 32, variants=3)
    assert varied.shape == (6, 3, 32, 32)
    assert torch.equal(varied[::3], plain)
    assert not torch.equal(varied[1], varied[0]) and not torch.equal(varied[1], varied[2])


def test_drawings_come_in_turn_so_that_each_is_seen_equally_often():
    seen = torch.cat([data.in_turn(6, step, 4) for step in range(30)])
    assert torch.bincount(seen).tolist() == [20] * 6


def test_pictures_that_do_not_fit_are_refused(tmp_path):
    image = Image.new("RGB", (64, 64))
    with pytest.raises(UserError, match="size is 4 px, but must be in 8 to 1024"):
        data.prepare([image], 4)
    with pytest.raises(UserError, match="There is no drawing"):
        data.prepare([], 32)
    with pytest.raises(UserError, match=r"\(2, 3, 16, 16\) do not fit a model of 32 px"):
        gan.train_gan(LITE, noise(2, 3, 16, 16), tmp_path)
    with pytest.raises(UserError, match="do not fit a model of 8 px"):
        ddpm.train_ddpm(DDPM, noise(0, 3, 8, 8), tmp_path)
    assert not list(tmp_path.iterdir())


# Augmentation


def test_augmentation_with_probability_0_is_the_identity():
    pictures = noise(4, 3, 16, 16)
    assert torch.equal(augment.diff_augment(pictures, 0.0, generator()), pictures)
    assert torch.equal(augment.diff_augment(pictures, torch.tensor(0.0), generator()), pictures)


def test_augmentation_is_a_function_of_the_generator():
    pictures = noise(4, 3, 16, 16)
    once, again, other = (augment.diff_augment(pictures, 0.7, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again) and not torch.equal(once, other)


def test_augmentation_changes_the_share_p_of_the_pictures():
    pictures = noise(600, 3, 8, 8)
    out = augment.diff_augment(pictures, 0.2, generator())
    changed = (out != pictures).flatten(1).any(1).float().mean().item()
    # One shift in 9 is by no pixel.
    assert changed == pytest.approx(1 - 0.8 * 0.8 * (1 - 0.2 * 8 / 9), abs=0.05)


def test_augmentation_is_differentiable():
    pictures = noise(1, 1, 8, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment.diff_augment(x, 1.0, generator(3)), (pictures,))


def test_colour_is_softened():
    grey = torch.full((200, 3, 4, 4), 0.3)
    shift = augment.color(grey, generator()) - grey
    assert shift.abs().max() <= 0.5 * augment.COLOR + 1e-6 and shift.abs().max() > 0.45 * augment.COLOR
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(200, 3, 4, 4)
    out = augment.color(red, generator())
    assert (out[:, 0] - out[:, 1]).min() > 2 * (1 - augment.COLOR) * (1 - augment.COLOR / 2) - 0.01
    assert torch.equal(out[:, 1], out[:, 2])


def test_translation_moves_by_at_most_an_eighth_and_cutout_blanks_a_square():
    dot = torch.zeros(100, 1, 16, 16)
    dot[:, :, 8, 8] = 1
    places = augment.translation(dot, generator()).nonzero()[:, 2:]
    assert len(places) == 100 and (places - 8).abs().max() == 2
    blanked = (augment.cutout(torch.ones(100, 1, 16, 16), generator()) == 0).sum((1, 2, 3))
    assert 16 <= blanked.min() and blanked.max() == 64


@pytest.mark.parametrize(("logit", "expected"), [(1.0, 0.5 + 32 / 1000), (-1.0, 0.5 - 32 / 1000)])
def test_controller_raises_p_when_reals_are_sure_and_lowers_it_otherwise(logit, expected):
    controller = augment.AdaController(0.6, 1000)
    controller.p.fill_(0.5)
    for step in range(3):
        controller.update(step, torch.full((8,), logit))
    assert controller.p == 0.5
    controller.update(3, torch.full((8,), logit))
    assert controller.p.item() == pytest.approx(expected)


def test_controller_compares_with_its_target_and_keeps_p_in_range():
    controller = augment.AdaController(0.6, 10)
    nine_of_ten = torch.tensor([1.0] * 9 + [-1.0])  # r_t = 0.8
    three_of_four = torch.tensor([1.0] * 3 + [-1.0])  # r_t = 0.5
    for step in range(4):
        controller.update(step, nine_of_ten)
    assert controller.p.item() == pytest.approx(augment.P_MAX)
    for step in range(8):
        controller.update(step, three_of_four)
    assert controller.p == 0


def test_conditioned_augmentation_of_zeros_is_the_identity_and_p_0_draws_zeros():
    pictures = noise(3, 3, 16, 16)
    nothing = conditioned_augment.sample_parameters(3, 0.0, generator())
    assert nothing.shape == (3, 6) and (nothing == 0).all()
    assert torch.equal(conditioned_augment.transform(pictures, nothing), pictures)


def test_conditioned_augmentation_does_what_its_parameters_say():
    pictures = torch.zeros(1, 3, 16, 16)
    pictures[:, :, 6:10, 2:6] = 1
    told = dict(zip(conditioned_augment.PARAMETERS, torch.eye(6), strict=True))

    def centre(parameters):
        out = conditioned_augment.transform(pictures, parameters[None])[0, 0]
        y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
        return [(out * place).sum().item() / out.sum().item() for place in (x, y)], out.sum().item()

    assert centre(0 * told["right"]) == ([4, 8], 16)
    assert centre(told["mirrored"])[0] == pytest.approx([12, 8], abs=1e-3)
    assert centre(0.25 * told["right"])[0] == pytest.approx([8, 8], abs=1e-3)
    assert centre(0.25 * told["down"])[0] == pytest.approx([4, 12], abs=1e-3)
    assert centre(math.log(1.5) * told["log_scale"])[1] == pytest.approx(16 * 1.5**2, rel=0.2)
    # A quarter turn clockwise takes what is left of the middle above it.
    assert centre(told["sine"] - told["cosine"])[0] == pytest.approx([8, 4], abs=1e-3)


def test_drawn_parameters_are_rotations_and_happen_with_probability_p():
    drawn = conditioned_augment.sample_parameters(4000, 0.25, generator())
    assert ((1 + drawn[:, 4]) ** 2 + drawn[:, 5] ** 2).sub(1).abs().max() < 1e-5
    shares = (drawn != 0).float().mean(0)
    assert shares.tolist() == pytest.approx([0.125, 0.25, 0.25, 0.25, 0.25, 0.25], abs=0.03)


# GANs


@pytest.mark.parametrize("settings", [LITE, DCGAN])
def test_each_players_gradient_is_its_own_losss_alone(settings):
    settings = replace(settings, r1_gamma=0.0)
    model = gan.build(settings).train()
    model.controller.p.fill_(0.5)
    alone = copy.deepcopy(model)
    drawings = noise(6, 3, 32, 32)
    loss, logs = gan.Objective(model, settings, drawings)(1, generator(5))
    loss.backward()

    # The same draws in the same order, each loss in a backward pass of its own.
    draws = generator(5)
    real = drawings[data.in_turn(6, 1, 4)]
    fake = alone.generator(torch.randn(4, 8, generator=draws))
    if settings.augment:
        real, fake = (augment.diff_augment(x, 0.5, draws) for x in (real, fake))
    D = alone.discriminator
    loss_d = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
    expected = torch.autograd.grad(loss_d, list(D.parameters()))
    for parameter, gradient in zip(model.discriminator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    loss_g = F.softplus(-D(fake)).mean()
    expected = torch.autograd.grad(loss_g, list(alone.generator.parameters()))
    for parameter, gradient in zip(model.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert logs["loss_discriminator"].item() == pytest.approx(loss_d.item(), rel=1e-5)
    assert logs["loss_generator"].item() == pytest.approx(loss_g.item(), rel=1e-5)
    assert logs["gradient_at_fakes"] > 0


def test_the_generators_loss_does_not_move_the_discriminators_statistics():
    model = gan.build(DCGAN).train()
    gan.Objective(model, DCGAN, noise(6, 3, 32, 32))(0, generator())
    counts = [m.num_batches_tracked.item() for m in model.discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert counts == [2] * len(counts) and counts  # real and fake, each once


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weight():
    w = noise(3, 4, 4).requires_grad_()
    real = noise(5, 3, 4, 4, seed=1).requires_grad_()
    penalty = gan.r1_penalty((real * w).sum((1, 2, 3)), real)
    assert penalty.item() == pytest.approx(w.square().sum().item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(penalty, w)
    torch.testing.assert_close(gradient, 2 * w)


def test_r1_is_taken_lazily_with_as_many_times_the_weight():
    settings = replace(LITE, r1_gamma=3.0, r1_every=4, augment=False)
    model, drawings = gan.build(settings).train(), noise(4, 3, 32, 32)
    objective_ = gan.Objective(model, settings, drawings)
    loss, logs = objective_(4, generator())
    without = logs["loss_discriminator"] + logs["loss_generator"]
    assert loss.item() == pytest.approx((without + 3 / 2 * 4 * logs["r1"]).item(), rel=1e-6)
    assert "r1" not in objective_(5, generator())[1]


def test_discriminator_outputs_tell_overfitting_from_its_absence():
    model, pictures = gan.build(LITE), noise(8, 3, 32, 32)
    same = gan.Objective(model, LITE, pictures, pictures)._mean_outputs()
    assert same["gap"] == 0 and same["r_v"] == 0

    class Overfitted(nn.Module):
        def forward(self, x):
            return (x.flatten(1).mean(1) > 0.5).float()  # sure of what is white, of nothing else

    model.discriminator = Overfitted()
    over = gan.Objective(model, LITE, torch.ones(6, 3, 32, 32), torch.zeros(9, 3, 32, 32))._mean_outputs()
    assert (over["d_drawings"], over["d_held_out"], over["gap"], over["r_v"]) == (1, 0, 1, 1)
    assert (over["accuracy_drawings"], over["accuracy_held_out"]) == (1, 0)


def test_interpolation_goes_along_the_circle_from_one_end_to_the_other():
    ends = torch.eye(2)
    path = gan.interpolate(ends[0], ends[1], 3)
    torch.testing.assert_close(path, torch.tensor([[1.0, 0.0], [0.5**0.5, 0.5**0.5], [0.0, 1.0]]))
    torch.testing.assert_close(gan.interpolate(ends[0], ends[0], 3), ends[0].expand(3, 2))


def test_the_real_settings_have_the_sizes_they_claim():
    assert 1e6 <= parameters(gan.build(gan.VERSION_2).generator) <= 4e6
    assert 1e6 <= parameters(gan.build(replace(gan.VERSION_2, size=128)).generator) <= 4e6
    for settings in (ddpm.SETTINGS_32, ddpm.SETTINGS_32_CPU, ddpm.SETTINGS_256, ddpm.SETTINGS_256_CPU):
        assert 5e6 <= parameters(ddpm.build(settings)) <= 10e6


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("settings", [LITE, DCGAN])
def test_networks_draw_and_judge_at_every_size(settings, size):
    model = gan.build(replace(settings, size=size)).eval()
    with torch.no_grad():
        pictures = model.generator(torch.randn(2, 8))
        assert pictures.shape == (2, 3, size, size) and pictures.abs().max() <= 1
        assert model.discriminator(pictures).shape == (2,)


# Diffusion


def test_the_cosine_schedule_is_the_papers():
    t = torch.arange(1001, dtype=torch.float64)
    f = torch.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2).square()
    expected = (f / f[0])[1:].float()
    capped = ddpm.schedule(ddpm.DdpmSettings(zero_terminal_snr=False))
    torch.testing.assert_close(capped, expected, atol=1e-5, rtol=0)
    assert 0 < capped[-1] < 1e-8
    zero = ddpm.schedule(ddpm.DdpmSettings())
    assert zero[-1] == 0 and (zero.diff() < 0).all()
    torch.testing.assert_close(zero, expected, atol=1e-4, rtol=0)


def test_without_zero_terminal_snr_the_scaled_linear_schedule_keeps_signal_to_the_end():
    settings = ddpm.DdpmSettings(schedule="scaled_linear", zero_terminal_snr=False)
    alpha_bar = ddpm.schedule(settings)
    assert alpha_bar[-1].sqrt().item() == pytest.approx(0.068265, abs=1e-5)  # Lin et al. 2024, table 1
    zero = ddpm.schedule(replace(settings, zero_terminal_snr=True))
    assert zero[-1] == 0 and zero[0].item() == pytest.approx(alpha_bar[0].item(), abs=1e-6)


def test_the_shift_multiplies_the_noise_to_signal_ratio():
    plain, shifted = ddpm.cosine_alpha_bar(100)[1:-1], ddpm.cosine_alpha_bar(100, shift=4.0)[1:-1]
    torch.testing.assert_close((1 - shifted) / shifted, 16 * (1 - plain) / plain)


def test_ddim_without_eta_is_a_function_of_the_noise():
    model = ddpm.build(DDPM).eval()
    x = torch.randn(2, 3, 8, 8, generator=generator())
    for eta in (0.0, 1.0):
        sampling = ddpm.DdpmSampling(steps=5, eta=eta)
        once, again, other = (ddpm.denoise(model, x, sampling, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(once, again)
        assert torch.equal(once, other) == (eta == 0)
        assert once.abs().max() <= 1.0001 and once.shape == x.shape


@pytest.mark.parametrize(("kind", "eta", "steps"), [(DDIMScheduler, 0.0, 5), (DDPMScheduler, 1.0, 20)])
def test_samplers_are_those_of_diffusers(kind, eta, steps):
    model = ddpm.build(DDPM).eval()
    noised = x = torch.randn(2, 3, 8, 8, generator=generator())
    alpha_bar = torch.cat([torch.ones(1), ddpm.schedule(DDPM)])
    scheduler = kind(
        20,
        trained_betas=(1 - alpha_bar[1:] / alpha_bar[:-1]).tolist(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(steps)
    draws, options = generator(1), {"use_clipped_model_output": True} if kind is DDIMScheduler else {}
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t.expand(2)), t, x, generator=draws, **options).prev_sample
    ours = ddpm.denoise(model, noised, ddpm.DdpmSampling(steps, eta), generator(1))
    torch.testing.assert_close(ours, x, atol=1e-4, rtol=0)


class Knowing(nn.Module):
    """Predicts v of one known picture."""

    settings = DDPM

    def __init__(self, picture: torch.Tensor):
        super().__init__()
        self.picture, self.alpha_bar = picture, ddpm.schedule(self.settings)

    def forward(self, x, t):
        alpha_bar_t = self.alpha_bar[t]
        a = alpha_bar_t.reshape(-1, 1, 1, 1)
        eps = (x - a.sqrt() * self.picture) / (1 - a).sqrt()
        return objective.target(eps, self.picture.expand_as(x), alpha_bar_t, "v_prediction")


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_sampling_with_the_true_v_ends_at_the_picture(eta, steps):
    picture = noise(1, 3, 8, 8)
    x = torch.randn(2, 3, 8, 8, generator=generator())
    out = ddpm.denoise(Knowing(picture), x, ddpm.DdpmSampling(steps, eta), generator())
    torch.testing.assert_close(out, picture.expand_as(out), atol=1e-4, rtol=0)


def test_a_single_white_picture_is_learned_as_white(tmp_path):
    settings = replace(
        DDPM, augment=0.0, dropout=0.0, batch_size=4, loop=LoopSettings(steps=60, learning_rate=4e-3, log_every=60)
    )
    ddpm.train_ddpm(settings, torch.ones(1, 3, 8, 8), tmp_path)
    pictures = np.stack([np.asarray(picture) for picture in ddpm.sample(ddpm.load(tmp_path), 4, seed=3)])
    assert pictures.mean((1, 2, 3)).min() > 230  # 255 is white, 128 grey


# Both, by the loop


@pytest.mark.parametrize("name", TRAIN)
def test_stopped_and_resumed_gives_the_bytes_of_an_uninterrupted_run(tmp_path, name):
    train, settings = TRAIN[name]
    drawings = noise(5, 3, settings.size, settings.size)

    def stop(step, pictures):
        if step == 3 and not (tmp_path / "two/checkpoints/step_000003.safetensors").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return {"pictures": len(pictures)}

    whole = train(settings, drawings, tmp_path / "one", measure=lambda step, pictures: {"pictures": len(pictures)})
    assert (whole.step, whole.finished) == (6, True)
    stopped = train(settings, drawings, tmp_path / "two", measure=stop)
    assert (stopped.step, stopped.finished) == (3, False)
    assert train(settings, drawings, tmp_path / "two", measure=stop).finished
    files = ["weights.safetensors", *(["ema.safetensors"] if settings.loop.ema_decay else [])]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    if name == "lite":
        assert safetensors.torch.load_file(tmp_path / "two/weights.safetensors")["controller.p"] > 0


def test_a_gan_run_logs_and_keeps_what_the_notebooks_show(tmp_path):
    seen = []
    drawings, held_out = noise(5, 3, 32, 32), noise(9, 3, 32, 32, seed=1)
    gan.train_gan(
        LITE,
        drawings,
        tmp_path,
        held_out=held_out,
        threshold=1e3,
        measure=lambda step, pictures: seen.append(pictures) or {"seen": len(seen)},
    )
    first, last = rows(tmp_path)[0], rows(tmp_path)[-1]
    assert {"loss_discriminator", "loss_generator", "accuracy_real", "accuracy_fake", "p", "r1"} <= first.keys()
    assert 0 <= first["accuracy_real"] <= 1 and first["p"] == 0
    assert last["validation_gap"] == pytest.approx(last["validation_d_drawings"] - last["validation_d_held_out"])
    assert last["validation_copied"] == 1 and last["validation_diversity"] > 0 and last["validation_seen"] == 2
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["drawings.png", "step_000003.png", "step_000006.png"]
    # What is loaded is what was validated last: the averaged weights.
    again = gan.generate(gan.load(tmp_path), gan.latents(2, 8, 1000))
    assert [picture.tobytes() for picture in again] == [picture.tobytes() for picture in seen[-1]]


def test_a_ddpm_run_keeps_its_samples_and_loads_them_again(tmp_path):
    seen = []
    ddpm.train_ddpm(
        DDPM, noise(5, 3, 8, 8), tmp_path, threshold=0.0, measure=lambda step, pictures: seen.append(pictures) or {}
    )
    assert rows(tmp_path)[-1]["validation_copied"] == 0
    assert (tmp_path / "samples/step_000006.png").exists()
    model = ddpm.load(tmp_path)
    assert model.settings == DDPM
    assert [p.tobytes() for p in ddpm.sample(model, 2, 1000)] == [p.tobytes() for p in seen[-1]]


def test_a_folder_begun_with_other_drawings_is_refused(tmp_path):
    ddpm.train_ddpm(DDPM, noise(5, 3, 8, 8), tmp_path)
    with pytest.raises(UserError, match="was started with drawings_digest"):
        ddpm.train_ddpm(DDPM, noise(5, 3, 8, 8, seed=1), tmp_path)
    with pytest.raises(UserError, match="There is no run in"):
        gan.load(tmp_path / "none")
    with pytest.raises(UserError, match="it is of another model"):
        gan.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "wrong", "sentence"),
    [
        (LITE, {"size": 48}, "size is 48, but must be 32, 64 or 128"),
        (LITE, {"model": "stylegan"}, "model is 'stylegan', but must be dcgan or lite"),
        (LITE, {"batch_size": 1}, "batch_size is 1, but must be at least 2"),
        (LITE, {"ada_target": 1.5}, r"ada_target is 1.5, but must be in \[-1, 1\]"),
        (LITE, {"loop": LoopSettings(steps=1, precision="fp16")}, "'fp16', in which R1"),
        (DDPM, {"size": 7}, "size is 7, but must be in 8 to 512"),
        (DDPM, {"size": 12, "channels": (32, 32, 32), "patch": 2}, "size is 12, .*multiple of 8"),
        (DDPM, {"channels": (33,)}, "multiples of 32"),
        (DDPM, {"schedule": "linear"}, "schedule is 'linear', but must be cosine or scaled_linear"),
        (DDPM, {"sampling": ddpm.DdpmSampling(steps=21)}, "sampling is .*must be of at most 20 steps"),
        (DDPM.sampling, {"eta": 2.0}, r"eta is 2.0, but must be in \[0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(settings, wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(settings, **wrong)


# What is measured of the samples


class KnowingScorer(Scorer):
    """Reads off the scenes it is told."""

    def __init__(self, scenes):
        nn.Module.__init__(self)
        self.scenes, self.config = scenes, ScorerConfig()

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
    assert sheet.shape == (4 * 64, 2 * 64, 3)
    assert np.array_equal(sheet[:64], sheet[64:128]) and np.array_equal(sheet[128:192], sheet[192:])
    assert (sheet[128:, 64:] == 255).all()  # the row's empty place


def test_samples_are_scored_without_a_pose_asked_for(girl):
    references, drawings = girl
    others = other_pose_scenes(world.UNICORN_GIRL, 3, seed=4)
    stranger = replace(others[0], character=world.COMPANIONS[0])
    scenes = [references[0], references[0], *others, stranger]
    pictures = [world.draw(scene, 64) for scene in scenes]
    records = measure.score_samples(pictures, world.UNICORN_GIRL, drawings, KnowingScorer(scenes), threshold=0.01)
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
