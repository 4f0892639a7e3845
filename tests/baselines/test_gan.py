"""The GAN's losses, each against its formula."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from comics_genai.baselines import augment, data, ddpm, gan
from tests.baseline_settings import DCGAN, LITE, generator, noise, parameters


@pytest.mark.parametrize("settings", [LITE, DCGAN])
def test_each_players_gradient_is_its_own_losss_alone(settings):
    settings = replace(settings, r1_gamma=0.0)
    model = gan.build(settings).train()
    model.controller.p.fill_(0.5)
    alone = copy.deepcopy(model)
    drawings = noise(6, 3, 32, 32)
    loss, logs = gan.GanLoss(model, settings, drawings)(1, generator(5))
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
    gan.GanLoss(model, DCGAN, noise(6, 3, 32, 32))(0, generator())
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
    objective_ = gan.GanLoss(model, settings, drawings)
    loss, logs = objective_(4, generator())
    without = logs["loss_discriminator"] + logs["loss_generator"]
    assert loss.item() == pytest.approx((without + 3 / 2 * 4 * logs["r1"]).item(), rel=1e-6)
    assert "r1" not in objective_(5, generator())[1]


def test_discriminator_outputs_tell_overfitting_from_its_absence():
    model, pictures = gan.build(LITE), noise(8, 3, 32, 32)
    same = gan.GanLoss(model, LITE, pictures, pictures)._mean_outputs()
    assert same["gap"] == 0 and same["r_v"] == 0

    class Overfitted(nn.Module):
        def forward(self, x):
            return (x.flatten(1).mean(1) > 0.5).float()  # sure of what is white, of nothing else

    model.discriminator = Overfitted()
    over = gan.GanLoss(model, LITE, torch.ones(6, 3, 32, 32), torch.zeros(9, 3, 32, 32))._mean_outputs()
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
