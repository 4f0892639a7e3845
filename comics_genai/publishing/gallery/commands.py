"""The command that draws a picture again, made from its record."""

import shlex
from collections.abc import Mapping
from typing import Any

from comics_genai.publishing.gallery.records import text

AGAIN = "6_generated/again"
# Field of the record -> option of `generate`. All are given, because defaults may change.
OPTIONS = {
    "steps": "--steps",
    "guidance": "--guidance",
    "guidance_rescale": "--guidance-rescale",
    "negative": "--negative",
    "size": "--size",
    "precision": "--precision",
}


def command_of(fields: Mapping[str, Any]) -> str:
    """A shell command that draws the picture into 6_generated/again/ with the same bytes.

    It is "" if the record says too little, if the picture started from a drawing, or if several adapters had different
    scales, which no command can express.
    """
    seed, base, prompt = fields.get("seed"), text(fields.get("base")), fields.get("prompt")
    begun = fields.get("start") or fields.get("start_image")
    if not base or not isinstance(prompt, str) or type(seed) is not int or begun:
        return ""
    adapters = fields.get("adapter") or []
    adapters = adapters if isinstance(adapters, list) else [adapters]
    if not all(isinstance(adapter, str) for adapter in adapters):
        return ""
    # Older records call the adapter's scale "strength".
    scale_name = "adapter_scale" if "adapter_scale" in fields else "strength"
    scale = fields.get(scale_name)
    if isinstance(scale, list):
        if any(each != scale[0] for each in scale):
            return ""
        scale = scale[0] if scale else None
    words = ["python", "-m", "comics_genai", "generate", *(f"runs/{adapter}" for adapter in adapters)]
    # With "=", because a prompt may begin with a dash.
    words += ["--base", base, f"--prompt={prompt}", "--seeds", str(seed)]
    for field, option in OPTIONS.items():
        if fields.get(field) not in (None, ""):
            words.append(f"{option}={fields[field]}")
    scheduler = text(fields.get("scheduler"))
    # The name of a class means the base's own scheduler.
    if scheduler and not scheduler.endswith("Scheduler"):
        words += ["--scheduler", scheduler]
    if adapters and scale is not None:
        words += [f"--{scale_name.replace('_', '-')}", str(scale)]
    return shlex.join([*words, "--folder", AGAIN])
