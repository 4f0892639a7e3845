"""The front page's contents: the claim, the comparison, the notebooks with their questions and times, the GPUs."""

import json
import re
from pathlib import Path

from comics_genai.documents import findings
from comics_genai.documents.run_scores import METHODS, titled
from comics_genai.documents.sources import Sources
from comics_genai.notebooks.execute import timing_file
from comics_genai.notebooks.opening import SERVICES, link
from comics_genai.planning.fits import BASES, GPUS
from comics_genai.studies import summary

FOLDERS = ("1_data", "2_descriptive_stats", "3_baselines", "4_finetuning")
PLANNED = {  # notebooks that train a real base, and which
    "DreamBooth": ("sd15", "dreambooth"),
    "DreamBooth_GoogleColab": ("sd15", "dreambooth"),
    "LoRA": ("sdxl", "lora"),
    "DreamBooth-LoRA": ("sdxl", "dreambooth-lora"),
}
COLUMNS = {"identity": "identity", "identity_unnamed": "unnamed", "pose": "pose", "joint_success": "joint success"}
COLUMNS |= {"copied": "copies"}
QUESTION = re.compile(r"\*\*Questions?\*\*: *(.+?)(?=\n\s*\n|\n[*-] |\Z)", re.DOTALL)
PLANS = "5_documents/benchmarks/plans.json"


def claim(sources: Sources) -> list[str]:
    """Whether the claim holds in the comparison, or on one character if the comparison was not run."""
    return [findings.claim_in_short(sources)]


def comparison(sources: Sources) -> list[str]:
    """The comparison's table, or one line if only its rehearsal was run."""
    study = sources.study("comparison")
    if study.smoke:
        return [
            "The comparison of all methods on all ten characters has not been run in full yet: `make reproduce` "
            "runs it, and this line becomes its table."
        ]
    lines = ["| | runs | " + " | ".join(COLUMNS.values()) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for name, group in study.groups.items():
        cells = [summary.percent(group.intervals.get(key)) for key in COLUMNS]
        lines.append(f"| {titled(name)} | {len(group.rows)} | " + " | ".join(cells) + " |")
    return [*lines, "", summary.about(study.grid, study.rows)]


def notebooks(sources: Sources) -> list[str]:
    """A line for each notebook: where to open it, its question, and how long it takes."""
    minutes = _planned_minutes(sources)
    lines = ["| notebook | question | CPU | T4 (planned) | open |", "|---|---|---|---|---|"]
    for path in _paths(sources.root):
        name = path.relative_to(sources.root).as_posix()
        took, planned = _took(sources, path), PLANNED.get(path.stem)
        on_t4 = f"{minutes[planned]:.0f} min" if planned in minutes else ""
        lines.append(f"| [{path.stem}]({name}) | {_question(path)} | {took} | {on_t4} | {_badges(name)} |")
    return lines


def _paths(root: Path) -> list[Path]:
    found = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def _question(path: Path) -> str:
    """The question in the notebook's first cell, or else the first paragraph below its title and badges."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join(cells[0]["source"])
    found = QUESTION.search(text)
    words = found[1] if found else next(p for p in text.split("\n\n")[1:] if not p.startswith(("[!", "#", "<")))
    sentences = re.split(r"(?<=[.?]) (?=[A-Z])", " ".join(words.split()))
    sentence = next((one for one in sentences if one.endswith("?")), sentences[0])
    return (sentence[:1].upper() + sentence[1:]).replace("|", "\\|")


def _took(sources: Sources, path: Path) -> str:
    """Minutes of one core in the notebook's last execution; empty if it was not timed."""
    file = timing_file(path, sources.root).relative_to(sources.root).as_posix()
    if not sources.exists(file):
        return ""
    minutes = sources.json(file)["core_seconds"] / 60
    return f"{minutes:.0f} min" if minutes >= 1 else "< 1 min"


def _planned_minutes(sources: Sources) -> dict[tuple[str, str], float]:
    return {
        (plan["base"], plan["method"]): plan["seconds"]["training"] / 60
        for plan in sources.json(PLANS)
        if plan["gpu"] == "t4" and plan["fits"]
    }


def _badges(path: str) -> str:
    """Small badges as HTML, which `make badges` leaves alone."""
    return " ".join(
        f'<a href="{link(service, path)}"><img src="{SERVICES[service][0]}" alt="{service}" height="18"></a>'
        for service in SERVICES
    )


def gpus(sources: Sources) -> list[str]:
    """What fits which GPU: minutes for the planned steps and GiB at the peak, or what it would need."""
    plans = {(plan["base"], plan["method"], plan["gpu"]): plan for plan in sources.json(PLANS)}
    names = {plan["gpu"]: f"{plan['name']}, {plan['memory_gib']:.0f} GiB" for plan in plans.values()}
    lines = ["| | " + " | ".join(names[gpu] for gpu in GPUS) + " |", "|---|" + "---|" * len(GPUS)]
    for base, method in dict.fromkeys((base, method) for base, method, _ in plans):
        cells = []
        for gpu in GPUS:
            plan = plans[base, method, gpu]
            fitting = f"{plan['seconds']['training'] / 60:.0f} min" if plan["fits"] else "does not fit"
            cells.append(f"{fitting}, {plan['needs_gib']:.1f} GiB")
        lines.append(f"| {METHODS[method.replace('-', '_')]}, {BASES[base]} | " + " | ".join(cells) + " |")
    return lines
