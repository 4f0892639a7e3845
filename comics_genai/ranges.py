"""The allowed ranges of settings, checked in one place, and the sentences for values outside of them.

check(self, {"steps": whole(self.steps, 1, 1000), "guidance": number(self.guidance, 1, 100, "1 = off")})
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from comics_genai.errors import UserError
from comics_genai.paths import encodable

LARGEST_SEED = 2**63 - 1  # of torch's generators
LARGEST_SIDE = 4096  # pixels of a picture that is drawn or learnt from
MOST_STEPS = 10_000_000  # of a training
MOST_SEEDS = 10_000  # of one command
MOST_PICTURES = 100_000  # prompts times seeds

Rule = tuple[bool, str]  # whether the value is in its range, and the range in words


def whole(value: Any, low: int, high: int, note: str = "") -> Rule:
    """A whole number from `low` to `high`, both included."""
    holds = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    return holds, f"a whole number from {low:,} to {high:,}{f' ({note})' if note else ''}"


def number(value: Any, low: float, high: float, note: str = "", *, above: bool = False, below: bool = False) -> Rule:
    """A number from `low` to `high`; above: greater than `low`; below: less than `high`. Never NaN or infinite."""
    holds = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    holds = holds and (low < value if above else low <= value) and (value < high if below else value <= high)
    start = f"above {low:g}" if above else f"{low:g} or more"
    end = "" if high == math.inf else f" and below {high:g}" if below else f" and at most {high:g}"
    return holds, f"a number {start}{end}{f' ({note})' if note else ''}"


def text(value: Any, longest: int, least: int = 0) -> Rule:
    """A text of at most `longest` characters and at least `least` that are no spaces, all of them whole."""
    holds = isinstance(value, str) and least <= len(value.strip()) and len(value) <= longest and encodable(value)
    return holds, f"a text of {f'{least} to ' if least else 'at most '}{longest:,} whole characters"


def one_of(value: Any, choices: Sequence[str]) -> Rule:
    """One of these words."""
    return value in choices, "one of " + ", ".join(choices)


def check(settings: Any, rules: Mapping[str, Rule]) -> None:
    """Raise UserError for the first setting that is out of its range.

    A setting without a range must be finite and of its default's type. settings: a dataclass. rules: the ranges, by the
    names of its fields.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        holds, range_ = rules.get(field.name, (True, ""))
        for kind, words in ((bool, "true or false"), (str, "a text")):
            if holds and isinstance(field.default, kind) and not isinstance(value, kind):
                holds, range_ = False, words
        if holds and isinstance(value, float) and not math.isfinite(value):
            holds, range_ = False, "a finite number"
        if not holds:
            raise UserError(f"{field.name} is {shown(value)}, but must be {range_}.")


def refuse_renamed(arguments: Sequence[str], renamed: Mapping[str, str]) -> None:
    """Raise UserError if a command is given an option by its earlier name.

    renamed: {"--old": "--new"}; the options of a group, such as --old.steps, are renamed with it.
    """
    for argument in arguments:
        option = argument.split("=")[0].replace("_", "-")
        for old in (option, option.split(".")[0]):
            if old in renamed:
                new = renamed[old] + option.removeprefix(old)
                raise UserError(f"The option {option} is called {new} now: write {new}.")


def shown(value: Any) -> str:
    """The value as a sentence shows it; a long one is shortened."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def parse_seeds(text: str) -> list[int]:
    """The seeds in a text such as "0-7" or "1,5,10-12", each of them once.

    Raises UserError for any other text, a range that runs backwards, or too many seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        whole_numbers = first.isascii() and first.isdigit() and (last.isascii() and last.isdigit() if dash else True)
        if not whole_numbers or len(part) > 60:
            raise UserError(
                f"The seeds {shown(text)} cannot be read: give numbers and ranges, such as 0-7 or 1,5,10-12."
            )
        begin, end = int(first), int(last if dash else first)
        if begin > end:
            raise UserError(f"The seeds {part.strip()} run backwards: write {end}-{begin}.")
        if end > LARGEST_SEED:
            raise UserError(f"The seed {end} is too large: the largest is 2^63 - 1, {LARGEST_SEED}.")
        if len(seeds) + end - begin + 1 > MOST_SEEDS:
            raise UserError(f"The seeds {shown(text)} are more than {MOST_SEEDS:,}: draw them in several commands.")
        seeds += range(begin, end + 1)
    return list(dict.fromkeys(seeds))
