"""Assemble the stages to a folder that StableDiffusionXLPipeline.from_pretrained loads, and take it apart again."""

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import FOLDER as READER
from comics_genai.files import load_tensors, save_tensors, write_atomic
from comics_genai.run import FULL_FILE, LOG_FILE, SETTINGS_FILE, is_run
from comics_genai.training.stage import is_finished, load_stage

from . import clip as clip_stage
from . import semantics
from . import tokenizer as tokenizer_stage
from . import unet as unet_stage
from . import vae as vae_stage

SHARD = "15MB"
LARGEST_FILE = 16_000_000  # bytes: the repository carries these files
LARGEST_BASE = 60_000_000
EXPORT = "export"  # folder in which the stage `reader` keeps the attribute reader that is shipped
STORY = "pretraining"  # where the base keeps what the stages logged
START = "unet_start.safetensors"  # where `disassemble` leaves the UNet's weights
BEFORE = "before.jsonl"  # in a stage that went on from a base: what that base's own training logged
KEPT = (READER, "README.md", f"{STORY}/trials.csv")  # taken from the old base if no stage made them
SHOWN = 3  # pictures of a stage that are kept, evenly from the first to the newest


def assemble(stages: Path, target: Path) -> Path:
    """Write the base to `target` in fp16, from the stages' weights or their newest checkpoints.

    Its folder pretraining/ tells how the stages were trained. Files that are not made here (README.md, or an attribute
    reader if none was trained) are copied from the old base, which stays until the new one is whole. Raises UserError
    if a stage has no weights, or if the base is too large.
    """
    if not tokenizer_stage.is_trained(stages / "tokenizer"):
        raise UserError(
            f"The stage tokenizer was not trained in {stages}: run `python -m comics_genai pretrain tokenizer` first."
        )
    tokenizer = tokenizer_stage.load(stages / "tokenizer")
    vae = vae_stage.load(stages / "vae")
    if is_finished(stages / "decoder"):
        load_stage(vae, stages / "decoder")
    clip = clip_stage.load(stages / "clip", tokenizer)
    unet = unet_stage.load(stages / "unet", vae, clip)

    fresh = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    for left_over in (fresh, old):
        shutil.rmtree(left_over, ignore_errors=True)
    for part in (unet, vae, clip.text_encoder, clip.text_encoder_2):
        part.half()
    pipeline = unet_stage.as_pipeline(unet, vae, clip, tokenizer)
    pipeline.save_pretrained(fresh, safe_serialization=True, max_shard_size=SHARD)
    _mend_configurations(fresh)
    for folder, file in itertools.product(("tokenizer", "tokenizer_2"), tokenizer_stage.FILES):
        shutil.copy2(stages / "tokenizer" / file, fresh / folder / file)
    clip.image_tower.save(fresh / "image_tower")
    semantics.describe(vae.config.latent_channels, fresh / "vae")
    kept = {name: target / name for name in KEPT}
    if (stages / READER / EXPORT).exists():
        kept[READER] = stages / READER / EXPORT
    for name, source in kept.items():
        (fresh / name).parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, fresh / name)
        elif source.is_file():
            shutil.copy2(source, fresh / name)
    for stage in ("clip", "vae", "decoder", READER, "unet"):
        _keep_story(stages / stage, fresh / STORY / stage)
    _check_sizes(fresh)
    if target.exists():
        os.replace(target, old)
    os.replace(fresh, target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def disassemble(base: Path, stages: Path) -> Path:
    """The inverse of `assemble`: write finished stages from the weights of a base, except for the UNet.

    Stages that exist are kept. Returns the file of the UNet's weights, from which a new training can start. Raises
    UserError if `base` is not an assembled base.
    """
    if not (base / STORY).is_dir() or not (base / "unet").is_dir():
        raise UserError(f"{base} is not a base that `python -m comics_genai pretrain assemble` wrote: give its folder.")
    if not tokenizer_stage.is_trained(stages / "tokenizer"):
        shutil.copytree(base / "tokenizer", stages / "tokenizer", dirs_exist_ok=True)
    parts = {
        "vae": {"vae": ""},
        "clip": {name: f"{name}." for name in ("text_encoder", "text_encoder_2", "image_tower")},
    }
    for stage, folders in parts.items():
        if not is_finished(stages / stage):
            tensors = {}
            for folder, prefix in folders.items():
                tensors |= {prefix + name: tensor for name, tensor in _weights(base / folder).items()}
            _keep_story(base / STORY / stage, stages / stage)
            if stage == "vae":
                config = json.loads((base / "vae" / "config.json").read_text(encoding="utf-8"))
                vae_stage.save_scale(config["scaling_factor"], stages / stage)
            save_tensors(stages / stage / FULL_FILE, tensors)
    if (base / READER).is_dir() and not (stages / READER).exists():
        _keep_story(base / STORY / READER, stages / READER)
        shutil.copytree(base / READER, stages / READER / EXPORT)
    start = stages / START
    save_tensors(start, _weights(base / "unet"))
    return start


def remember(base: Path, stage: Path) -> None:
    """Copy the base's log of a stage into the stage's folder, before the stage is trained further."""
    log = base / STORY / stage.name / LOG_FILE
    if log.exists() and not is_run(stage):
        stage.mkdir(parents=True, exist_ok=True)
        shutil.copy2(log, stage / BEFORE)


def _weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder of safetensors files, in fp32."""
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= {n: t.float() if t.is_floating_point() else t for n, t in load_tensors(file)[0].items()}
    return found


def _keep_story(stage: Path, target: Path) -> None:
    """Copy what the pretraining notebook reads: log, settings, accuracy, and the newest pictures."""
    files = [stage / name for name in (LOG_FILE, SETTINGS_FILE, "accuracy.json")]
    pictures = sorted(stage.glob("*.png"))
    shown = sorted({pictures[i * (len(pictures) - 1) // (SHOWN - 1)] for i in range(SHOWN)}) if pictures else []
    for file in (*filter(Path.exists, files), *shown):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target / file.name)
    if (stage / BEFORE).exists():
        whole = _continued((stage / BEFORE).read_text(encoding="utf-8"), (stage / LOG_FILE).read_text(encoding="utf-8"))
        write_atomic(target / LOG_FILE, whole.encode())


def _continued(before: str, after: str) -> str:
    """Join two logs: the steps and seconds of the second continue those of the first."""
    first, second = ([json.loads(line) for line in log.splitlines()] for log in (before, after))
    done = {key: first[-1][key] for key in ("step", "seconds")}
    rows = [*first, *(row | {key: row[key] + value for key, value in done.items()} for row in second)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def _mend_configurations(folder: Path) -> None:
    # transformers would load the text encoders as they were saved, in fp16, and diffusers all the rest in fp32, and
    # the pipeline could not run. Asked for fp16, both still load fp16.
    for name in ("text_encoder", "text_encoder_2"):
        _change_json(folder / name / "config.json", lambda config: config | {"dtype": "float32"})
    # AutoencoderTiny saves this entry, and warns of it when it is loaded.
    _change_json(
        folder / "vae" / "config.json", lambda config: {k: v for k, v in config.items() if k != "block_out_channels"}
    )


def _change_json(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    write_atomic(path, (json.dumps(change(json.loads(path.read_text(encoding="utf-8"))), indent=2) + "\n").encode())


def _check_sizes(folder: Path) -> None:
    sizes = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    largest = max(sizes, key=sizes.__getitem__)
    if sizes[largest] > LARGEST_FILE or sum(sizes.values()) > LARGEST_BASE:
        raise UserError(
            f"The base in {folder} has {sum(sizes.values()) / 1e6:.1f} MB (at most {LARGEST_BASE / 1e6:.0f}), its "
            f"largest file {largest.name} {sizes[largest] / 1e6:.1f} MB (at most {LARGEST_FILE / 1e6:.0f}): choose "
            "narrower widths for the UNet."
        )
