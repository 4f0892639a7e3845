"""The tables of the report and the slides as LaTeX, made from the files of the runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comics_genai import world
from comics_genai.documents import findings
from comics_genai.documents.latex import table
from comics_genai.documents.run_scores import METHODS, percent, titled
from comics_genai.documents.sources import MINIATURE, Sources
from comics_genai.pretrain.evaluate import card
from comics_genai.studies import summary

Rows = list[dict[str, str]]
SHORT = {"identity": "identity", "identity_named": "named", "identity_unnamed": "unnamed", "pose": "pose"}
SHORT |= {"joint_success": "joint", "copied": "copies"}
KIND_WORDS = {"class": "a class", "color": "a colour", "scalar": "a number"}


def scores(sources: Sources, run: str) -> Rows:
    """All rows of a committed run's scores."""
    record = sources.json(f"6_generated/{run}/scores.json")
    return [_score_row(row["name"], row, record["columns"]) for row in record["rows"]]


def _score_row(name: str, row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    cells = {label: percent(row[key]) if row.get(key) else "-" for key, label in columns.items()}
    return {"": name} | cells


def methods(sources: Sources) -> Rows:
    """The fine-tuned row of the committed runs."""
    rows = []
    for run in findings.RUNS:
        record = sources.json(f"6_generated/{run}/scores.json")
        rows.append(_score_row(METHODS[run], record["rows"][0], record["columns"]))
    return rows


def scratch(sources: Sources) -> Rows:
    """Models from scratch, each above the true drawings at its size."""
    rows: Rows = []
    for run in findings.SCRATCH:
        record = sources.json(f"6_generated/{run}/scores.json")
        rows += [_score_row(row["name"], row, record["columns"]) for row in record["rows"][:2]]
    return rows


def factors(sources: Sources) -> Rows:
    """The world's identity factors."""
    return [
        {
            "attribute": a.name.replace("_", " "),
            "is": KIND_WORDS[a.kind] if a.kind != "class" else f"one of {len(a.classes)}",
            "counts as right": "the same" if a.kind == "class" else f"within {a.tolerance:g}"
            + (" (CIEDE2000)" if a.kind == "color" else ""),
            "captions have a word": "yes" if a.named else "no",
        }
        for a in world.ATTRIBUTES
    ]  # fmt: skip


def poses(sources: Sources) -> Rows:
    """The world's pose factors."""
    return [{"factor": n.replace("_", " "), "values": ", ".join(v)} for n, v in world.POSE_FACTORS.items()]


def captions(sources: Sources) -> Rows:
    """The six drawings' captions."""
    rows = sources.lines("1_data/unicorn_girl/train/metadata.jsonl")
    return [{"drawing": row["file_name"], "caption": row["text"]} for row in rows]


def trials(sources: Sources) -> Rows:
    """The trials of the tokenizer."""
    def share(text: str) -> str:
        return f"{100 * float(text):.0f}" if text else "-"

    rows = sources.csv(f"{MINIATURE}/pretraining/trials.csv")
    shares = ("attributes", "pose", "legs", "left arm", "right arm", "facing")
    return [
        {"latents": row["latents"], "samples": f"{int(row['samples']):,}"}
        | {name: share(row[name]) for name in shares}
        for row in rows
    ]


def reached(sources: Sources) -> Rows:
    """The results of the miniature, as in its card."""
    head, _, *lines = card(dict(sources.json(f"{MINIATURE}/evaluation.json")))
    names = [cell.strip() for cell in head.strip("|").split("|")]
    return [dict(zip(names, (c.strip() for c in line.strip("|").split("|")), strict=True)) for line in lines]


def comparison(sources: Sources) -> Rows:
    """The shares of each method, with intervals."""
    rows = []
    for name, group in sources.study("comparison").groups.items():
        shares = {label: summary.percent(group.intervals.get(key)) for key, label in SHORT.items()}
        rows.append({"": titled(name), "runs": str(len(group.rows))} | shares)
    return rows


def comparison_sets(sources: Sources) -> Rows:
    """The measures of all pictures of each method together, and its cost."""
    rows = []
    for name, group in sources.study("comparison").groups.items():
        row = {"": titled(name)}
        for measure, (label, digits) in summary.OF_A_SET.items():
            value = group.mean_of(measure)
            row[label] = "-" if value is None else f"{value:.{digits}f}"
        row |= {"rank 1": summary.percent(group.intervals.get("rank_one"))}
        row |= {"trained": f"{group.mean_of('parameters') or 0:,.0f}", "seconds": f"{group.mean_of('train') or 0:,.0f}"}
        rows.append(row)
    return rows


def comparison_tests(sources: Sources) -> Rows:
    """Paired tests of every method against ours."""
    study = sources.study("comparison")
    lines = summary.lines_of_tests(summary.paired_tests(study.groups, findings.ours(study)))
    return [line | {"": titled(line[""])} for line in lines]


def ablations(sources: Sources) -> Rows:
    """A line for each variant; that of the careful prompt is first."""
    rows = []
    for name, group in sources.study("ablations").groups.items():
        shares = {label: summary.percent(group.intervals.get(key)) for key, label in SHORT.items()}
        drift = group.mean_of("prior_drift")
        rows.append({"": name.removeprefix("dreambooth lora, ")} | shares | {"drift": _digits(drift)})
    return rows


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def training_steps(sources: Sources) -> Rows:
    return _curve(summary.curve_of(sources.study("training_steps").rows, "finetune.steps"), "steps")


def inference_steps(sources: Sources) -> Rows:
    return _curve(findings.sampler_curve(sources.study("inference_steps")), "steps")


def sampling_seconds(sources: Sources) -> Rows:
    """The seconds for a picture, by sampler and steps."""
    lines = summary.seconds_of(findings.sampler_curve(sources.study("inference_steps")))
    return [{name: str(value) for name, value in line.items()} for line in lines]


def _curve(curve: Mapping[str, Mapping[Any, summary.Group]], setting: str) -> Rows:
    rows = []
    for name, points in curve.items():
        for value, group in points.items():
            shares = {label: summary.percent(group.intervals.get(key)) for key, label in SHORT.items()}
            rows.append({"": titled(name), setting: f"{value:g}"} | shares)
    return rows


def speed(sources: Sources) -> Rows:
    """How fast fine-tuning is, beside diffusers' script."""
    rows = []
    for measurement in sources.json("5_documents/benchmarks/finetuning_cpu.json")["measurements"]:
        precision = measurement["work"]["precision"]
        for row in measurement["rows"]:
            ratio = row.get("speedup")
            rows.append({
                "": f"{row['name']}, {precision}",
                "steps/s": f"{row['steps_per_second']:.2f}",
                "against the script": "×{:.2f} [{:.2f}, {:.2f}]".format(*ratio) if ratio else "-",
                "peak MiB": f"{row['peak_bytes'] / 2**20:.0f}",
                "first step after": f"{row['startup_seconds']:.0f} s",
            })  # fmt: skip
    return rows


def plans(sources: Sources) -> Rows:
    """What fits which GPU: minutes for the plan's steps, or the GiB that it would need."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for plan in sources.json("5_documents/benchmarks/plans.json"):
        row = found.setdefault((plan["base"], plan["method"]), {"": f"{plan['base']}, {plan['method']}"})
        if plan["fits"]:
            cell = f"{plan['seconds']['training'] / 60:.0f} min, {plan['needs_gib']:.1f} GiB"
        else:
            cell = f"no: {plan['needs_gib']:.1f} GiB"
        row[plan["name"]] = cell
    return list(found.values())


def reader(sources: Sources) -> Rows:
    """How well the reader reads each attribute on true drawings and on the tokenizer's reconstructions."""
    record = sources.json(f"{MINIATURE}/pretraining/attribute_reader/accuracy.json")
    kept = sources.json(f"{MINIATURE}/evaluation.json")["reader_on_reconstructions"]
    names = [a.name for a in world.ATTRIBUTES] + list(world.POSE_FACTORS)
    rows = [
        {"": n.replace("_", " "), "true drawings": _share(record["renders"][n]), "reconstructions": _share(kept[n])}
        for n in names
    ]
    half = -(-len(rows) // 2)
    blank = {"": "", "true drawings": "", "reconstructions": ""}
    pairs = zip(rows[:half], [*rows[half:], *[blank] * (2 * half - len(rows))], strict=True)
    return [left | {f"{key} ": value for key, value in right.items()} for left, right in pairs]


def _share(value: float) -> str:
    return f"{100 * value:.0f}"


ALIGN = {
    "factors": "llll",
    "poses": "ll",
    "captions": r"lp{0.78\linewidth}",
    "trials": r"p{0.36\linewidth}rrrrrrr",
    "reached": r"p{0.62\linewidth}rr",
    "reader": "lrrlrr",
    "plans": "lrrrr",
}
TABLES: dict[str, Callable[[Sources], Sequence[Mapping[str, str]]]] = {
    "dreambooth_lora": lambda sources: scores(sources, "dreambooth_lora"),
    **{
        one.__name__: one
        for one in (
            *(methods, scratch, factors, poses, captions, trials, reached, comparison, comparison_sets),
            *(comparison_tests, ablations, training_steps, inference_steps, sampling_seconds, speed, plans, reader),
        )
    },
}


def written(sources: Sources) -> dict[str, str]:
    """Every table by name, as LaTeX."""
    return {name: table(make(sources), ALIGN.get(name, "")) for name, make in TABLES.items()}


