"""The command `finetune`: settings from a preset and the options beside it, a run folder, and what validation scores.

python -m comics_genai finetune --preset sd15-t4 --method lora --drawings my_drawings --identifier Hoo --class owl
"""

import argparse
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from comics_genai import drawings, environment, hub_runs
from comics_genai.bases.adapters import run_settings
from comics_genai.finetuning import presets
from comics_genai.finetuning.checkpoint_scores import judge_of
from comics_genai.finetuning.picked import with_picked
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.finetuning.validation import Validate, chosen
from comics_genai.ranges import refuse_renamed


@dataclass(frozen=True)
class Finetune:
    """Teach a base a character from its drawings; started again, go on where it was."""

    settings: Annotated[FinetuneSettings, tyro.conf.arg(name="")] = field(default_factory=FinetuneSettings)
    preset: str = ""
    """mini, sd15-t4, sdxl-t4, noobai-t4, the same with -24gb, or sdxl-80gb: settings that fit that GPU, which options
    change"""
    print: bool = False
    """only print the settings"""
    add_picked: Path | None = None
    """list of pictures that was saved in the gallery: they join the drawings, their prompts as captions"""
    run: Path | None = None
    """folder of the run; by default runs/IDENTIFIER-METHOD"""
    resume_from: str = ""
    """OWNER/NAME on the Hub that `push --checkpoint` went to: go on with that run, with its settings"""
    upload_to: str = ""
    """OWNER/NAME on the Hub, private: its newest checkpoint goes there while training goes on"""
    upload_every: float = 10.0
    """minutes between two uploads"""
    device: str = ""
    """cpu, cuda, mps; by default the best there is"""


def main(arguments: list[str], uploading: Callable[[Path, str, float], AbstractContextManager[None]]) -> None:
    """What `python -m comics_genai finetune` does with these arguments.

    uploading: (run, repository, minutes) to a context in which the run's checkpoints go up to the Hub.
    """
    given = parsed(arguments)
    settings, device = given.settings, given.device or environment.device()
    says_precision = bool(given.preset) or any(argument.split("=")[0] == "--precision" for argument in arguments)
    if environment.is_gpu(device) and not says_precision:
        settings = replace(settings, precision=environment.precision(device))
    if given.add_picked:
        settings = with_picked(settings, given.add_picked)
    if given.print:
        print(lines(settings, given.preset))
        return
    if given.resume_from:
        unfinished = hub_runs.unfinished_run(given.resume_from)
        settings = _resumed(settings, unfinished)
    folder = given.run or Path("runs") / f"{settings.identifier}-{settings.method}".lower()
    if given.resume_from:
        hub_runs.put_in_place(unfinished, folder)
    settings, validate = _validated(settings, device) if settings.validate_every else (settings, None)
    sent = uploading(folder, given.upload_to, given.upload_every) if given.upload_to else nullcontext()
    with sent:
        print(finetune(settings, folder, device, validate).message)
    if best := chosen(folder):
        print(f"Validation chose step {best['step']}; `generate` and `export` use its weights, {folder / 'best'}.")


def parsed(arguments: list[str]) -> Finetune:
    """The options; those that are not given are the preset's, or else the defaults."""
    # `class` is a keyword in Python, but not on a command line.
    renamed = ["--class-name" + a.removeprefix("--class") if a.split("=")[0] == "--class" else a for a in arguments]
    refuse_renamed(renamed, {"--sampling.t0": "--sampling.strength"})
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="")
    first.add_argument("--method", default=FinetuneSettings.method)
    said = first.parse_known_args(renamed)[0]
    default = Finetune(preset=said.preset)
    if said.preset:
        default = replace(default, settings=FinetuneSettings(**presets.preset(said.preset).values(said.method)))
    return tyro.cli(Finetune, args=renamed, prog="comics_genai finetune", default=default)


def lines(settings: FinetuneSettings, preset: str) -> str:
    """The settings as lines "name = value"."""
    values: dict[str, Any] = asdict(settings)
    values |= {f"sampling.{name}": value for name, value in values.pop("sampling").items()}
    title = [f"{preset}: {presets.preset(preset).about}"] if preset else []
    return "\n".join([*title, *(f"  {name} = {value}" for name, value in values.items())])


def _resumed(settings: FinetuneSettings, unfinished: Path) -> FinetuneSettings:
    """The settings of an unfinished run; where drawings and base lie, and how long there is, may differ here."""
    here = {
        name: value
        for name in ("drawings", "base", "max_minutes")
        if (value := getattr(settings, name)) != getattr(FinetuneSettings, name)
    }
    return replace(FinetuneSettings.of_run(run_settings(unfinished)), **here)


def _validated(settings: FinetuneSettings, device: Any) -> tuple[FinetuneSettings, Validate | None]:
    """The settings with prompts for validation, and what scores their pictures; None for a user's own prompts, which
    ask for what cannot be scored."""
    networks = {"clip": settings.judge_clip, "dino": settings.judge_dino, "device": device}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `finetune` loads the drawings too, and tells of them
        character = drawings.load(settings.drawings, paper=settings.paper, caption_column=settings.caption_column)
    own = settings.validation_prompts
    judge = judge_of(character, settings.identifier, settings.class_name, **networks, own=own)
    settings = replace(settings, validation_prompts=own or judge.prompts)
    return settings, judge if settings.validation_prompts == judge.prompts else None
