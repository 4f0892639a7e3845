"""Tables of numbers as Markdown, for notebooks."""

from collections.abc import Mapping, Sequence

from comics_genai.describe import overview
from comics_genai.describe.hsv import Summary
from comics_genai.describe.studies import Study
from comics_genai.plotting.tables import markdown


def files(studies: Sequence[Study]) -> str:
    """A row for each file: size, mode, transparency, depth, bytes, caption and perceptual hash."""
    return markdown(
        [
            {
                "file": study.name,
                "width": study.stored.width,
                "height": study.stored.height,
                "mode": study.stored.mode,
                "alpha": _alpha(study),
                "bits a channel": study.stored.bits,
                "kB": round(study.stored.bytes / 1000),
                "caption": study.caption or "none",
                "dHash": f"`{overview.difference_hash(study.image):016x}`",
            }
            for study in studies
        ]
    )


def framings(studies: Sequence[Study], sizes: Sequence[int]) -> str:
    """A row for each drawing, in percent: what padding adds, what cropping would lose, how large the character is."""
    rows = []
    for study in studies:
        found = overview.framing(study)
        rows.append(
            {
                "file": study.name,
                **{f"at {size} px": overview.scaling(study, size) for size in sizes},
                "padded with paper %": round(100 * found.padded),
                "a central crop would lose %": round(100 * found.cropped),
                "and of the character %": round(100 * found.character_cropped),
                "character's box %": round(100 * found.box_share),
                "character %": round(100 * found.character),
                "margin %": round(100 * found.margin),
            }
        )
    return markdown(rows)


def hsv_summaries(summaries: Mapping[str, Summary]) -> str:
    """A row for each drawing: warm, cool and grey shares, the mean hue, median saturation and value."""
    return markdown(
        [
            {
                "drawing": name,
                "warm %": round(100 * found.warm),
                "cool %": round(100 * found.cool),
                "grey %": round(100 * found.grey),
                "mean hue": "none" if found.hue != found.hue else f"{found.hue:.0f}°",
                "median saturation": round(found.saturation, 2),
                "median value": round(found.value, 2),
            }
            for name, found in summaries.items()
        ]
    )


def _alpha(study: Study) -> str:
    if not study.stored.has_alpha:
        return "none"
    return "opaque" if study.is_estimated else "used"
