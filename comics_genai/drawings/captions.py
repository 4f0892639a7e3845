"""Prompts that name a character, the class it belongs to, and its mirror image: one rule finds the name in a text.

    instance_prompt("a sks girl, jumping", "sks", "girl")          "sks, a girl, jumping"
    class_prompt("a drawing of sks, a girl, jumping", "sks", "girl")    "a drawing of a girl, jumping"

A name is found as whole words in any case, together with the class noun around it: "the girl sks", "sks girl" and
"sks, a smiling girl" are one mention each, so that a noun is never doubled.
"""

import re
import unicodedata

ARTICLE = r"(?:a|an|the)"
MAXIMUM_CAPTION = 10_000  # characters: text encoders read 77 tokens, and what is longer is another file
_SILENT_H = ("heir", "honest", "honor", "honour", "hour")  # an hour
_LIKE_YOU = re.compile(r"(?:u(?:ni|s[aeiu]|ti|r[aiou]|b[ia]|kr|k\b|fo)|eu|ew|one?\b|once)", re.IGNORECASE)  # a unicorn
_NO_ADJECTIVE = r"(?:a|an|the|and|or|with|of|in|on|to|is|who|her|his)"
_MIRRORED = {"left": "right", "right": "left"}


def normalized(text: str) -> str:
    """The text in Unicode's composed form (NFC) with single spaces: texts that look alike are equal."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def class_noun(class_name: str) -> str:
    """The class without an article that was given with it: "girl" of "a girl"."""
    noun = normalized(class_name)
    return re.sub(rf"^{ARTICLE}\s+(?=\S)", "", noun, flags=re.IGNORECASE)


def a(noun: str) -> str:
    """The noun with its article, by its sound where spelling misleads: a girl, an elf, a unicorn, an hour."""
    noun = class_noun(noun)
    vowel = noun[:1].lower() in tuple("aeiou") and not _LIKE_YOU.match(noun)
    return f"{'an' if vowel or noun.lower().startswith(_SILENT_H) else 'a'} {noun}"


def subject(identifier: str, class_name: str) -> str:
    """How prompts name the character, in training and afterwards: "UnicornGirl, a girl"."""
    name, noun = normalized(identifier), class_noun(class_name)
    return name if _ends_with(name, noun) else f"{name}, {a(noun)}"


def instance_prompt(caption: str | None, identifier: str, class_name: str) -> str:
    """The prompt of a drawing: its caption with the character's name and class wherever it is mentioned, else a prompt
    that names it and goes on with the caption."""
    caption, mention = normalized(caption or ""), _mention(identifier, class_name)
    if mention.search(caption):
        return mention.sub(lambda found: _named(found, identifier, class_name), caption)
    name = subject(identifier, class_name)
    return f"a drawing of {name}, {caption}" if caption else f"a drawing of {name}"


def class_prompt(prompt: str, identifier: str, class_name: str) -> str:
    """The same prompt without the identifier, as "a dog" beside "a [V] dog" in the paper."""
    return _mention(identifier, class_name).sub(lambda found: _described(found, class_name), normalized(prompt))


def mirrored_prompt(prompt: str, identifier: str = "") -> str:
    """The prompt of the mirrored drawing: left and right change places, in any case, but not within the name."""
    name = f"{_whole_words(identifier)}|" if identifier.strip() else ""
    words = re.compile(rf"{name}(?<!\w)(?P<side>left|right)(?=(?:most|wards?)?(?!\w))", re.IGNORECASE)
    return words.sub(lambda found: _swapped(found["side"]) if found["side"] else found[0], normalized(prompt))


def _swapped(word: str) -> str:
    other = _MIRRORED[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


def _whole_words(words: str) -> str:
    """A pattern of these words, not within longer ones, their spaces as wide as they like."""
    spaced = r"\s+".join(map(re.escape, normalized(words).split()))
    return rf"(?<![\w-]){spaced}(?![\w-])"


def _ends_with(name: str, noun: str) -> bool:
    return re.search(rf"{_whole_words(noun)}$", name, re.IGNORECASE) is not None


def _mention(identifier: str, class_name: str) -> re.Pattern[str]:
    """The name with an article before it, and with the class noun before or behind it."""
    name, noun = _whole_words(identifier), _whole_words(class_noun(class_name))
    adjectives = rf"(?:(?!{_NO_ADJECTIVE}\b)[\w'-]+\s+){{0,2}}"
    before = rf"(?:(?<![\w-]){ARTICLE}\s+)?(?:{noun},?\s+(?:(?:named|called)\s+)?)?"
    behind = rf"(?:,?\s+(?:{ARTICLE}\s+(?P<adjectives>{adjectives}))?{noun})?"
    return re.compile(before + name + behind, re.IGNORECASE)


def _described(found: re.Match[str], class_name: str) -> str:
    return a(f"{found['adjectives'] or ''}{class_noun(class_name)}")


def _named(found: re.Match[str], identifier: str, class_name: str) -> str:
    if found["adjectives"]:
        return f"{normalized(identifier)}, {_described(found, class_name)}"
    return subject(identifier, class_name)
