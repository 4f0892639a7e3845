"""Prompts that name a character or only its class, and prompts of mirrored drawings.

    instance_prompt("a sks girl, jumping", "sks", "girl")          "sks, a girl, jumping"
    class_prompt("a drawing of sks, a girl, jumping", "sks", "girl")    "a drawing of a girl, jumping"

A name is found as whole words in any case, together with the class noun around it. So "the girl sks", "a tall sks
girl", "sks (girl)" and "sks, a smiling girl" are one mention each, and neither noun nor article is ever doubled.
"""

import re
import unicodedata

ARTICLE = r"(?:a|an|the)"
MAXIMUM_CAPTION = 10_000  # characters: text encoders read 77 tokens, so a longer file is not a caption
_SILENT_H = ("heir", "honest", "honor", "honour", "hour")  # an hour
_LIKE_YOU = re.compile(r"(?:u(?:ni|s[aeiu]|ti|r[aiou]|b[ia]|kr|k\b|fo)|eu|ew|one?\b|once)", re.IGNORECASE)  # a unicorn
# Scripts without spaces between words: Thai to Khmer, kana, Chinese characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\U00020000-\U0003ffff"
_LETTER = rf"(?:-|(?![{_UNSPACED}])\w)"  # next to a name, such a letter makes it part of a longer word
_NO_ADJECTIVE = r"(?:a|an|the|and|or|with|of|in|on|to|is|who|her|his)"
_MIRRORED = {"left": "right", "right": "left"}


def normalized(text: str) -> str:
    """The text in Unicode's composed form (NFC) with single spaces, so that texts that look alike are equal."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def class_noun(class_name: str) -> str:
    """The class without its article: "girl" of "a girl"."""
    noun = normalized(class_name)
    return re.sub(rf"^{ARTICLE}\s+(?=\S)", "", noun, flags=re.IGNORECASE)


def a(noun: str) -> str:
    """The noun with its article, also where the spelling misleads: a girl, an elf, a unicorn, an hour."""
    noun = class_noun(noun)
    vowel = noun[:1].lower() in tuple("aeiou") and not _LIKE_YOU.match(noun)
    return f"{'an' if vowel or noun.lower().startswith(_SILENT_H) else 'a'} {noun}"


def subject(identifier: str, class_name: str) -> str:
    """How prompts name the character, during training and afterwards: "UnicornGirl, a girl"."""
    name, noun = normalized(identifier), class_noun(class_name)
    return name if _ends_with(name, noun) else f"{name}, {a(noun)}"


def instance_prompt(caption: str | None, identifier: str, class_name: str) -> str:
    """The prompt of a drawing, which always names the character.

    Each mention of the character in the caption becomes its name and class. A caption without a mention follows after
    the name.
    """
    caption, mention = normalized(caption or ""), _mention(identifier, class_name)
    if mention.search(caption):
        return mention.sub(lambda found: _named(found, identifier, class_name), caption)
    name = subject(identifier, class_name)
    return f"a drawing of {name}, {caption}" if caption else f"a drawing of {name}"


def class_prompt(prompt: str, identifier: str, class_name: str) -> str:
    """The prompt without the identifier, like "a dog" beside "a [V] dog" in the DreamBooth paper."""
    return _mention(identifier, class_name).sub(lambda found: _described(found, class_name), normalized(prompt))


def mirrored_prompt(prompt: str, identifier: str = "") -> str:
    """The prompt of the mirrored drawing: "left" and "right" are exchanged, except within the name."""
    name = f"{_whole_words(identifier)}|" if identifier.strip() else ""
    words = re.compile(rf"{name}(?<!\w)(?P<side>left|right)(?=(?:most|wards?)?(?!\w))", re.IGNORECASE)
    return words.sub(lambda found: _swapped(found["side"]) if found["side"] else found[0], normalized(prompt))


def _swapped(word: str) -> str:
    other = _MIRRORED[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


def _whole_words(words: str) -> str:
    """A pattern for these words as whole words, with any amount of space between them."""
    text = normalized(words)
    unspaced = re.compile(f"[{_UNSPACED}]")
    before = "" if unspaced.match(text[:1]) else rf"(?<!{_LETTER})"
    behind = "" if unspaced.match(text[-1:]) else rf"(?!{_LETTER})"
    return before + r"\s+".join(map(re.escape, text.split())) + behind


def _ends_with(name: str, noun: str) -> bool:
    return re.search(rf"{_whole_words(noun)}$", name, re.IGNORECASE) is not None


def _mention(identifier: str, class_name: str) -> re.Pattern[str]:
    """A pattern for the name, with optional article and adjective, and an optional class noun before or after it."""
    name, noun = _whole_words(identifier), _whole_words(class_noun(class_name))
    adjective = rf"(?!{_NO_ADJECTIVE}\b|{noun}|{name})[\w'-]+\s+"
    before = rf"(?:(?<![\w-]){ARTICLE}\s+(?P<adjective>{adjective})?)?(?:{noun},?\s+(?:(?:named|called)\s+)?)?"
    described = rf"(?:{ARTICLE}\s+(?P<adjectives>(?:{adjective}){{0,2}}))?{noun}"
    behind = rf"(?:(?:\s*,\s*|\s+is\s+|\s+){described}|\s*\((?:{ARTICLE}\s+)?{noun}\))?"
    return re.compile(before + name + behind, re.IGNORECASE)


def _adjectives(found: re.Match[str]) -> str:
    return (found["adjective"] or "") + (found["adjectives"] or "")


def _described(found: re.Match[str], class_name: str) -> str:
    return a(f"{_adjectives(found)}{class_noun(class_name)}")


def _named(found: re.Match[str], identifier: str, class_name: str) -> str:
    if _adjectives(found):
        return f"{normalized(identifier)}, {_described(found, class_name)}"
    return subject(identifier, class_name)
