"""Every number has a range, checked before anything is read or made; the sentence says which."""

import math

import pytest

from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.planning.job import PlanSettings
from comics_genai.ranges import LARGEST_SEED, check, number, one_of, parse_seeds, refuse_renamed, whole
from comics_genai.sampling.generate import Sampling
from comics_genai.training.loop import LoopSettings


@pytest.mark.parametrize(("text", "seeds"), [("0-3", [0, 1, 2, 3]), ("7", [7]), ("1, 5,10-12", [1, 5, 10, 11, 12]),
                                             ("0-3,2", [0, 1, 2, 3]), (str(LARGEST_SEED), [LARGEST_SEED])])  # fmt: skip
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(text, "cannot be read: give numbers and ranges, such as 0-7 or 1,5,10-12")
     for text in ("", "a", "1,,2", "-4", "1-", "0x3", "1e3", "٣", "1-2-3", "9" * 5000)]
    + [("0,9-3", "The seeds 9-3 run backwards: write 3-9"), ("3-1", "run backwards"),
       ("0-99999999999", "are more than 10,000"), ("0-9999,4", "are more than 10,000"),
       (str(LARGEST_SEED + 1), "is too large: the largest is 2\\^63 - 1")],
)  # fmt: skip
def test_seeds_that_cannot_be_meant_are_one_sentence_at_once(text, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        parse_seeds(text)
    assert len(str(caught.value)) < 250


NAN, INFINITE = math.nan, math.inf
LOOP = {"steps": 1}
OUT_OF_RANGE = [
    (Sampling, {"steps": 0}, "steps is 0, but must be a whole number from 1 to 1,000."),
    (Sampling, {"steps": 1001}, "steps is 1001, but"),
    (Sampling, {"steps": 2.5}, "steps is 2.5, but"),
    (Sampling, {"guidance": 0.5}, r"guidance is 0.5, but must be a number 1 or more and at most 100 \(1 = off\)."),
    (Sampling, {"guidance": NAN}, "guidance is nan, but"),
    (Sampling, {"guidance": INFINITE}, "guidance is inf, but"),
    (Sampling, {"adapter_scale": NAN}, "adapter_scale is nan, but"),
    (Sampling, {"adapter_scale": -INFINITE}, "adapter_scale is -inf, but"),
    (Sampling, {"guidance_rescale": NAN}, "guidance_rescale is nan, but"),
    (Sampling, {"strength": NAN}, "strength is nan, but must be a number above 0 and at most 1."),
    (Sampling, {"size": -8}, "size is -8, but must be a whole number from 0 to 4,096"),
    (Sampling, {"size": 100_000}, "size is 100000, but"),
    (Sampling, {"scheduler": "plms"}, "scheduler is 'plms', but must be one of default, ddim"),
    (Sampling, {"negative": "a" * 10_001}, "negative is 'a+\\.\\.\\., but must be a text of at most 10,000 whole"),
    (Sampling, {"negative": "\udcff"}, "negative is .*, but must be a text"),
    (FinetuneSettings, {"class_name": "\ud83d"}, "class_name is .*, but must be a text of 1 to 200 whole characters"),
    (FinetuneSettings, {"class_name": " "}, "class_name is ' ', but"),
    (FinetuneSettings, {"validation_prompts": ("a", "\udcff")}, "validation_prompts is .*, but must be texts of at"),
    (FinetuneSettings, {"rank": 10_000_000}, "rank is 10000000, but must be a whole number from 1 to 1,024."),
    (FinetuneSettings, {"variants": 100_000_000}, "variants is 100000000, but"),
    (FinetuneSettings, {"class_images": 0}, "class_images is 0, but"),
    (FinetuneSettings, {"batch_size": 10**6}, "batch_size is 1000000, but"),
    (FinetuneSettings, {"alpha": NAN}, "alpha is nan, but"),
    (FinetuneSettings, {"prior_weight": INFINITE}, "prior_weight is inf, but"),
    (FinetuneSettings, {"steps": 0}, "steps is 0, but must be a whole number from 1 to 10,000,000."),
    (FinetuneSettings, {"learning_rate": NAN}, "learning_rate is nan, but must be a number above 0."),
    (FinetuneSettings, {"seed": -1}, "seed is -1, but must be a whole number from 0 to 9,223,372,036,854,775,807."),
    (FinetuneSettings, {"paper": "cardboard"}, "The paper 'cardboard' is not a colour"),
    (FinetuneSettings, {"method": "x" * 500}, r"method is 'x+\.\.\., but must be one of dreambooth-lora, lora, dr"),
    (LoopSettings, LOOP | {"clip_norm": NAN}, "clip_norm is nan, but"),
    (LoopSettings, LOOP | {"max_minutes": NAN}, "max_minutes is nan, but"),
    (LoopSettings, LOOP | {"seed": LARGEST_SEED + 1}, "seed is 9223372036854775808, but"),
    (PlanSettings, {"memory_gib": NAN}, "memory_gib is nan, but"),
    (PlanSettings, {"batch_size": True}, "batch_size is True, but"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "options", "sentence"), OUT_OF_RANGE)
def test_a_value_out_of_its_range_is_one_sentence_that_says_the_range(settings, options, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        settings(**options)
    assert str(caught.value).count("\n") == 0 and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("settings", "options"),
    [(Sampling, {"steps": 1000, "guidance": 1.0, "strength": 1.0, "size": 4096, "adapter_scale": -1.5}),
     (FinetuneSettings, {"rank": 1, "variants": 1, "seed": LARGEST_SEED, "decay_from": 0.0, "size": 0}),
     (LoopSettings, {"steps": 1, "learning_rate": 1e18, "ema_decay": 0.9999})],
)  # fmt: skip
def test_the_ends_of_a_range_belong_to_it(settings, options):
    made = settings(**options)
    assert {name: getattr(made, name) for name in options} == options


def test_rules_say_their_range():
    assert whole(3, 1, 3) == (True, "a whole number from 1 to 3")
    assert number(1.0, 0, 1, below=True) == (False, "a number 0 or more and below 1")
    assert number(2, 0, math.inf, "0 = off") == (True, "a number 0 or more (0 = off)")
    assert one_of("c", ("a", "b")) == (False, "one of a, b")
    with pytest.raises(UserError, match="warmup_steps is 7, but must be even."):
        check(LoopSettings(steps=1, warmup_steps=7), {"warmup_steps": (False, "even")})


def test_an_option_or_a_group_of_options_by_its_earlier_name_is_refused_with_the_new_one():
    renamed = {"--t0": "--strength", "--scorer": "--reader"}
    refuse_renamed(["--strength=0.5", "--t0-like", "t0", "--reader.loop.steps", "--scorers"], renamed)
    with pytest.raises(UserError, match="^The option --t0 is called --strength now: write --strength.$"):
        refuse_renamed(["--seeds", "0", "--t0=0.5"], renamed)
    with pytest.raises(UserError, match="^The option --scorer.loop.steps is called --reader.loop.steps now"):
        refuse_renamed(["--scorer.loop.steps", "7"], renamed)
