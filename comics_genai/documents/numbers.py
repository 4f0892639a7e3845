"""Numbers as LaTeX macros: of the drawn world, the miniature and its pretraining, the drawings, speed and memory."""

import inspect
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comics_genai import world
from comics_genai.documents.latex import escaped
from comics_genai.documents.run_scores import CAREFUL, percent, rows_of
from comics_genai.documents.sources import MINIATURE, Sources
from comics_genai.evaluation.comparison import FLOOR
from comics_genai.evaluation.metrics import IDENTITY_RIGHT, OTHER_POSES
from comics_genai.evaluation.statistics import clopper_pearson
from comics_genai.finetuning.presets import preset_for
from comics_genai.planning.gpus import named
from comics_genai.pretrain.evaluate import card
from comics_genai.run import LOG_FILE, SETTINGS_FILE
from comics_genai.studies import summary

PRETRAINED = f"{MINIATURE}/pretraining"


def all_numbers(sources: Sources) -> dict[str, str]:
    """Every number by the words of its macro."""
    found = of_the_world() | of_the_miniature(sources) | of_pretraining(sources) | of_speed(sources)
    return found | of_plans(sources) | of_recipes() | of_words(sources)


def of_the_world() -> dict[str, str]:
    named_ones = [attribute for attribute in world.ATTRIBUTES if attribute.named]
    poses = int(np.prod([len(values) for values in world.POSE_FACTORS.values()]))
    postures = int(np.prod([len(world.POSE_FACTORS[name]) for name in ("legs", "left_arm", "right_arm")]))
    none_of = clopper_pearson(0, 24)
    times = inspect.signature(summary.claim).parameters["times"].default
    return {
        "attributes": str(len(world.ATTRIBUTES)),
        "named attributes": str(len(named_ones)),
        "unnamed attributes": str(len(world.ATTRIBUTES) - len(named_ones)),
        "pose factors": str(len(world.POSE_FACTORS)),
        "poses": f"{poses:,}",
        "postures": str(postures),
        "backgrounds": str(len(world.BACKGROUNDS)),
        "joints": str(len(world.JOINTS)),
        "cast": str(len(world.HELD_OUT)),
        "companions": str(len(world.COMPANIONS)),
        "drawings": str(len(world.reference_scenes(world.UNICORN_GIRL))),
        "token": escaped(world.TOKEN),
        "class prompt": escaped(world.CLASS_PROMPT),
        "careful subject": escaped(world.careful_subject(world.UNICORN_GIRL)),
        "first caption": escaped(world.scene_prompt(world.reference_scenes(world.UNICORN_GIRL)[0],
                                                    f"{world.TOKEN}, a girl")),
        "identity right": f"{100 * IDENTITY_RIGHT:.0f}",
        "copy poses": str(OTHER_POSES),
        "none of twenty four": f"{100 * none_of.high:.0f}",
        "claim times": f"{times:g}",
    } | _shown()  # fmt: skip


def _shown() -> dict[str, str]:
    """How much of the world's variety the six drawings show."""
    scenes = world.reference_scenes(world.UNICORN_GIRL)
    postures = {(s.pose.legs, s.pose.left_arm, s.pose.right_arm) for s in scenes}
    found = {"places shown": str(len({s.setting.background for s in scenes})), "postures shown": str(len(postures))}
    for name in ("legs", "facing", "expression"):
        found[f"{name} shown"] = str(len({getattr(s.pose, name) for s in scenes}))
        found[f"{name} there"] = str(len(world.POSE_FACTORS[name]))
    return found


def parameters(folder: Path) -> int:
    """Numbers in all safetensors files of a folder, from their heads alone."""
    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        count += sum(int(np.prod(entry["shape"])) for name, entry in head.items() if name != "__metadata__")
    return count


def of_the_miniature(sources: Sources) -> dict[str, str]:
    parts = ("unet", "vae", "text_encoder", "text_encoder_2", "attribute_reader", "image_tower")
    counts = {part: parameters(sources.root / MINIATURE / part) for part in parts}
    unet, vae = (sources.json(f"{MINIATURE}/{part}/config.json") for part in ("unet", "vae"))
    names = sources.json(f"{MINIATURE}/vae/semantic_channels.json")
    scheduler = sources.json(f"{MINIATURE}/scheduler/scheduler_config.json")
    side = unet["sample_size"]
    return {
        **{f"{part.replace('_', ' ')} parameters": in_millions(count) for part, count in counts.items()},
        "pipeline parameters": in_millions(sum(counts[part] for part in parts[:4])),
        "latent side": str(side),
        "latent channels": str(unet["in_channels"]),
        "picture channels": str(names["first"]),
        "semantic channels": str(unet["in_channels"] - names["first"]),
        "picture side": str(side * 2 ** (len(vae["encoder_block_out_channels"]) - 1)),
        "training timesteps": f"{scheduler['num_train_timesteps']:,}",
        "prediction type": escaped(scheduler["prediction_type"]),
    }


def in_millions(count: int) -> str:
    return f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count / 1e3:.0f} thousand"


def of_pretraining(sources: Sources) -> dict[str, str]:
    found: dict[str, str] = {}
    for stage, name in {"vae": "vae", "unet": "unet", "clip": "clip", "attribute_reader": "reader"}.items():
        settings = sources.json(f"{PRETRAINED}/{stage}/{SETTINGS_FILE}")
        last = sources.lines(f"{PRETRAINED}/{stage}/{LOG_FILE}")[-1]
        batch = settings.get("batch_size") or settings["batch_pairs"]
        found |= {
            f"{name} steps": f"{last['step']:,}",
            f"{name} batch": str(batch),
            f"{name} samples": f"{last['step'] * batch:,}",
            f"{name} minutes": f"{last['seconds'] / 60:.0f}",
        }
    settings = sources.json(f"{PRETRAINED}/vae/{SETTINGS_FILE}")
    shares = {"latent noise": "latent_noise", "semantic noise": "semantic_noise", "strong noise": "strong_noise"}
    found |= {name: f"{settings[key]:g}" for name, key in shares.items()}
    unet = sources.json(f"{PRETRAINED}/unet/{SETTINGS_FILE}")
    found |= {"semantic weight": f"{unet['semantic_weight']:g}", "min snr gamma": f"{unet['min_snr_gamma']:g}"}
    found["unet widths"] = ", ".join(map(str, unet["widths"]))
    record = sources.json(f"{MINIATURE}/evaluation.json")
    return found | _of_evaluation(record) | _of_bars(card(dict(record)))


def _of_bars(lines: Sequence[str]) -> dict[str, str]:
    """How many of the bars in a model card's lines there are, and how many are met."""
    met = []
    for line in lines[2:]:
        bar, reached = (cell.strip().split() for cell in line.strip("|").split("|")[-2:])
        if bar:
            above = float(reached[0]) >= float(bar[1])
            met.append(above if bar[0] == "≥" else float(reached[0]) <= float(bar[1]))
    return {"bars set": str(len(met)), "bars met": str(sum(met))}


def _of_evaluation(record: Mapping[str, Any]) -> dict[str, str]:
    read, drawn, ceiling = (record[key] for key in ("reader_on_reconstructions", "drawn", "ceiling"))
    worst = min(read, key=read.__getitem__)
    least = min((name for name in world.POSE_FACTORS), key=drawn.__getitem__)
    return {
        "psnr": f"{record['vae_psnr']:.1f}",
        "color error": f"{record['unicorn_girl_ciede2000']:.1f}",
        "evaluation prompts": str(record["prompts"]),
        "sampling steps": str(record["sampling"]["steps"]),
        "sampling guidance": f"{record['sampling']['guidance']:g}",
        "attributes followed": f"{100 * drawn['attributes']:.1f}",
        "attributes ceiling": f"{100 * ceiling['attributes']:.1f}",
        "pose followed": f"{100 * drawn['pose']:.1f}",
        "pose ceiling": f"{100 * ceiling['pose']:.1f}",
        "expression followed": f"{100 * drawn['expression']:.1f}",
        "everything followed": f"{100 * drawn['everything']:.1f}",
        "everything ceiling": f"{100 * ceiling['everything']:.1f}",
        "weakest pose factor": least.replace("_", " "),
        "weakest pose factor followed": f"{100 * drawn[least]:.1f}",
        "reader mean": f"{100 * np.mean(list(read.values())):.1f}",
        "reader worst": worst.replace("_", " "),
        "reader worst share": f"{100 * read[worst]:.0f}",
        "seconds a picture": f"{record['seconds_a_picture']:.2f}",
    }


def of_speed(sources: Sources) -> dict[str, str]:
    record = sources.json("5_documents/benchmarks/finetuning_cpu.json")
    first = record["measurements"][0]
    rows = {row["name"]: row for row in first["rows"]}
    found = {
        "bench title": escaped(first["title"]),
        "bench machine": escaped(f"{record['machine']}, {record['threads']} thread" + "s" * (record["threads"] > 1)),
        "bench date": record["date"],
        "bench gigaflop": f"{first['demand']['flops'] / 1e9:.1f}",
        "bench pixels": str(first["work"]["pixels"]),
    }
    for name, words in {"engine": "engine", "engine, compiled": "compiled", "engine, prior predicted": "prior"}.items():
        if name in rows:
            speed, low, high = rows[name]["speedup"]
            found[f"{words} speedup"] = f"{speed:.2f} [{low:.2f}, {high:.2f}]"
    for name, words in {"diffusers' script": "script", "engine": "engine"}.items():
        found[f"{words} rate"] = f"{rows[name]['steps_per_second']:.2f}"
        found[f"{words} memory"] = f"{rows[name]['peak_bytes'] / 2**20:.0f}"
        found[f"{words} arithmetic"] = f"{100 * rows[name]['arithmetic_share']:.0f}"
    return found


def of_plans(sources: Sources) -> dict[str, str]:
    plans = sources.json("5_documents/benchmarks/plans.json")
    found = {"t4 memory": f"{named('t4').memory_gib:.1f}"}
    for plan in plans:
        if plan["gpu"] == "t4" and plan["fits"]:
            words = f"t4 {plan['base']} {plan['method']}"
            found |= {f"{words} minutes": f"{plan['seconds']['training'] / 60:.0f}",
                      f"{words} gib": f"{plan['needs_gib']:.1f}"}  # fmt: skip
    found["plan steps"] = str(plans[0]["steps"])
    return found


def of_words(sources: Sources) -> dict[str, str]:
    """What words alone reach on UnicornGirl, and other characters by chance."""
    rows = rows_of(sources.json("6_generated/dreambooth_lora/scores.json"))
    return {
        "careful named": percent(rows[CAREFUL]["identity_named"]),
        "careful unnamed": percent(rows[CAREFUL]["identity_unnamed"]),
        "floor unnamed": percent(rows[FLOOR]["identity_unnamed"]),
        "first trial psnr": sources.csv(f"{PRETRAINED}/trials.csv")[0]["remark"].split(";")[0].replace(" dB", r"\,dB"),
    }


def of_recipes() -> dict[str, str]:
    """The miniature's recipe of each method."""
    found = {}
    for method, words in {"dreambooth": "dreambooth", "lora": "lora", "dreambooth-lora": "both"}.items():
        values = preset_for("mini", method).values(method)
        found |= {f"{words} rate of learning": f"{values['learning_rate']:g}", f"{words} steps": str(values["steps"])}
    return found
