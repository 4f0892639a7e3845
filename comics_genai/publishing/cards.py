"""Cards for the Hub: a README.md with a YAML head that describes a run or a data set."""

import html
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData, ModelCardData

from comics_genai import environment
from comics_genai.bases.base import HUB_IDS
from comics_genai.drawings.captions import a, instance_prompt
from comics_genai.paths import file_name
from comics_genai.run import EMBEDS_FILE, FULL_FILE, LORA_FILE, SETTINGS_FILE

# A fine-tuned model has the licence of its base.
LICENCES = {"sd15": "creativeml-openrail-m", "sdxl": "openrail++", "mini": "cc0-1.0"}


def run_card(repo: str, settings: Mapping[str, Any], pictures: Sequence[tuple[str, str]], licence: str = "") -> str:
    """The card of a finished fine-tuning. pictures: (prompt, file name) each, shown as a gallery."""
    identifier, class_name, base = settings["identifier"], settings["class_name"], settings["base"]
    lora = settings["method"] != "dreambooth"
    prompt = instance_prompt(None, identifier, class_name)
    hub_base = HUB_IDS.get(base, base if "/" in base and not Path(base).exists() else None)
    on = hub_base or Path(base).name
    tags = ["text-to-image", "diffusers", "diffusers-training"] + (["lora", "template:sd-lora"] if lora else [])
    if hub_base:
        tags.append("stable-diffusion-xl" if "xl" in hub_base.lower() else "stable-diffusion")
    head = ModelCardData(
        base_model=hub_base,
        license=licence or LICENCES.get(base),
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=tags,
        instance_prompt=prompt,
        widget=[{"text": text, "output": {"url": name}} for text, name in pictures] or None,
    )
    gallery = ["<Gallery />", ""] if pictures else []
    lines = [
        f"# {_in_markdown(identifier)}",
        "",
        *gallery,
        f"{_in_markdown(f'{identifier}, {a(class_name)}')}, learnt from a few drawings by {settings['method']} on "
        f"{on}: {settings['steps']} steps, learning rate {settings['learning_rate']:g}, seed {settings['seed']}"
        + (f", rank {settings['rank']}, alpha {settings['alpha']:g}." if lora else "."),
        "",
        f"Prompts name the character as in `{prompt.replace('`', ' ')}`. Every setting of the training is in "
        f"`{SETTINGS_FILE}`.",
        "",
        *_usage(repo, settings, hub_base, prompt, lora),
    ]
    return _card(head, lines)


def _usage(repo: str, settings: Mapping[str, Any], hub_base: str | None, prompt: str, lora: bool) -> list[str]:
    lines = [f"With [Comics-GenAI]({environment.address()}):", "", "```sh"]
    lines += [f"python -m comics_genai generate {repo} --prompt {shlex.quote(prompt)} --seeds 0-7", "```"]
    if not hub_base:
        return lines
    token, picture = settings.get("learn_token"), f"{file_name(settings['identifier']).lower()}.png"
    code = ["import torch", "from diffusers import AutoPipelineForText2Image"]
    if token or not lora:
        code += ["from huggingface_hub import hf_hub_download", "from safetensors.torch import load_file"]
    code += [
        "",
        f'pipeline = AutoPipelineForText2Image.from_pretrained({_quoted(hub_base)}, dtype=torch.float16).to("cuda")',
        *([f'pipeline.load_lora_weights({_quoted(repo)}, weight_name="{LORA_FILE}")'] if lora else []),
        *([] if lora else _full_weights(repo, settings)),
        *(_learnt_name(repo, settings["identifier"]) if token else []),
        f"pipeline({_quoted(prompt)}).images[0].save({_quoted(picture)})",
    ]
    told = "With diffusers 0.40 and transformers 5.6, or newer; from a private repository after `hf auth login`:"
    return [*lines, "", told, "", "```python", *code, "```"]


def _full_weights(repo: str, settings: Mapping[str, Any]) -> list[str]:
    """Code that puts the weights of a full fine-tuning into the base's parts that it trained."""
    code = [f'weights = load_file(hf_hub_download({_quoted(repo)}, "{FULL_FILE}"))']
    token, encoders = settings.get("learn_token"), settings.get("train_text_encoders")
    if not token and not encoders:
        return [*code, "pipeline.unet.load_state_dict(weights)"]
    parts = '("unet", "text_encoder", "text_encoder_2")' if encoders else '("unet",)'
    return [
        *code,
        f"for part in {parts}:",
        '    own = {name: tensor for name, tensor in weights.items() if name.startswith(f"{part}.")}',
        "    if own:  # Stable Diffusion 1.5 has one text encoder",
        '        renamed = {name.removeprefix(f"{part}.").replace(".embedding.", "."): own[name] for name in own}',
        "        getattr(pipeline, part).load_state_dict(renamed)",
    ]


def _learnt_name(repo: str, identifier: str) -> list[str]:
    """Code that gives the pipeline a token of the name's own."""
    return [
        "",
        "# The name is a token of its own: without its vectors the prompt says nothing.",
        f'vectors = load_file(hf_hub_download({_quoted(repo)}, "{EMBEDS_FILE}"))',
        'for name, vector in zip(("", "_2"), (vectors[key] for key in sorted(vectors, reverse=True))):',
        '    tokenizer, encoder = (getattr(pipeline, part + name) for part in ("tokenizer", "text_encoder"))',
        f"    pipeline.load_textual_inversion(vector, {_quoted(identifier)}, tokenizer, encoder)",
        "    # SDXL's encoders take the largest id for the end of a prompt, and the new token's is larger.",
        '    getattr(encoder, "text_model", encoder).eos_token_id = tokenizer.eos_token_id',
        "",
    ]


def _quoted(text: str) -> str:
    """The text as a Python literal."""
    return json.dumps(text, ensure_ascii=False)


def _in_markdown(text: str) -> str:
    """The text with all characters escaped that mean something in Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|!~])", r"\\\1", html.escape(text, quote=False).replace("\n", " "))


def unfinished_card(repo: str, settings: Mapping[str, Any], step: int) -> str:
    """The card of an unfinished run, whose checkpoint another machine can resume."""
    lines = [
        f"# {_in_markdown(settings['identifier'])}, unfinished",
        "",
        f"The state after step {step} of {settings['steps']} of a fine-tuning by {settings['method']}, with its "
        "optimizer's; nothing to draw with yet. Another machine goes on with the same settings and",
        "",
        "```sh",
        f"python -m comics_genai finetune --resume-from {repo}",
        "```",
    ]
    return _card(ModelCardData(tags=["diffusers-training", "checkpoint"]), lines)


def dataset_card(repo: str, count: int, captioned: bool, licence: str = "") -> str:
    """The card of a character's drawings."""
    name = repo.partition("/")[2]
    head = DatasetCardData(
        license=licence or None,
        pretty_name=name,
        size_categories="n<1K",
        task_categories=["text-to-image"],
        tags=["image", "comics", "dreambooth"],
    )
    lines = [
        f"# {name}",
        "",
        f"{count} drawings of a comic character" + (", each with a caption (`text`)." if captioned else "."),
        "",
        "```sh",
        f"python -m comics_genai finetune --drawings {repo} --identifier NAME --class girl",
        "```",
    ]
    return _card(head, lines)


def _card(head: ModelCardData | DatasetCardData, lines: Sequence[str]) -> str:
    return "\n".join(["---", head.to_yaml().strip(), "---", "", *lines, ""])
