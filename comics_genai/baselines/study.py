"""The data for a model from scratch, and the scores of its samples.

    study = Study.of("1_data/unicorn_girl", size=64)
    train_gan(VERSION_2, study.drawings, run, held_out=study.held_out, threshold=study.threshold)
    scores = conclude(study, generate(load(run), latents(48, 128, TEST_SEED)), "GAN version 2", folder)
    print(conclusion(scores))

For a character of the comic world the truth is known. For any other there are only pictures and their diversity.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
from torch import Tensor

from comics_genai import drawings, world
from comics_genai.evaluation import metrics
from comics_genai.evaluation.attribute_reader import AttributeReader
from comics_genai.evaluation.picture_scores import Told, tell
from comics_genai.files import write_atomic
from comics_genai.images import to_pictures
from comics_genai.plotting import figures
from comics_genai.sampling.records import write_picture

from .data import prepare
from .measure import pairwise_distance, score_samples, summarise_samples

TEST_SEED = 1  # of the noise of scored samples; validation has another seed
KEPT = 6  # number of samples that are kept as single files, beside the sheet of all
HELD_OUT = 48  # number of true drawings in other poses, which no model sees: held-out data and ceiling
CEILING, FLOOR = "ceiling: true drawings", "floor: other characters"
COLUMNS = {
    "identity": "identity",
    "identity_named": "named",
    "identity_unnamed": "unnamed",
    "copied": "copy rate",
    "novel": "new pictures of her",
}
SCORES, SHEET = "scores.json", "contact_sheet.png"
SHOWN_SIDE = 96  # pixels of a picture on the contact sheet


@dataclass(frozen=True)
class Study:
    """The drawings of one character at the `size` of a model and, if the character is known, the truth."""

    size: int
    drawings: Tensor  # (N, 3, size, size) in [-1, 1]
    character: world.Character | None
    held_out: Tensor | None  # (HELD_OUT, 3, size, size): true drawings of the character in poses that no drawing shows
    threshold: float | None  # of the copy test, see `metrics.copy_threshold`

    @staticmethod
    def of(source: str | Path, size: int) -> "Study":
        """The study of the drawings in a folder or a dataset on the Hub. Raises UserError if there are none."""
        images = [drawing.image for drawing in drawings.load(source)]
        return Study.about(images, metrics.known_character(images), size)

    @staticmethod
    def about(images: Sequence[PIL.Image.Image], character: world.Character | None, size: int) -> "Study":
        """The study of some pictures. character: the one that they show, None if it is not of the comic world."""
        prepared = prepare(images, size)
        if character is None:
            return Study(size, prepared, None, None, None)
        held_out = prepare(metrics.true_renders(_scenes(character), max(size, world.drawing.LIMITS[0])), size)
        threshold = metrics.copy_threshold(character, to_pictures(prepared))
        return Study(size, prepared, character, held_out, threshold)

    @property
    def references(self) -> list[PIL.Image.Image]:
        """The drawings as pictures of `size` px."""
        return to_pictures(self.drawings)

    def diversities(self) -> dict[str, float]:
        """Mean distances between drawings, to compare with the distance between samples."""
        found = {"the drawings": pairwise_distance(self.references)}
        if self.held_out is not None:
            found["true drawings, other poses"] = pairwise_distance(to_pictures(self.held_out))
        return found


def _scenes(character: world.Character) -> list[world.Scene]:
    return metrics.other_pose_scenes(character, HELD_OUT, seed=1)


def conclude(
    study: Study, pictures: Sequence[PIL.Image.Image], name: str, folder: Path, reader: AttributeReader | None = None
) -> dict[str, Any]:
    """Write the pictures, the first KEPT as files and all as a sheet, and their scores into `folder`; the scores.

    JSON-able: {"columns", "rows"} as of `metrics.table`, with `novel` of `measure.score_samples`: the character, in a
    pose that none of the six drawings shows, and no copy of a training drawing; "summary": {row: as of
    `measure.summarise_samples`}. Rows: `name`, then CEILING and FLOOR, true drawings of her and of others at this size.
    For a character from outside the comic world there are no rows, and the summary holds the diversity alone. name: of
    the model, for people.
    """
    folder = Path(folder)
    kept = [
        {"file_name": f"{i:02d}.png", "prompt": "", "model": name, "seed": TEST_SEED, "index": i, "size": study.size}
        for i in range(min(len(pictures), KEPT))
    ]
    for record, picture in zip(kept, pictures, strict=False):
        write_picture(folder / record["file_name"], picture, record)
    write_atomic(folder / "metadata.jsonl", "".join(json.dumps(record) + "\n" for record in kept).encode())
    titles = ("The drawings", f"{name}: samples")
    sheet = figures.contact_sheet(study.references[:12], pictures, titles=titles, columns=12, side=SHOWN_SIDE)
    figures.save_picture(figures.lean(sheet), folder / SHEET)
    if study.character is None:
        scores = {"columns": COLUMNS, "rows": [], "summary": {name: {"diversity": pairwise_distance(pictures)}}}
    else:
        reader = reader or AttributeReader.load()
        floor = metrics.other_character_renders(_scenes(study.character), max(study.size, world.drawing.LIMITS[0]))
        rows = {
            name: pictures,
            CEILING: to_pictures(study.held_out),
            FLOOR: to_pictures(prepare(floor, study.size)),
        }
        records = {row: records_of(study, made, reader) for row, made in rows.items()}
        told = [Told(one["file_name"], None, found) for one, found in zip(kept, records[name], strict=False)]
        tell(folder, told, study.character, study.size)
        summary = {row: summarise_samples(records[row], made) for row, made in rows.items()}
        scores = {**metrics.table(records, COLUMNS), "summary": summary}
    scores["contact_sheet"] = SHEET
    write_atomic(folder / SCORES, (json.dumps(scores, indent=2) + "\n").encode())
    return scores


def records_of(study: Study, pictures: Sequence[PIL.Image.Image], reader: AttributeReader) -> list[metrics.Record]:
    """`measure.score_samples` with the study's own drawings and threshold."""
    return score_samples(pictures, study.character, study.references, reader, study.threshold)


def conclusion(scores: dict[str, Any]) -> str:
    """The conclusion from the scores of `conclude`, in Markdown: a table and a paragraph."""
    if not scores["rows"]:
        ((name, summary),) = scores["summary"].items()
        return (
            "These drawings show nobody of the comic world, so copying, identity and poses are not measured: judge by "
            f"eye. The samples of {name} differ by {summary['diversity']:.3f} on average."
        )
    labels = [*scores["columns"].values(), "diversity", "pose coverage"]
    lines = ["| | " + " | ".join(labels) + " |", "| :-- |" + " --: |" * len(labels)]
    for row in scores["rows"]:
        measured, cells = scores["summary"][row["name"]], []
        for key in scores["columns"]:
            mean, low, high = (100 * row[key][end] for end in ("mean", "low", "high"))
            cells.append(f"{mean:.0f} [{low:.0f}, {high:.0f}]")
        cells += [f"{measured['diversity']:.3f}", f"{100 * measured['pose_coverage']:.1f}"]
        lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
    name = scores["rows"][0]["name"]
    # No pose was asked for, so none can be wrong.
    caution = " As no pose was asked for, a smear that is read as some pose counts as one: look at the samples."
    ours, best = scores["summary"][name], scores["summary"][CEILING]
    sentence = (
        f"Of {ours['pictures']} samples of the {name} **{ours['copy_rate']:.0%}** copy a drawing, and "
        f"**{ours['novel']:.0%}** show her in a pose that no drawing shows (true drawings: {best['novel']:.0%}). "
        f"{ours['identity']:.0%} of her readable attributes are right ({best['identity']:.0%}); {_poses(ours)} "
        f"of the {round(1 / ours['pose_chance'])} poses appear on a recognisable figure, where copying reaches "
        f"{round(ours['pose_coverage_drawings'] / ours['pose_chance'])} and as many true drawings {_poses(best)}. "
        f"Samples differ by {ours['diversity']:.3f} on average, true drawings by {best['diversity']:.3f}."
    ) + (caution if ours["novel"] else "")
    return "\n".join([*lines, "", sentence])


def _poses(summary: dict[str, Any]) -> int:
    return round(summary["pose_coverage"] / summary["pose_chance"])


def overfitting(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether the discriminator overfits, by the last validation in a GAN's log; "" without held-out drawings."""
    measured = [row for row in rows if row.get("validation_accuracy_held_out") is not None]
    if not measured:
        return ""
    last = measured[-1]
    return (
        f"After {last['step']} steps the discriminator takes {last['validation_accuracy_drawings']:.0%} of the drawings"
        f" for real and **{last['validation_accuracy_held_out']:.0%}** of true drawings of her that it never saw; it "
        f"sees through {last['validation_accuracy_generated']:.0%} of the generated ones. $r_v$ is "
        f"**{last['validation_r_v'] or 0:.2f}**: at 1 held-out drawings look as false to it as generated ones, beyond "
        "1 more so."
    )
