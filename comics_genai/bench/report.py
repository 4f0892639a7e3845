"""Report a measurement as a table, as JSON, and in the README of its folder."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from comics_genai.files import write_atomic

MIB = 2**20
NAMES = {"cpu": "finetuning_cpu.json", "gpu": "finetuning_gpu.json"}


def command(settings: Any) -> str:
    """The command that repeats the measurement, with the options that differ from the defaults."""
    given = []
    for each in fields(settings):
        value = getattr(settings, each.name)
        if value == each.default or each.name == "folder":
            continue
        flag = "--" + each.name.replace("_", "-")
        if isinstance(value, bool):
            given.append(flag if value else "--no-" + flag.removeprefix("--"))
        else:
            values = value if isinstance(value, tuple) else [value]
            given.append(" ".join([flag, *(v.name if isinstance(v, Path) else str(v) for v in values)]))
    return " ".join(["python -m comics_genai bench", *given])


def table(measurement: dict[str, Any]) -> str:
    """A measurement as a Markdown table."""
    if "failed" in measurement:
        return f"{measurement['title']}: not measured, {measurement['failed']}"
    lines = [
        "| " + measurement["title"] + " | steps/s | against the script | peak MiB | first step after | of arithmetic |",
        "|---|---|---|---|---|---|",
    ]
    for row in measurement["rows"]:
        against = "×{:.2f} [{:.2f}, {:.2f}]".format(*row["speedup"]) if "speedup" in row else ""
        share = f"{row['arithmetic_share']:.0%}" if "arithmetic_share" in row else ""
        lines.append(
            f"| {row['name']} | {row['steps_per_second']:.2f} | {against} | {row['peak_bytes'] / MIB:.0f} "
            f"| {row['startup_seconds']:.0f} s | {share} |"
        )
    return "\n".join(lines)


def limits(measurement: dict[str, Any]) -> str:
    """A sentence on what a step needs and what the machine can do."""
    demand, ceilings = measurement["demand"], measurement["ceilings"]
    arithmetic, traffic = demand["flops"] / ceilings["flops"], demand["bytes"] / ceilings["bandwidth"]
    return (
        f"A step is {demand['flops'] / 1e9:.1f} GFLOP and moves {demand['bytes'] / 1e9:.2f} GB, counted operation by "
        f"operation. Large products reach {ceilings['flops'] / 1e9:.0f} GFLOP/s in {measurement['work']['precision']} "
        f"and copying {ceilings['bandwidth'] / 1e9:.0f} GB/s here, so that it takes at least {arithmetic * 1e3:.0f} ms "
        f"of arithmetic, and {traffic * 1e3:.0f} ms of traffic where nothing stays in a cache or is fused."
    )


def write(result: dict[str, Any], folder: Path, kind: str) -> Path:
    """Write the JSON of a run on a "cpu" or "gpu", and the README of all JSON files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / NAMES[kind], (json.dumps(result, indent=1) + "\n").encode())
    write_atomic(folder / "README.md", readme(folder).encode())
    return folder / NAMES[kind]


def readme(folder: Path) -> str:
    """The README of the JSON files in `folder`."""
    parts = ["# How fast fine-tuning is", INTRODUCTION]
    for kind, name in NAMES.items():
        if not (folder / name).exists():
            parts.append(f"No figure of a {kind.upper()} has been measured yet: {HOW[kind]}")
            continue
        result = json.loads((folder / name).read_text("utf-8"))
        versions = ", ".join(f"{library} {version}" for library, version in result["versions"].items())
        threads = f"{result['threads']} thread" + "s" * (result["threads"] > 1)
        parts.append(
            f"{result['machine']}, {threads}, {versions}, {result['date']} "
            f"([{name}]({name})):\n\n```sh\n{result['command']}\n```"
        )
        for measurement in result["measurements"]:
            parts.append(table(measurement))
            if "failed" not in measurement:
                parts.append(limits(measurement))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """Written by the measurement itself. The script is `train_dreambooth_lora_sdxl.py` of diffusers, as it
was fetched; what it lacks here is stood in for: torchvision's transforms by the same on Pillow, and where a base's
VAE is an AutoencoderTiny, as the miniature's is, that one takes the place of an AutoencoderKL. Both sides have the
same base, batch, size, precision, rank and threads, the same drawings and class pictures, AdamW without a schedule,
and for the script one prompt for all drawings, the case in which it encodes prompts but once. They take turns of a
few steps, each in a process of its own that waits meanwhile; ratios are of median steps with 95 % intervals over
turns. *Prior predicted* is this project's default, for which no class pictures need be drawn: it costs one more
forward pass. Peaks are of resident memory on a CPU, of allocated memory on a GPU. The first step is counted from the
start of the process, with all imports, loading and encoding, and where nothing is left of it in torch's cache with
compiling; it is part of no rate."""

HOW = {
    "cpu": "`make bench SCRIPT=train_dreambooth_lora_sdxl.py` measures it.",
    "gpu": "`python -m comics_genai bench --gpu --script train_dreambooth_lora_sdxl.py` measures SDXL and Stable "
    "Diffusion 1.5 in full size on the GPU where it runs. It was rehearsed on a CPU with tiny models only.",
}
