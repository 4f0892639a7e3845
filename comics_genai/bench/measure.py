"""The command `bench`: measure fine-tuning and write the results."""

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from comics_genai import environment, hardware
from comics_genai.bases.base import Base
from comics_genai.bench import machine, report
from comics_genai.bench.turns import Measured, speedup, take_turns
from comics_genai.bench.workload import Side, Workload, lay_out, random_base
from comics_genai.errors import UserError

SCRIPT = Side("diffusers' script", "script")
ENGINE = Side("engine", "engine")
COMPILED = Side("engine, compiled", "engine", compile=True)
PREDICTED = Side("engine, prior predicted", "engine", prior="prediction")
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate")


@dataclass(frozen=True)
class BenchSettings:
    """What to measure, and for how long. Raises UserError for a value out of its range."""

    script: Path | None = None
    """train_dreambooth_lora_sdxl.py of diffusers; without it the engine is measured alone"""
    base: str = "mini"
    """the miniature, or a diffusers folder of an SDXL-like base"""
    gpu: bool = False
    """measure SDXL and Stable Diffusion 1.5 on a GPU, in full size with random weights"""
    architectures: tuple[str, str] = ("sdxl", "sd15")
    """bases of the GPU's measurements; with folders of small bases it is a rehearsal"""
    device: str = ""
    """cpu or cuda; by default the best there is with --gpu, and the CPU without"""
    threads: int = 0
    """0 = all cores there are"""
    rounds: int = 24
    """number of rounds; in each, every side takes a turn"""
    steps: int = 5
    """steps in each turn"""
    precisions: tuple[str, ...] = ("bf16", "fp32")
    batch: int = 6
    """drawings in each step on the CPU; prior preservation adds as many class pictures"""
    rank: int = 16
    compiled: tuple[str, ...] = ("bf16",)
    """precisions in which the compiled engine is also measured"""
    folder: Path | None = None
    """folder for the JSON and its README; by default 5_documents/benchmarks"""

    def __post_init__(self) -> None:
        if self.script is not None and not Path(self.script).is_file():
            raise UserError(
                f"There is no script {self.script}: fetch examples/dreambooth/train_dreambooth_lora_sdxl.py of "
                "https://github.com/huggingface/diffusers, or leave it out to measure the engine alone."
            )
        for name in ("rounds", "steps", "batch", "rank"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        if self.threads < 0:
            raise UserError(f"threads is {self.threads}, but must be 0 (all cores) or more.")


def main(settings: BenchSettings) -> str:
    """Measure, write JSON and README, and return the table."""
    device = settings.device or (hardware.device().type if settings.gpu else "cpu")
    threads = settings.threads or hardware.available_cores()
    folder = settings.folder or environment.root() / "5_documents" / "benchmarks"
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "command": report.command(settings),
        "machine": machine.describe(device),
        "threads": threads,
        "versions": {name: version(name) for name in LIBRARIES},
        "measurements": [],
    }
    with tempfile.TemporaryDirectory(prefix="bench.") as temporary:
        for title, work, sides in _cases(settings, device, Path(temporary)):
            try:
                measured = _measure(settings, title, work, sides, threads)
            except UserError as error:  # the others may still be measured
                measured = {"title": title, "failed": str(error)}
            print(report.table(measured), flush=True)
            result["measurements"].append(measured)
            written = report.write(result, folder, "gpu" if settings.gpu else "cpu")
    return f"Written: {written}."


def _cases(settings: BenchSettings, device: str, folder: Path) -> Iterator[tuple[str, Workload, list[Side]]]:
    scripts = [SCRIPT] if settings.script else []
    drawings = str(environment.data() / "unicorn_girl")
    if not settings.gpu:
        base = str(environment.data() / "mini_sdxl" if settings.base == "mini" else Path(settings.base).resolve())
        work = Workload(base, Base.load(base).size, drawings, settings.batch, settings.rank, device=device)
        for precision in settings.precisions:
            title = f"DreamBooth+LoRA of {Path(base).name}, {precision}"
            compiled = [COMPILED] if precision in settings.compiled else []
            yield title, replace(work, precision=precision), [*scripts, ENGINE, *compiled, PREDICTED]
        return
    for name in settings.architectures:
        base = str(random_base(name, folder / Path(name).name, device))
        size, has_script = Base.load(base).size, scripts if (Path(base) / "text_encoder_2").is_dir() else []
        precision = hardware.precision(device) if device == "cuda" else "bf16"
        compiled = [COMPILED] if precision in settings.compiled else []
        lora = Workload(base, size, drawings, 1, settings.rank, precision, "lora", learning_rate=1e-4, device=device)
        for kept, work in (("", lora), (" with checkpointing", replace(lora, checkpointing=True))):
            yield f"LoRA of {Path(name).name} at {size} px{kept}", work, [*has_script, ENGINE, *compiled]
        # Adafactor's moments are sums over rows and columns, and gradients go as they come.
        whole = replace(lora, method="dreambooth", checkpointing=True, optimizer="adafactor", fused_backward=True)
        yield f"all weights of {Path(name).name} at {size} px, Adafactor in the backward pass", whole, [ENGINE]


def _measure(settings: BenchSettings, title: str, work: Workload, sides: list[Side], threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench.") as temporary, warnings.catch_warnings(action="ignore"):
        folder = Path(temporary)
        lay_out(work, folder)
        script = settings.script and Path(settings.script).resolve()
        measured = take_turns(work, sides, folder, script, settings.rounds, settings.steps, threads)
        ceilings, demand = machine.ceilings(work.precision, work.device, threads), machine.demand(work)
    rows = [_row(side, measured[side.name], measured.get(SCRIPT.name), ceilings, demand) for side in sides]
    told = asdict(work) | {name: Path(getattr(work, name)).name for name in ("base", "drawings")}
    record = {"title": title, "work": told, "rounds": settings.rounds, "steps": settings.steps, "rows": rows}
    return record | {"ceilings": asdict(ceilings), "demand": asdict(demand)}


def _row(
    side: Side, measured: Measured, script: Measured | None, ceilings: machine.Ceilings, demand: machine.Demand
) -> dict[str, Any]:
    row = {
        "name": side.name,
        "steps_per_second": 1 / measured.seconds,
        "peak_bytes": measured.peak_bytes,
        "startup_seconds": measured.startup,
        "seconds": measured.rounds,
    }
    # The count does not include the prediction of the frozen base.
    if side.prior == "images":
        row["arithmetic_share"] = demand.flops / ceilings.flops / measured.seconds
        row["bandwidth_share"] = demand.bytes / ceilings.bandwidth / measured.seconds
    if script is not None and measured is not script:
        row["speedup"] = speedup(script, measured)
    return row
