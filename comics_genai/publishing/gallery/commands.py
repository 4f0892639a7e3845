"""The command that makes a picture again, from its record."""

import shlex
from collections.abc import Mapping
from typing import Any

from comics_genai.publishing.gallery.records import text

AGAIN = "6_generated/again"
# Field of the record -> option of `generate`. Each is given, since a default may change.
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

    "" where the record says too little, where the picture began from a drawing, and where several adapters had
    different strengths: no command can name those.
    """
    seed, base = fields.get("seed"), text(fields.get("base"))
    begun = fields.get("start") or fields.get("start_image")
    if not base or "prompt" not in fields or not isinstance(seed, int) or begun:
        return ""
    adapters = fields.get("adapter") or []
    adapters = [adapters] if isinstance(adapters, str) else list(adapters)
    # Older records call the adapter's scale its strength.
    scale_name = "adapter_scale" if "adapter_scale" in fields else "strength"
    scale = fields.get(scale_name)
    if isinstance(scale, list):
        if len(set(scale)) > 1:
            return ""
        scale = scale[0]
    words = ["python", "-m", "comics_genai", "generate", *(f"runs/{adapter}" for adapter in adapters)]
    words += ["--base", base, "--prompt", text(fields["prompt"]), "--seeds", str(seed)]
    for field, option in OPTIONS.items():
        if fields.get(field) not in (None, ""):
            words += [option, str(fields[field])]
    scheduler = text(fields.get("scheduler"))
    # A class name stands for the base's own scheduler.
    if scheduler and not scheduler.endswith("Scheduler"):
        words += ["--scheduler", scheduler]
    if adapters and scale is not None:
        words += [f"--{scale_name.replace('_', '-')}", str(scale)]
    return shlex.join([*words, "--folder", AGAIN])
