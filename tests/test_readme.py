"""The README's figures are those that the committed notebook's run wrote."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHODS = {"DreamBooth": "dreambooth", "LoRA": "lora", "DreamBooth+LoRA": "dreambooth_lora"}
FROM_NOTHING = ("gan_v1", "gan_v2", "ddpm_32", "ddpm_256")


def scores_of(run: str) -> dict:
    return json.loads((ROOT / "6_generated" / run / "scores.json").read_text(encoding="utf-8"))


SCORES = scores_of("dreambooth_lora")


def markdown(scores: dict) -> list[str]:
    """The table of scores.json as lines of Markdown: percent, with 95 % intervals."""
    columns = scores["columns"]
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---|" * len(columns)]
    return lines + [line(row["name"], row, columns) for row in scores["rows"]]


def line(name: str, row: dict, columns: dict) -> str:
    cells = [f"{100 * row[k]['mean']:.0f} [{100 * row[k]['low']:.0f}, {100 * row[k]['high']:.0f}]" for k in columns]
    return f"| {name} | " + " | ".join(cells) + " |"


def methods() -> list[str]:
    """The three methods on the same prompts and seeds, as lines of Markdown."""
    lines = markdown({**SCORES, "rows": []})
    for name, run in METHODS.items():
        scores = scores_of(run)
        (tuned,) = (row for row in scores["rows"] if row["name"] == "fine-tuned")
        lines.append(line(name, tuned, scores["columns"]))
    return lines


def from_nothing() -> list[str]:
    """The models from scratch, each above the true drawings at its size, as lines of Markdown."""
    runs = [scores_of(run) for run in FROM_NOTHING]
    return markdown({**runs[0], "rows": [row for scores in runs for row in scores["rows"][:2]]})


def score_of(name: str, key: str) -> dict:
    (row,) = (row for row in SCORES["rows"] if row["name"] == name)
    return row[key]


def mean(name: str, key: str) -> float:
    return 100 * score_of(name, key)["mean"]


def interval(name: str, key: str) -> tuple[float, float]:
    return score_of(name, key)["low"], score_of(name, key)["high"]


@pytest.mark.parametrize("row", markdown(SCORES))
def test_every_line_of_the_scores_stands_in_the_readme(row):
    assert row in README.splitlines()


@pytest.mark.parametrize("row", methods())
def test_every_line_of_the_methods_stands_in_their_readme(row):
    assert row in (ROOT / "4_finetuning" / "README.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("row", from_nothing())
def test_every_line_of_the_models_from_nothing_stands_in_their_readme(row):
    assert row in (ROOT / "3_baselines" / "README.md").read_text(encoding="utf-8").splitlines()


def test_what_the_readme_says_of_its_table_is_so():
    tuned, careful, key = "fine-tuned", "base, careful prompt", "identity_unnamed"
    assert f"({mean(tuned, key):.0f} % against {mean(careful, key):.0f} %, though the intervals overlap)" in README
    assert interval(tuned, key)[0] < interval(careful, key)[1]
    assert f"({mean(tuned, 'pose'):.0f} % against {mean('base, same prompt', 'pose'):.0f} %)" in README
    assert mean("fine-tuned, careful prompt", "identity") < mean(tuned, "identity")
    assert {row["joint_success"]["mean"] for row in SCORES["rows"][:4]} == {0}


def test_what_the_methods_readme_says_of_dreambooth_and_a_careful_prompt_is_so():
    rows = {row["name"]: row for row in scores_of("dreambooth")["rows"]}
    tuned, careful = rows["fine-tuned"], rows["base, careful prompt"]
    said = [
        "{:.0f} % [{:.0f}, {:.0f}] of {}".format(*(100 * careful[key][end] for end in ("mean", "low", "high")), what)
        for key, what in (("identity", "her identity"), ("identity_unnamed", "what has no word"))
    ]
    assert " and ".join(said) in (ROOT / "4_finetuning" / "README.md").read_text(encoding="utf-8")
    assert all(tuned[key]["low"] > careful[key]["high"] for key in ("identity", "identity_unnamed"))


def test_the_three_methods_were_asked_the_same():
    asked = []
    for run in METHODS.values():
        lines = (ROOT / "6_generated" / run / "finetuned" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        asked.append(
            sorted((row["prompt"], row["seed"], row["steps"], row["guidance"]) for row in map(json.loads, lines))
        )
    assert asked[0] == asked[1] == asked[2] and len(asked[0]) == SCORES["rows"][0]["pictures"]


def test_the_state_of_the_base_is_as_measured():
    figures = json.loads((ROOT / "1_data/mini_sdxl/evaluation.json").read_text(encoding="utf-8"))
    drawn, ceiling = figures["drawn"], figures["ceiling"]
    assert f"({100 * drawn['attributes']:.0f} % of what it is told" in README
    assert f"reach {100 * ceiling['attributes']:.1f} %)" in README
    assert f"{100 * drawn['pose']:.0f} % of a pose's parts" in README


def test_the_files_the_readme_names_exist():
    for path in ("6_generated/dreambooth_lora/contact_sheet.png", "4_finetuning/dreambooth_lora/DreamBooth-LoRA.ipynb"):
        assert path in README and (ROOT / path).exists()
