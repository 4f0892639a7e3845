"""The command `finetune`: it takes settings from a preset and the options, and trains in a run folder.

python -m comics_genai finetune --preset sd15-t4 --method lora --drawings my_drawings --identifier Hoo --class owl
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from comics_genai import drawings, hardware
from comics_genai.bases.base import HUB_IDS
from comics_genai.errors import UserError
from comics_genai.finetuning import presets
from comics_genai.finetuning.checkpoint_scores import validation_metric
from comics_genai.finetuning.picked import with_picked
from comics_genai.finetuning.settings import EARLIER_NAMES, FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.finetuning.validation import Validate, chosen
from comics_genai.hub.runs import put_in_place, unfinished_run
from comics_genai.paths import file_name, from_elsewhere
from comics_genai.ranges import number, refuse_renamed
from comics_genai.run import checkpoint_files, finetuning_settings
from comics_genai.training.loop_settings import learning_rate_at
from comics_genai.training.stopping import exit_status


@dataclass(frozen=True)
class Finetune:
    """Teach a base a character from its drawings. The same command resumes an interrupted run."""

    settings: Annotated[FinetuneSettings, tyro.conf.arg(name="")] = field(default_factory=FinetuneSettings)
    preset: str = ""
    """mini, sd15-t4, sdxl-t4, noobai-t4, the same with -24gb, or sdxl-80gb: settings that fit that GPU; options change
    them"""
    print: bool = False
    """only print the settings"""
    add_picked: Path | None = None
    """list of pictures, saved in the gallery, that are added to the drawings with their prompts as captions"""
    run: Path | None = None
    """folder of the run; by default runs/IDENTIFIER-METHOD"""
    resume: Path | None = None
    """folder of a run to resume with its own settings; with a larger --steps it is trained past its end"""
    resume_from: str = ""
    """OWNER/NAME on the Hub of a run to resume with its own settings, as `push --checkpoint` uploaded it"""
    upload_to: str = ""
    """OWNER/NAME on the Hub, private, to which the newest checkpoint is uploaded during training"""
    upload_every: float = 10.0
    """minutes between two uploads"""
    device: str = ""
    """cpu, cuda, mps; by default the best there is"""


def main(arguments: list[str], uploading: Callable[[Path, str, float], AbstractContextManager[None]]) -> int:
    """Run `python -m comics_genai finetune` with these arguments; returns the exit status.

    uploading: a function of (run, repository, minutes) that returns a context in which the run's checkpoints are
    uploaded to the Hub.
    """
    given = parsed(arguments)
    holds, range_ = number(given.upload_every, 0, 1e6, "minutes", above=True)
    if not holds:
        raise UserError(f"upload_every is {given.upload_every}, but must be {range_}.")
    settings, device = given.settings, given.device or hardware.device()
    known = bool(given.preset or given.resume or given.resume_from)
    says_precision = known or any(argument.split("=")[0] == "--precision" for argument in arguments)
    if hardware.is_gpu(device) and not says_precision:
        settings = replace(settings, precision=hardware.precision(device))
    if given.add_picked:
        settings = with_picked(settings, given.add_picked)
    if given.print:
        print(lines(settings, given.preset))
        return 0
    if given.run and given.resume:
        raise UserError("--resume goes on in the run's own folder: leave --run out.")
    folder = given.run or given.resume or Path("runs") / f"{file_name(settings.identifier)}-{settings.method}".lower()
    if given.resume_from:
        put_in_place(unfinished_run(given.resume_from), folder, asdict(settings))
    if given.resume:
        _tell_schedule(settings, given.resume)
    settings, validate = _validated(settings, device) if settings.validate_every else (settings, None)
    sent = uploading(folder, given.upload_to, given.upload_every) if given.upload_to else nullcontext()
    try:
        with sent:
            result = finetune(settings, folder, device, validate, extend=given.resume is not None)
    except KeyboardInterrupt:
        saved = checkpoint_files(folder)
        goes_on = f"; the same command goes on from {saved[-1]}" if saved else " before anything was saved"
        print(f"Interrupted{goes_on}.", file=sys.stderr)
        return exit_status("SIGINT")
    print(result.message)
    if best := chosen(folder):
        print(f"Validation chose step {best['step']}; `generate` and `export` use its weights, {folder / 'best'}.")
    return exit_status(result.stopped_by)


def parsed(arguments: list[str]) -> Finetune:
    """The options. One that is not given has the preset's value, or the default without a preset."""
    # `class` is a keyword in Python, but not on a command line.
    renamed = ["--class-name" + a.removeprefix("--class") if a.split("=")[0] == "--class" else a for a in arguments]
    earlier = {"--" + option.replace("_", "-"): "--" + new.replace("_", "-") for option, new in EARLIER_NAMES.items()}
    refuse_renamed(renamed, earlier | {"--sampling.t0": "--sampling.strength"})
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="")
    first.add_argument("--method", default=FinetuneSettings.method)
    first.add_argument("--resume", default="")
    first.add_argument("--resume-from", "--resume_from", default="")
    said = first.parse_known_args(renamed)[0]
    default = Finetune(preset=said.preset)
    if sum(bool(value) for value in (said.preset, said.resume, said.resume_from)) > 1:
        raise UserError("A run goes on by its own settings: give one of --preset, --resume and --resume-from.")
    if said.resume:
        default = replace(default, settings=FinetuneSettings.of_run(finetuning_settings(Path(said.resume))))
    if said.resume_from:
        options = {argument.split("=")[0].replace("_", "-") for argument in renamed}
        default = replace(default, settings=_of_the_hub(said.resume_from, options))
    if said.preset:
        default = replace(default, settings=FinetuneSettings(**presets.preset(said.preset).values(said.method)))
    return tyro.cli(Finetune, args=renamed, prog="comics_genai finetune", default=default)


def lines(settings: FinetuneSettings, preset: str) -> str:
    """The settings as lines "name = value"."""
    values: dict[str, Any] = asdict(settings)
    values |= {f"sampling.{name}": value for name, value in values.pop("sampling").items()}
    title = [f"{preset}: {presets.preset(preset).about}"] if preset else []
    return "\n".join([*title, *(f"  {name} = {value}" for name, value in values.items())])


def _of_the_hub(name: str, options: set[str]) -> FinetuneSettings:
    """The settings of an unfinished run on the Hub, which must not name a folder of this machine.

    options: the options that the user gives, whose settings are therefore not checked.
    """
    settings = FinetuneSettings.of_run(finetuning_settings(unfinished_run(name), name))
    own = {"drawings": {FinetuneSettings.drawings}, "base": {"mini", *HUB_IDS}}
    own |= {"validation_clip": set(), "validation_dino": set()} if settings.validate_every else {}
    own |= {"gallery": {FinetuneSettings.gallery}} if settings.picked else {}
    for field_name, known in own.items():
        option = "--" + field_name.replace("_", "-")
        if option not in options:
            from_elsewhere(getattr(settings, field_name), frozenset(known), f"The run {name}", option)
    return settings


def _tell_schedule(settings: FinetuneSettings, folder: Path) -> None:
    """Print the learning rates of a run that gets more steps than it was started with."""
    before = finetuning_settings(folder).get("steps")
    if isinstance(before, int) and before < settings.steps:
        loop = settings.loop()
        print(
            f"The run goes on from step {before} to {settings.steps}: its learning rate follows the schedule "
            f"{settings.schedule} over all {settings.steps}, from {learning_rate_at(loop, before):.3g} to "
            f"{learning_rate_at(loop, settings.steps - 1):.3g}.",
            flush=True,
        )


def _validated(settings: FinetuneSettings, device: Any) -> tuple[FinetuneSettings, Validate | None]:
    """The settings with validation prompts, and the metric that scores their pictures.

    The metric is None if the user's own prompts ask for something that it cannot score.
    """
    networks = {"clip": settings.validation_clip, "dino": settings.validation_dino, "device": device}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `finetune` loads the drawings too, and warns then
        character = drawings.load(settings.drawings, paper=settings.paper, caption_column=settings.caption_column)
    own = settings.validation_prompts
    metric = validation_metric(character, settings.identifier, settings.class_name, **networks, own=own)
    settings = replace(settings, validation_prompts=own or metric.prompts)
    return settings, metric if settings.validation_prompts == metric.prompts else None
