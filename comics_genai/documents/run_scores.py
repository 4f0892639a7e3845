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


def percent(figure: Mapping[str, float]) -> str:
    """A share with its interval, in percent: `54 [47, 62]`."""
    return "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * figure[end] for end in ("mean", "low", "high")))


def rows_of(scores: Scores) -> dict[str, Scores]:
    """The rows of one scores.json by name."""
    return {row["name"]: row for row in scores["rows"]}


def apart(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    """Whether the intervals of two figures overlap, in words."""
    if one["low"] > other["high"]:
        return "more, and the intervals lie apart"
    if other["low"] > one["high"]:
        return "less, and the intervals lie apart"
    return "and the intervals overlap, so no difference is shown"


def finding(run: tuple[str, Scores]) -> list[str]:
    """The result of a fine-tuning compared with the base and a careful prompt: sentences with intervals."""
    rows = rows_of(run[1])
    tuned, careful, base = rows[TUNED], rows[CAREFUL], rows[BASE]

    def against(what: str, key: str) -> str:
        mine, theirs = tuned[key], careful[key]
        return f"{what} {percent(mine)} % against {percent(theirs)} % for a careful prompt ({apart(mine, theirs)})"

    method = METHODS.get(run[0], run[0])
    return [
        f"With {method}, her attributes come out right in {against('', 'identity').strip()}; of the attributes that no "
        f"word names, {against('', 'identity_unnamed').strip()}. The pose asked for is followed in "
        f"{percent(tuned['pose'])} % of its parts, by the base itself in {percent(base['pose'])} %. Character and pose "
        f"are both right in {against('', 'joint_success').strip()}. Copies of a drawing: {percent(tuned['copied'])} %."
    ]
