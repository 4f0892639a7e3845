"""Prompts that name a character, the class it belongs to, and its mirror image."""

import re


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def subject(identifier: str, class_name: str) -> str:
    """How prompts name the character, in training and afterwards: "UnicornGirl, a girl"."""
    return f"{identifier}, {a(class_name)}"


def instance_prompt(caption: str | None, identifier: str, class_name: str) -> str:
    """The prompt of a drawing: its caption if that names the character, else one that does."""
    name = subject(identifier, class_name)
    if caption and name in caption:
        return caption
    if caption and identifier in caption:
        return caption.replace(identifier, name, 1)
    return f"a drawing of {name}, {caption}" if caption else f"a drawing of {name}"


def class_prompt(prompt: str, identifier: str, class_name: str) -> str:
    """The same prompt without the identifier, as "a dog" beside "a [V] dog" in the paper."""
    return prompt.replace(subject(identifier, class_name), a(class_name))


def mirrored_prompt(prompt: str) -> str:
    """The prompt of the mirrored drawing: left and right change places."""
    swap = {"left": "right", "right": "left"}
    return re.sub(r"\b(left|right)\b", lambda match: swap[match[0]], prompt)
