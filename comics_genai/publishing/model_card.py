"""Complete the card of a finished run.

It adds settings, prompts, the chosen checkpoint and the reason, scores, the origin of the drawings, and instructions
for ComfyUI; and the pictures of the validation, which the Hub shows at the top.

    complete(staged / "README.md", run, settings, generated)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from comics_genai.drawings import HUB_ID
from comics_genai.drawings.captions import instance_prompt
from comics_genai.finetuning.validation import chosen
from comics_genai.paths import inside
from comics_genai.plotting.tables import table
from comics_genai.run import STEP_PICTURES, VALIDATION, recorded, step_in_name
from comics_genai.sampling.records import read_image
from comics_genai.training.checkpoint import Log

VALIDATED = 4  # number of validation pictures on a card
TOLD = ("method", "steps", "batch_size", "learning_rate", "schedule", "optimizer", "precision", "rank", "alpha")
TOLD += ("lora_targets", "prior", "prior_weight", "train_text_encoders", "learn_token", "min_snr_gamma", "seed")
OF_FULL_WEIGHTS = ("rank", "alpha", "lora_targets")  # settings that only adapters have
# Licences without a name on the Hub, by base.
OTHER_LICENCES = {"noobai": ("fair-ai-public-license-1.0-sd", "https://freedevproject.org/faipl-1.0-sd/")}
HOW_SCORED = {
    "validation_identity": "of identity times pose, read from the pictures, a copy of a drawing counting 0",
    "validation_dino": "of DINO's likeness to the drawings times CLIP's to the prompt, a copy counting 0",
}


def complete(card_file: Path, run: Path, settings: Mapping[str, Any], generated: Path) -> None:
    """Complete the card of a finished run, whose pictures image_*.png lie beside it.

    settings: those of the fine-tuning. generated: the folder of the run's test pictures and their scores.json; it may
    be absent.
    """
    card = ModelCard(card_file.read_text(encoding="utf-8"))
    if settings["base"] in OTHER_LICENCES and card.data.get("license") is None:
        card.data.license = "other"
        card.data.license_name, card.data.license_link = OTHER_LICENCES[settings["base"]]
    shown = _validation_pictures(card_file.parent, run, settings)
    if shown:
        card.data.widget = [*(card.data.get("widget") or []), *shown]
    parts = [_settings_of(settings), _prompts_of(settings), _checkpoint_of(run, settings), _scores_of(generated)]
    parts += [_provenance_of(run, settings, card.data.get("license")), _comfyui(settings)]
    text = card.text.rstrip("\n")
    if shown and "<Gallery />" not in text:
        title, _, rest = text.lstrip("\n").partition("\n")
        text = f"{title}\n\n<Gallery />\n{rest}"
    card.text = "\n\n".join([text, *filter(None, parts)]) + "\n"
    card_file.write_text(str(card), encoding="utf-8")


def _validation_pictures(staged: Path, run: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write the validation pictures of the chosen checkpoint (or the last one) into the folder."""
    strips = sorted((run / VALIDATION).glob(STEP_PICTURES))
    best = chosen(run)
    strips = [strip for strip in strips if best and step_in_name(strip) == best["step"]] or strips
    if not strips:
        return []
    prompts = _validation_prompts(settings)
    name = strips[-1].relative_to(run).as_posix()
    strip = read_image(inside(run, name, f"The run {run}"), "delete it, or train again")
    side, taken = strip.width // len(prompts), len(list(staged.glob("image_*.png")))
    pictures = [strip.crop((i * side, 0, (i + 1) * side, strip.height)) for i in range(len(prompts))][:VALIDATED]
    shown = []
    for i, (picture, prompt) in enumerate(zip(pictures, prompts, strict=False), start=taken):
        picture.save(staged / f"image_{i}.png")
        shown.append({"text": prompt, "output": {"url": f"image_{i}.png"}})
    return shown


def _validation_prompts(settings: Mapping[str, Any]) -> list[str]:
    named = instance_prompt(None, settings["identifier"], settings["class_name"])
    return list(settings.get("validation_prompts") or [named])


def _settings_of(settings: Mapping[str, Any]) -> str:
    full = settings["method"] == "dreambooth"
    names = [name for name in TOLD if name in settings and not (full and name in OF_FULL_WEIGHTS)]
    rows = [f"| {name} | {settings[name]} |" for name in names]
    return "\n".join(["## Settings", "", "| setting | value |", "|---|---|", *rows])


def _prompts_of(settings: Mapping[str, Any]) -> str:
    if not settings.get("validate_every"):
        return ""
    return "\n".join(["## Prompts of the validation", "", *(f"- {_code(p)}" for p in _validation_prompts(settings))])


def _code(text: str) -> str:
    """The text as inline code in Markdown."""
    return f"`{' '.join(text.replace('`', ' ').split())}`"


def _checkpoint_of(run: Path, settings: Mapping[str, Any]) -> str:
    """Sentences on which checkpoint was chosen and why, and a table of all scores."""
    best = chosen(run)
    if best is None:
        last = f"The weights after the last step, {settings['steps']}: nothing was scored on the way."
        return f"## The checkpoint\n\n{last}"
    rows = [row for row in Log(run).rows() if "validation_score" in row]
    names = [name for name in (rows[0] if rows else {}) if name.startswith("validation_")]
    how = next((words for name, words in HOW_SCORED.items() if name in names), "that its validation gave")
    lines = [
        f"Step {best['step']} of {settings['steps']}, because its validation pictures had the highest score, "
        f"{best['score']:.3f}, of the {len(rows)} that were measured: the mean {how}.",
        "",
        "| step | " + " | ".join(name.removeprefix("validation_").replace("_", " ") for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {row['step']} | " + " | ".join(f"{row[name]:.3f}" for name in names) + " |" for row in rows),
    ]
    return "\n".join(["## The checkpoint", "", *lines])


def _scores_of(generated: Path) -> str:
    path = generated / "scores.json"
    if not path.is_file():
        return ""
    scores = table(json.loads(path.read_text(encoding="utf-8")))
    told = "Of the run's test pictures, with 95 % intervals."
    return "\n".join(["## Scores", "", told, "", "```text", scores, "```"])


def _provenance_of(run: Path, settings: Mapping[str, Any], licence: str | None) -> str:
    source = settings["drawings"]
    on_hub = HUB_ID.fullmatch(source) and not Path(source).exists()
    link = f"the dataset [{source}](https://huggingface.co/datasets/{source})"
    where = link if on_hub else _code(Path(source).name)
    digest = recorded(run).get("drawings_digest", "")
    picked = settings.get("picked") or ()
    lines = [f"Learnt from the drawings of {where}" + (f" (digest `{digest}`)" if digest else "") + "."]
    if picked:
        lines.append(f"With them went {len(picked)} generated pictures that a person had picked.")
    lines.append(
        f"The weights are under the licence `{licence}`, as the base is, unless their owner says otherwise."
        if licence
        else "No licence was given to these weights: that of the base holds at least."
    )
    lines.append("The drawings belong to whoever drew them, and weights can give them back: ask before you use either.")
    return "\n".join(["## Licence, and where the drawings come from", "", " ".join(lines)])


def _comfyui(settings: Mapping[str, Any]) -> str:
    identifier, prompt = settings["identifier"], instance_prompt(None, settings["identifier"], settings["class_name"])
    if settings["method"] == "dreambooth":
        steps = [
            "`python -m comics_genai export RUN` writes the whole pipeline as a folder; `RUN` is this run's folder.",
            "Put that folder into `ComfyUI/models/diffusers` and load it by the node *DiffusersLoader*.",
        ]
    else:
        steps = [
            "`python -m comics_genai export RUN --target lora.safetensors` writes the adapter under the names that "
            "ComfyUI and A1111 read, and proves it by loading it again; `RUN` is this run's folder.",
            "Put the file into `ComfyUI/models/loras`. Load the base by *Load Checkpoint*, and behind it the file by "
            "*Load LoRA*, both strengths 1.",
        ]
    if settings.get("learn_token"):
        steps.append(
            "The name is a token of its own: put the file from `embeddings/`, written beside it, into "
            f"`ComfyUI/models/embeddings`, and write {_code(f'embedding:{identifier}')} for the name."
        )
    steps.append(f"Prompt: {_code(prompt)}, and then the pose in words.")
    return "\n".join(["## In ComfyUI", "", *(f"{i}. {step}" for i, step in enumerate(steps, start=1))])
