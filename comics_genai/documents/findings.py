"""Findings of the studies and runs, as sentences that are computed from their tables and change with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from comics_genai import world
from comics_genai.documents.latex import from_markdown
from comics_genai.documents.run_scores import CAREFUL, METHODS, TUNED, apart, finding, percent, rows_of, titled
from comics_genai.documents.sources import Sources, StudyTable
from comics_genai.evaluation.comparison import BOTH
from comics_genai.studies import summary

RUNS = ("dreambooth", "lora", "dreambooth_lora")
SCRATCH = ("gan_v1", "gan_v2", "ddpm_32", "ddpm_256")
STUDIES = ("comparison", "training_steps", "learning_rate", "inference_steps", "ablations")
LOOP = "bootstrap_loop"
MARGIN = 0.05  # differences of joint success below this share count as equal
NOTHING = "Nothing is concluded from the rehearsal."


def all_findings(sources: Sources) -> dict[str, str]:
    """Every sentence by the words of its macro, as LaTeX."""
    found = {f"{name} about": about(sources.study(name)) for name in STUDIES}
    found |= {f"{name} finding": of_study(sources.study(name)) for name in STUDIES}
    found |= {f"{name} run": of_run(sources, name) for name in RUNS}
    found |= {f"{name} scratch": of_scratch(sources, name) for name in SCRATCH}
    found |= {"claim": claim_in_short(sources), "scaling finding": of_scaling(sources)}
    found |= {"loop finding": of_loop(sources), "both words": of_both(sources)}
    found |= {"rehearsals": of_rehearsals(sources)}
    found |= {"resampled zeros": of_resampled_zeros(sources)}
    found |= {"attributes finding": of_attributes(sources.study("comparison"))}
    found |= {f"{name} in short": of_scratch_in_short(sources, name) for name in SCRATCH}
    found |= {"trials finding": of_trials(sources), "runs alike": same_base(sources)}
    return {words: from_markdown(text) for words, text in found.items()}


def about(study: StudyTable) -> str:
    """How much of a study was run, and on which machine."""
    told = summary.about(study.grid, study.rows)
    return f"**Rehearsal.** {told}" if study.smoke else told


def of_rehearsals(sources: Sources) -> str:
    """Which studies were only rehearsed, and that their numbers mean nothing; "" if all were run."""
    names = [name.replace("_", " ") for name in STUDIES if sources.study(name).smoke]
    if not names:
        return ""
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return (
        f"**Only rehearsed so far:** {listed}. Their tables come from the smoke setting, which takes minutes and shows "
        "that the machinery runs. The numbers say nothing about the methods, and nothing is concluded from them."
    )


def of_study(study: StudyTable) -> str:
    """The finding of a study in Markdown. A rehearsal has none; only the comparison's says so."""
    if study.smoke:
        return NOTHING if study.name == "comparison" else ""
    return {
        "comparison": _comparison,
        "training_steps": _training_steps,
        "learning_rate": _learning_rate,
        "inference_steps": _inference_steps,
        "ablations": _ablations,
    }[study.name](study)


def ours(study: StudyTable) -> str:
    """The fine-tuning that the claim is about: the best recipe, if the comparison contains one."""
    fine = [name for name in ("best recipe", "dreambooth lora", "lora", "dreambooth") if name in study.groups]
    return fine[0]


def _comparison(study: StudyTable) -> str:
    name, groups = ours(study), study.groups
    characters = len({row["character"] for row in groups[name].rows})
    sentences = [summary.told(summary.claim(groups, name), titled(name), characters)]
    scratch = {n: group for n, group in groups.items() if n.replace(" ", "_") in SCRATCH}
    if scratch:
        copying = [titled(n) for n, group in scratch.items() if group.intervals["copied"].mean > 0.5]
        parts = ", ".join(f"{titled(n)}: {summary.percent(g.intervals['identity'])} %" for n, g in scratch.items())
        sentences.append(f"Models trained from scratch get this share of her attributes right: {parts}.")
        if copying:
            sentences.append(f"More than half of what {' and '.join(copying)} draw are copies of a training drawing.")
    return " ".join(sentences)


def _training_steps(study: StudyTable) -> str:
    return summary.best_of(summary.curve_of(study.rows, "finetune.steps"), "steps")


def _learning_rate(study: StudyTable) -> str:
    return summary.best_of(summary.curve_of(study.rows, "finetune.learning_rate"), "learning rate")


def sampler_curve(study: StudyTable) -> dict[str, dict[Any, summary.Group]]:
    """{sampler: {steps: group}} at the guidance that miniatures are drawn with, or the grid's middle one."""
    guidances = sorted({summary.setting_of(row, "sampling.guidance") for row in study.rows} - {None})
    middle = guidances[len(guidances) // 2] if guidances else None
    chosen = [row for row in study.rows if summary.setting_of(row, "sampling.guidance") == middle]
    return summary.curve_of(chosen or study.rows, "sampling.steps", by="sampling.scheduler")


def _inference_steps(study: StudyTable) -> str:
    return summary.plateaus(sampler_curve(study), MARGIN)


def _ablations(study: StudyTable) -> str:
    groups = study.groups
    default = next((name for name in groups if name.endswith(", default")), None)
    if default is None:
        return "The table holds no run of the default recipe, so nothing is compared."
    return summary.best_variant(groups, default, summary.paired_tests(groups, default))


def of_run(sources: Sources, name: str) -> str:
    """The result of one committed fine-tuning, on one character."""
    (told,) = finding((name, sources.json(f"6_generated/{name}/scores.json")))
    return told


def of_scratch(sources: Sources, name: str) -> str:
    """The result of one committed training from scratch."""
    row, ceiling = sources.json(f"6_generated/{name}/scores.json")["rows"][:2]
    told = (
        f"{METHODS[name]}: identity {percent(row['identity'])} % of her attributes (true drawings at its size "
        f"{percent(ceiling['identity'])} %), copies of a drawing {percent(row['copied'])} %, new "
        f"pictures of her {percent(row['novel'])} %."
    )
    return told


def of_scratch_in_short(sources: Sources, name: str) -> str:
    """The same in a line."""
    row = sources.json(f"6_generated/{name}/scores.json")["rows"][0]
    return f"**{METHODS[name]}**: {percent(row['copied'])} % copies, {percent(row['novel'])} % new pictures of her"


def of_resampled_zeros(sources: Sources) -> str:
    """A warning if committed scores have intervals that end at 0 by resampling; "" if none has."""
    scores = [sources.json(f"6_generated/{run}/scores.json") for run in (*RUNS, *SCRATCH)]
    shares = [row[key] for one in scores for row in one["rows"] for key in one["columns"] if row.get(key)]
    if all(share["high"] > 0 for share in shares):
        return ""
    return (
        "Where a table shows 0 [0, 0], the run was scored before exact intervals took the place of resampled ones: its "
        "true upper end is that of the exact interval."
    )


def of_both(sources: Sources) -> str:
    """The gain of prompts with the name and careful words over prompts with the name alone."""
    rows = rows_of(sources.json("6_generated/dreambooth_lora/scores.json"))
    name, both = (rows[row]["identity"] for row in (TUNED, BOTH))
    return f"identity is {percent(both)} % with both and {percent(name)} % with the name alone ({apart(both, name)})."


def of_attributes(study: StudyTable) -> str:
    """Which attributes our best fine-tuning gets right most and least often."""
    if study.smoke:
        return NOTHING
    group = study.groups[ours(study)]
    shares = {a.name: group.intervals[a.name].mean for a in world.ATTRIBUTES if a.name in group.intervals}
    order = sorted(shares, key=shares.__getitem__)

    def told(names: Sequence[str]) -> str:
        return ", ".join(f"{name.replace('_', ' ')} ({100 * shares[name]:.0f} %)" for name in names)

    return f"With {titled(group.name)}, right most often are {told(order[:-4:-1])}, and least often {told(order[:3])}."


def base_of(sources: Sources, name: str) -> str:
    """The digest of the base that a committed fine-tuning was drawn with."""
    return sources.lines(f"6_generated/{name}/finetuned/metadata.jsonl")[0]["base_digest"]


def same_base(sources: Sources) -> str:
    """Which committed runs were made on the same base, since only these compare."""
    bases = {name: base_of(sources, name) for name in RUNS}
    newest = bases["dreambooth_lora"]
    older = [METHODS[name] for name in RUNS if bases[name] != newest]
    if not older:
        return "The three committed runs were made on the same base, so their lines may be read side by side."
    return (
        f"The runs of {' and '.join(older)} were made on an earlier base than that of DreamBooth+LoRA, so their lines "
        "do not compare with its line; the comparison below does, since every method there has the same base."
    )


def claim_in_short(sources: Sources) -> str:
    """The answer to the thesis' question, in a paragraph."""
    study = sources.study("comparison")
    if not study.smoke:
        return _comparison(study)
    scores = sources.json("6_generated/dreambooth_lora/scores.json")
    rows = rows_of(scores)
    joint, careful = rows[TUNED]["joint_success"], rows[CAREFUL]["joint_success"]
    shown = "so the claim is shown on it" if joint["low"] > careful["high"] else "so it does not show the claim yet"
    return (
        "The comparison over all characters has only been rehearsed, so the claim is **not settled**. On one character "
        f"and one training, character and pose are both right in {percent(joint)} % of new poses after "
        f"fine-tuning, and in {percent(careful)} % with a careful prompt, {shown}."
    )


def of_scaling(sources: Sources) -> str:
    """The finding for each model from the curve over the number of drawings."""
    curve = sources.json("6_generated/scaling/scaling.json")
    lines = []
    for model, steps in curve["steps"].items():
        points = [point for point in curve["points"] if point["model"] == model]
        best = max(points, key=lambda point: point["novel"]["mean"])
        new = (
            "no number of drawings brings new pictures of her within these steps"
            if best["novel"]["mean"] == 0
            else f"new pictures of her are most with {best['drawings']:,} drawings, {100 * best['novel']['mean']:.0f} %"
        )
        lines.append(
            f"- **{model}**, {steps:,} steps each: copies are {100 * points[0]['copied']['mean']:.0f} % with "
            f"{points[0]['drawings']:,} drawings and {100 * points[-1]['copied']['mean']:.0f} % with "
            f"{points[-1]['drawings']:,}; {new}."
        )
    return "\n".join(lines)


def of_trials(sources: Sources) -> str:
    """The two trials of the tokenizer that differ in channels and noise alone, and the best one."""
    trials = sources.csv("1_data/mini_sdxl/pretraining/trials.csv")
    first, second = trials[:2]
    best = max(trials, key=lambda trial: float(trial["attributes"]))
    better = "better" if float(second["attributes"]) > float(first["attributes"]) else "no better"

    def share(trial: Mapping[str, str], name: str) -> str:
        return f"{100 * float(trial[name]):.0f} %"

    return (
        f"With the same {int(first['samples']):,} samples, latents of {first['latents']} ({_decibel(first)}) led to "
        f"{share(first, 'attributes')} of the attributes, latents of {second['latents']} ({_decibel(second)}) to "
        f"{share(second, 'attributes')}: the tokenizer that reconstructs worse is {better} to draw with. The best of "
        f"the trials, {best['latents']}, reached {share(best, 'attributes')} and {share(best, 'pose')} of the pose's "
        f"factors after {int(best['samples']):,} samples."
    )


def _decibel(trial: Mapping[str, str]) -> str:
    return trial["remark"].split(";")[0]


def of_loop(sources: Sources) -> str:
    """Whether the loop that trains on its own best pictures was run, and its result."""
    path = f"4_finetuning/studies/{LOOP}.jsonl"
    if not sources.exists(path):
        return "The loop has **not been run**: no table of it is in the repository, so nothing is claimed of it."
    study = sources.study(LOOP)
    parts: Sequence[str] = [
        f"{name}: joint success {summary.percent(group.intervals['joint_success'])} %, copy rate "
        f"{summary.percent(group.intervals['copied'])} %" for name, group in study.groups.items()
    ]  # fmt: skip
    return f"{summary.about(study.grid, study.rows)} " + "; ".join(parts) + "."
