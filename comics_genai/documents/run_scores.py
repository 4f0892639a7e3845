"""Put the scores.json of one committed run into words."""

from collections.abc import Mapping
from typing import Any

METHODS = {
    "gan_v1": "GAN version 1",
    "gan_v2": "GAN version 2",
    "ddpm_32": "DDPM at 32 px",
    "ddpm_256": "DDPM at 256 px",
    "dreambooth": "DreamBooth",
    "lora": "LoRA",
    "dreambooth_lora": "DreamBooth+LoRA",
}
TUNED, CAREFUL, BASE = "fine-tuned", "base, careful prompt", "base, same prompt"

Scores = Mapping[str, Any]


def titled(group: str) -> str:
    """The name of a study's group as documents write it: "dreambooth lora, no prior" is "DreamBooth+LoRA, no prior"."""
    method, *variant = group.split(", ")
    return ", ".join([METHODS.get(method.replace(" ", "_"), method), *variant])


def percent(figure: Mapping[str, float]) -> str:
    """A share with its interval, in percent: `54 [47, 62]`."""
    return "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * figure[end] for end in ("mean", "low", "high")))


def rows_of(scores: Scores) -> dict[str, Scores]:
    """The rows of one scores.json by name."""
    return {row["name"]: row for row in scores["rows"]}


def apart(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    """Whether the intervals of two figures overlap, in words."""
    if one["low"] > other["high"]:
        return "it is more, and the intervals lie apart"
    if other["low"] > one["high"]:
        return "it is less, and the intervals lie apart"
    return "the intervals overlap, so no difference is shown"


def finding(run: tuple[str, Scores]) -> list[str]:
    """The result of a fine-tuning compared with the base and a careful prompt: sentences with intervals.

    Whether the intervals lie apart is said once if it is the same for all figures that are compared.
    """
    rows = rows_of(run[1])
    tuned, careful, base = rows[TUNED], rows[CAREFUL], rows[BASE]

    compared = {key: apart(tuned[key], careful[key]) for key in ("identity", "identity_unnamed", "joint_success")}
    alike = len(set(compared.values())) == 1

    def against(key: str, prompt: str = "") -> str:
        verdict = "" if alike else f" ({compared[key]})"
        return f"{percent(tuned[key])} % against {percent(careful[key])} %{prompt}{verdict}"

    method = METHODS.get(run[0], run[0])
    return [
        f"With {method}, the share of her attributes that come out right is "
        f"{against('identity', ' with a careful prompt')}. Of the attributes without a word it is "
        f"{against('identity_unnamed')}. Character and pose are both right in {against('joint_success')}."
        + (f" In all three, {compared['identity']}." if alike else "")
        + f" The pose alone is as asked in {percent(tuned['pose'])} % of its parts; the untouched base reaches "
        f"{percent(base['pose'])} %. Copies of a drawing: {percent(tuned['copied'])} %."
    ]
