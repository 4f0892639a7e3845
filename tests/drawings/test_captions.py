"""A name is found in a text as a reader finds it: whole words, any case, with the class noun that belongs to it."""

import unicodedata

import pytest

from comics_genai.drawings.captions import a, class_prompt, instance_prompt, mirrored_prompt, subject

CAFE = "Café"
DECOMPOSED = unicodedata.normalize("NFD", CAFE)

INSTANCE = [  # caption, identifier, class, prompt of the drawing, prompt of the class
    ("UnicornGirl, a girl, jumping", "UnicornGirl", "girl", "UnicornGirl, a girl, jumping", "a girl, jumping"),
    ("UnicornGirl jumps", "UnicornGirl", "girl", "UnicornGirl, a girl jumps", "a girl jumps"),
    ("unicorngirl jumps", "UnicornGirl", "girl", "UnicornGirl, a girl jumps", "a girl jumps"),
    ("she asks a question", "sks", "girl", "a drawing of sks, a girl, she asks a question",
     "a drawing of a girl, she asks a question"),
    ("a drawing of sks girl", "sks", "girl", "a drawing of sks, a girl", "a drawing of a girl"),
    ("a sks girl, smiling", "sks", "girl", "sks, a girl, smiling", "a girl, smiling"),
    ("the girl sks smiles", "sks", "girl", "sks, a girl smiles", "a girl smiles"),
    ("a girl named SKS", "sks", "girl", "sks, a girl", "a girl"),
    ("sks waves, and sks smiles", "sks", "girl", "sks, a girl waves, and sks, a girl smiles",
     "a girl waves, and a girl smiles"),
    ("sks, a smiling girl, jumping", "sks", "girl", "sks, a smiling girl, jumping", "a smiling girl, jumping"),
    ("sks, an old girl and a boy", "sks", "girl", "sks, an old girl and a boy", "an old girl and a boy"),
    ("sks, a boy and a girl", "sks", "girl", "sks, a girl, a boy and a girl", "a girl, a boy and a girl"),
    ("sks girls", "sks", "girl", "sks, a girl girls", "a girl girls"),
    ("sks's horn", "sks", "girl", "sks, a girl's horn", "a girl's horn"),
    ("the task_sks and sks-like", "sks", "girl", "a drawing of sks, a girl, the task_sks and sks-like",
     "a drawing of a girl, the task_sks and sks-like"),
    ("sks in the rain", "sks", "a girl", "sks, a girl in the rain", "a girl in the rain"),
    ("sks\ncartoon  girl", "sks", "cartoon girl", "sks, a cartoon girl", "a cartoon girl"),
    ("sks girl waves", "sks girl", "girl", "sks girl waves", "a girl waves"),
    ("<sks> waves", "<sks>", "girl", "<sks>, a girl waves", "a girl waves"),
    (f"{DECOMPOSED} waves", CAFE, "girl", f"{CAFE}, a girl waves", "a girl waves"),
    (f"{CAFE} waves", DECOMPOSED, "girl", f"{CAFE}, a girl waves", "a girl waves"),
    ("sks,girl,jumping", "sks", "girl", "sks, a girl,jumping", "a girl,jumping"),
    ("sks (a girl) waves", "sks", "girl", "sks, a girl waves", "a girl waves"),
    ("sks is a small girl", "sks", "girl", "sks, a small girl", "a small girl"),
    ("a beautiful sks girl, smiling", "sks", "girl", "sks, a beautiful girl, smiling", "a beautiful girl, smiling"),
    ("an angry sks waves", "sks", "girl", "sks, an angry girl waves", "an angry girl waves"),
    ("the hat of sks", "sks", "girl", "the hat of sks, a girl", "the hat of a girl"),
    ("独角兽在跳", "独角兽", "girl", "独角兽, a girl在跳", "a girl在跳"),
    ("图中sks在跳", "sks", "girl", "图中sks, a girl在跳", "图中a girl在跳"),
    ("", "sks", "unicorn", "a drawing of sks, a unicorn", "a drawing of a unicorn"),
    (None, "sks", "elf", "a drawing of sks, an elf", "a drawing of an elf"),
]  # fmt: skip


@pytest.mark.parametrize(("caption", "identifier", "class_name", "instance", "of_class"), INSTANCE)
def test_the_name_is_found_whole_and_the_class_is_never_doubled(caption, identifier, class_name, instance, of_class):
    assert instance_prompt(caption, identifier, class_name) == instance
    assert class_prompt(instance, identifier, class_name) == of_class
    assert instance_prompt(instance, identifier, class_name) == instance  # a prompt that names her stays as it is


@pytest.mark.parametrize(
    ("noun", "with_article"),
    [("girl", "a girl"), ("a girl", "a girl"), ("The elf", "an elf"), ("unicorn", "a unicorn"), ("hour", "an hour"),
     ("umbrella", "an umbrella"), ("one-eyed cat", "a one-eyed cat"), ("Angel", "an Angel"), ("a", "an a")],
)  # fmt: skip
def test_a_noun_has_one_article_by_its_sound(noun, with_article):
    assert a(noun) == with_article
    assert subject("sks", noun) == f"sks, {with_article}"


MIRRORED = [  # prompt, identifier, prompt of the mirrored drawing
    ("left arm raised, looking right", "", "right arm raised, looking left"),
    ("Left arm, RIGHT leg, a left-handed girl", "", "Right arm, LEFT leg, a right-handed girl"),
    ("the leftmost of two, looking leftwards", "", "the rightmost of two, looking rightwards"),
    ("bright copyright, leftovers", "", "bright copyright, leftovers"),
    ("Left Eye, a girl, left arm raised", "left eye", "Left Eye, a girl, right arm raised"),
    ("UnicornRight looks left", "UnicornRight", "UnicornRight looks right"),
]


@pytest.mark.parametrize(("prompt", "identifier", "mirrored"), MIRRORED)
def test_left_and_right_change_places_but_not_within_words_and_names(prompt, identifier, mirrored):
    assert mirrored_prompt(prompt, identifier) == mirrored
    assert mirrored_prompt(mirrored, identifier) == prompt
