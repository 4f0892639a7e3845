"""DiffAugment and the controller of its probability."""

import pytest
import torch

from comics_genai.baselines import augment
from tests.baseline_settings import generator, noise


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
