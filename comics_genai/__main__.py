"""The command line: python -m comics_genai COMMAND [--help]."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from comics_genai.errors import UserError


def demo(arguments: list[str]) -> None:
    """six drawings become new poses, with scores: execute the DreamBooth-LoRA notebook"""
    import tyro

    def run() -> None:
        """Execute the DreamBooth-LoRA notebook into 6_generated/ and print its scores; done before, only print."""
        from comics_genai.demo import demo

        print(demo())

    tyro.cli(run, args=arguments, prog="comics_genai demo")


def pretrain(arguments: list[str]) -> None:
    """train the miniature base from nothing: tokenizer, CLIP, VAE, scorer, UNet"""
    from comics_genai import pretrain

    pretrain.main(arguments)


def finetune(arguments: list[str]) -> None:
    """teach a base a character from its drawings"""
    import tyro

    from comics_genai import drawings, where
    from comics_genai.finetune import FinetuneSettings, chosen, finetune
    from comics_genai.judge import judge_of

    @dataclass(frozen=True)
    class Finetune:
        """Teach a base a character from its drawings; started again, go on where it was."""

        settings: Annotated[FinetuneSettings, tyro.conf.arg(name="")] = field(default_factory=FinetuneSettings)
        run: Path | None = None
        """folder of the run; by default runs/IDENTIFIER-METHOD"""
        device: str = ""
        """cpu, cuda, mps; by default the best there is"""

    # `class` is a keyword in Python, but not on a command line.
    renamed = ["--class-name" + a.removeprefix("--class") if a.split("=")[0] == "--class" else a for a in arguments]
    given = tyro.cli(Finetune, args=renamed, prog="comics_genai finetune")
    folder = given.run or Path("runs") / f"{given.settings.identifier}-{given.settings.method}".lower()
    settings, judge = given.settings, None
    if settings.validate_every and not settings.validation_prompts:
        judge = judge_of(drawings.load(settings.drawings), settings.identifier, settings.class_name)
        settings = replace(settings, validation_prompts=judge.prompts)
    result = finetune(settings, folder, given.device or where.device(), judge)
    print(result.message)
    if best := chosen(folder):
        print(f"Validation chose step {best['step']}; `generate` and `export` use its weights, {folder / 'best'}.")


def generate(arguments: list[str]) -> None:
    """draw prompts × seeds with a fine-tuned character or a bare base"""
    import tyro

    from comics_genai import figures, where
    from comics_genai.base import Base, Precision
    from comics_genai.generate import Sampling, generate, load_adapter, run_settings

    @dataclass(frozen=True)
    class Generate:
        """Draw every prompt with every seed; pictures already there are kept."""

        run: Annotated[str, tyro.conf.Positional] = ""
        """folder of a finished fine-tuning, or OWNER/NAME of one on the Hub; without one, the base alone draws"""
        prompt: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
        """give it once for each prompt"""
        seeds: str = "0-3"
        """numbers and ranges, such as 0-7 or 1,5,10-12"""
        base: str = ""
        """by default the run's, or else the miniature"""
        folder: Path | None = None
        """where the pictures go; by default 6_generated/NAME OF THE RUN OR BASE"""
        sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(default_factory=Sampling)
        precision: Precision | None = None
        """of the UNet; by default the run's, or else fp32"""
        device: str = ""
        """cpu, cuda, mps; by default the best there is"""

    given = tyro.cli(Generate, args=arguments, prog="comics_genai generate")
    settings = run_settings(given.run) if given.run else {}
    base_name = given.base or settings.get("base", "mini")
    folder = given.folder or where.generated() / Path(given.run or base_name).resolve().name
    seeds = parse_seeds(given.seeds)
    base = Base.load(base_name, given.device or where.device(), given.precision or settings.get("precision", "fp32"))
    adapter = load_adapter(base, given.run) if given.run else None
    pictures = generate(base, given.prompt, seeds, folder, given.sampling, adapter)
    sheet = figures.save_grid([p.image for p in pictures], folder / "grid.png", columns=len(seeds))
    print(f"{len(pictures)} pictures are in {folder}, all of them on {sheet}.")


def export(arguments: list[str]) -> None:
    """write an adapter for ComfyUI, A1111 and kohya's tools"""
    import tyro

    from comics_genai import where
    from comics_genai.export import export

    @dataclass(frozen=True)
    class Export:
        """Write the adapter of a finished LoRA run under kohya's names, and prove the file by loading it again."""

        run: tyro.conf.Positional[Path]
        """folder of the run"""
        target: Path | None = None
        """file to write; by default RUN/NAME OF THE RUN.safetensors"""
        device: str = ""
        """cpu, cuda, mps; by default the best there is"""

    given = tyro.cli(Export, args=arguments, prog="comics_genai export")
    print(f"The adapter is in {export(given.run, given.target, given.device or where.device())}.")


def score(arguments: list[str]) -> None:
    """score pictures of the comic world: identity, pose, copying"""
    import tyro

    from comics_genai import score

    print(score.score_folder(tyro.cli(score.ScoreSettings, args=arguments, prog="comics_genai score")))


def plan(arguments: list[str]) -> None:
    """will it fit this GPU, how long will it take, and with which recipe"""
    import tyro

    from comics_genai import plan

    print(plan.main(tyro.cli(plan.PlanSettings, args=arguments, prog="comics_genai plan")))


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    command.__name__: command for command in (demo, pretrain, finetune, generate, export, score, plan)
}


def parse_seeds(text: str) -> list[int]:
    """Seeds of "0-7" or "1,5,10-12". Raises UserError for anything else."""
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        seeds = []
    if not seeds:
        raise UserError(f"The seeds {text!r} cannot be read: give numbers and ranges, such as 0-7 or 1,5,10-12.")
    return seeds


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join(["python -m comics_genai COMMAND [--help]", "", *lines])


def _show_warning(message: Any, *where: Any, **more: Any) -> None:
    print(f"Note: {message}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for a user's mistake, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    name, *rest = arguments
    warnings.showwarning = _show_warning
    try:
        if name not in COMMANDS:
            raise UserError(f"There is no command {name!r}: choose one of {', '.join(COMMANDS)}.")
        COMMANDS[name](rest)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
