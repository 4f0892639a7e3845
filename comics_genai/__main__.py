"""The command line: python -m comics_genai COMMAND [--help]."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from comics_genai.errors import UserError
from comics_genai.output import tolerant


def demo(arguments: list[str]) -> None:
    """six drawings become new poses, with scores: execute the DreamBooth-LoRA notebook"""
    import tyro

    def run() -> None:
        """Execute the DreamBooth-LoRA notebook into 6_generated/ and print its scores; done before, only print.
        Then build the gallery of all that is in 6_generated/."""
        from comics_genai.notebooks.demo import demo
        from comics_genai.publishing.gallery import build

        print(demo())
        print(build().told)

    tyro.cli(run, args=arguments, prog="comics_genai demo")


def pretrain(arguments: list[str]) -> None:
    """train the miniature base from nothing: tokenizer, CLIP, VAE, attribute reader, UNet"""
    from comics_genai import pretrain

    pretrain.main(arguments)


def finetune(arguments: list[str]) -> int:
    """teach a base a character from its drawings"""
    from comics_genai.finetuning.command import main
    from comics_genai.publishing.uploading import uploading

    return main(arguments, uploading)


def generate(arguments: list[str]) -> None:
    """draw prompts × seeds with a fine-tuned character or a bare base"""
    import tyro

    from comics_genai import drawings, environment, hardware
    from comics_genai.bases.adapters import base_of, load_adapters, settings_of
    from comics_genai.bases.base import Base, Precision
    from comics_genai.evaluation.picture_scores import tell_generated
    from comics_genai.finetuning.presets import usual_sampling
    from comics_genai.plotting import figures
    from comics_genai.ranges import parse_seeds, refuse_renamed
    from comics_genai.sampling.generate import Sampling, generate

    @dataclass(frozen=True)
    class Generate:
        """Draw every prompt with every seed, by default as usual for the run or base; what is there stays."""

        run: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
        """folder of a finished fine-tuning, or OWNER/NAME of one on the Hub; several are combined, and without any
        the base draws alone"""
        prompt: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
        """a prompt; repeat the option for more"""
        seeds: str = "0-3"
        """numbers and ranges, such as 0-7 or 1,5,10-12"""
        base: str = ""
        """by default the run's, or else the miniature"""
        folder: Path | None = None
        """folder for the pictures; by default 6_generated/NAME OF THE RUN OR BASE"""
        start_image: Path | None = None
        """a drawing or sketch to start from; --strength 0.7 keeps little of it, --strength 0.3 much"""
        paper: str = "auto"
        """colour that fills its transparency; by default white, or a colour on which pale strokes show"""
        sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(default_factory=lambda: usual_sampling("mini"))
        precision: Precision | None = None
        """of the UNet; by default the run's, or else fp32"""
        device: str = ""
        """cpu, cuda, mps; by default the best there is"""

    refuse_renamed(arguments, {"--t0": "--strength", "--start": "--start-image"})
    given = tyro.cli(Generate, args=arguments, prog="comics_genai generate")
    settings = settings_of(given.run[0]) if given.run else {}
    base_name = given.base or base_of(given.run[0] if given.run else "", settings)
    usual = Sampling.of_record(settings["sampling"]) if "sampling" in settings else usual_sampling(base_name)
    given = tyro.cli(Generate, args=arguments, prog="comics_genai generate", default=Generate(sampling=usual))
    name = "+".join(Path(run).resolve().name for run in given.run or (base_name,))
    folder = given.folder or environment.generated() / name[:100]
    start = drawings.load_one(given.start_image, paper=given.paper) if given.start_image else None
    seeds = parse_seeds(given.seeds)
    precision = given.precision or settings.get("precision", "fp32")
    base = Base.load(base_name, given.device or hardware.device(), precision)
    adapters = load_adapters(base, given.run)
    pictures = generate(base, given.prompt, seeds, folder, given.sampling, adapters, start)
    if len(given.run) == 1:
        tell_generated(base, settings, pictures, folder)
    sheet = figures.save_grid([p.image for p in pictures], folder / "grid.png", columns=len(seeds))
    print(f"{len(pictures)} picture{' is' if len(pictures) == 1 else 's are'} in {folder}, all of them on {sheet}.")


def export(arguments: list[str]) -> None:
    """write an adapter for ComfyUI, A1111 and kohya's tools, or a whole pipeline"""
    import tyro

    from comics_genai import hardware
    from comics_genai.publishing.export import export

    @dataclass(frozen=True)
    class Export:
        """Write the adapter of a finished run under kohya's names, or with full weights a diffusers pipeline; and check
        the result by loading it again."""

        run: tyro.conf.Positional[Path]
        """folder of the run"""
        target: Path | None = None
        """file to write, by default RUN/NAME OF THE RUN.safetensors; with full weights a folder, RUN/pipeline"""
        device: str = ""
        """cpu, cuda, mps; by default the best there is"""

    given = tyro.cli(Export, args=arguments, prog="comics_genai export")
    written = export(given.run, given.target, given.device or hardware.device())
    print(f"The {'pipeline' if written.is_dir() else 'adapter'} is in {written}.")


def push(arguments: list[str]) -> None:
    """upload a run or drawings to the Hugging Face Hub"""
    import tyro

    from comics_genai.publishing.push import push

    @dataclass(frozen=True)
    class Push:
        """Upload a finished run with its card, or a folder of drawings as a data set; private without --public."""

        source: tyro.conf.Positional[Path]
        """folder of a run or of drawings"""
        repo: str
        """OWNER/NAME on the Hub, which is created if it is missing"""
        public: bool = False
        """let everyone see it"""
        checkpoint: bool = False
        """upload the newest checkpoint of an unfinished run, so that another machine can resume it"""
        pictures: Path | None = None
        """folder that `generate` drew into, for the card; by default 6_generated/NAME OF THE RUN"""
        licence: str = ""
        """such as cc-by-4.0; by default that of the run's base, and none for drawings"""

    given = tyro.cli(Push, args=arguments, prog="comics_genai push")
    options = {"public": given.public, "checkpoint": given.checkpoint}
    address = push(given.source, given.repo, **options, pictures=given.pictures, licence=given.licence)
    print(f"{given.source} is at {address}, {'public' if given.public else 'private'}.")


def score(arguments: list[str]) -> None:
    """score pictures of the comic world: identity, pose, copying"""
    from comics_genai.evaluation.folder_scores import main

    print(main(arguments))


def study(arguments: list[str]) -> None:
    """run a grid of methods, characters, seeds and settings into one table"""
    import tyro

    from comics_genai import hardware
    from comics_genai.studies.runner import run_study
    from comics_genai.training import distributed

    @dataclass(frozen=True)
    class Study:
        """Run every cell of a study that is not in its table yet; the same command resumes it. `accelerate launch`
        shares the cells among processes with one GPU each."""

        file: tyro.conf.Positional[Path]
        """a TOML file such as 4_finetuning/studies/comparison.toml; its table is NAME.jsonl beside it"""
        runs: Path = Path("runs/studies")
        """folder of weights and pictures"""
        device: str = ""
        """cpu, cuda, mps; by default the best there is"""

    given = tyro.cli(Study, args=arguments, prog="comics_genai study")
    own = distributed.work_alone()
    print(run_study(given.file, given.runs, given.device or own or hardware.device()).message)


def plan(arguments: list[str]) -> None:
    """will it fit this GPU, how long will it take, and with which recipe"""
    import tyro

    from comics_genai.planning import plan

    print(plan.main(tyro.cli(plan.PlanSettings, args=arguments, prog="comics_genai plan")))


def notebook(arguments: list[str]) -> None:
    """execute notebooks in place, each in a fresh kernel"""
    import tyro

    from comics_genai.notebooks.execute import execute_in_place

    def run(paths: tyro.conf.Positional[tuple[Path, ...]]) -> None:
        """Execute notebooks one after the other, with their parameters as they stand; one that fails stays as it was.

        Args:
            paths: the notebooks
        """
        if not paths:
            raise UserError("There is no notebook to execute: give the path of at least one.")
        for path in paths:
            print(execute_in_place(path), flush=True)

    tyro.cli(run, args=arguments, prog="comics_genai notebook")


def bench(arguments: list[str]) -> None:
    """how fast the engine fine-tunes, beside diffusers' script"""
    import tyro

    from comics_genai.bench import measure

    print(measure.main(tyro.cli(measure.BenchSettings, args=arguments, prog="comics_genai bench")))


def gallery(arguments: list[str]) -> None:
    """one page to browse, compare and pick what was generated"""
    import tyro

    from comics_genai.publishing.gallery import GallerySettings, build

    built = build(tyro.cli(GallerySettings, args=arguments, prog="comics_genai gallery"))
    for problem in built.problems:
        print(f"Note: {problem}", file=sys.stderr)
    print(built.told)


def badges(arguments: list[str]) -> None:
    """the set-up cell, and badges for Colab and Kaggle, in every notebook and the README"""
    import tyro

    from comics_genai.notebooks.opening import write_openings

    def run() -> None:
        """Write the set-up cell and the badges from what pyproject.toml says; outputs stay."""
        changed = write_openings()
        print(f"{len(changed)} files changed.", *changed, sep="\n")

    tyro.cli(run, args=arguments, prog="comics_genai badges")


def wheel(arguments: list[str]) -> None:
    """the package with the miniature and the drawings in one file, to attach on Kaggle"""
    import tyro

    from comics_genai.publishing.wheel import build

    def run(folder: Path | None = None) -> None:
        """Build the wheel.

        Args:
            folder: where it goes; by default dist/
        """
        built = build(folder)
        print(f"{built} takes {built.stat().st_size / 1e6:.0f} MB.")

    tyro.cli(run, args=arguments, prog="comics_genai wheel")


def tables(arguments: list[str]) -> None:
    """the README files' tables and findings, written from what runs left behind"""
    import tyro

    from comics_genai import environment
    from comics_genai.documents import readme_blocks

    def run() -> None:
        """Write the tables and findings of all README files anew, from the files that runs left behind."""
        changed = readme_blocks.write(environment.root())
        print("\n".join(map(str, changed)) or "Every table is as its files say.")

    tyro.cli(run, args=arguments, prog="comics_genai tables")


def report(arguments: list[str]) -> None:
    """the report and the slides anew, from what runs left behind"""
    import tyro

    from comics_genai.documents.build import main

    print(tyro.cli(main, args=arguments, prog="comics_genai report"))


def kaggle(arguments: list[str]) -> None:
    """a notebook with your parameters as a folder for `kaggle kernels push`"""
    from comics_genai.notebooks.execute import parameters_of
    from comics_genai.publishing import kaggle

    if not arguments or arguments[0].startswith("-"):
        raise UserError("Which notebook goes to Kaggle? Give its path first, then --user and its parameters.")
    notebook = Path(arguments[0])
    push, folder, parameters = kaggle.parsed(arguments[1:], parameters_of(notebook))
    written = kaggle.write(notebook, parameters, push, folder)
    print(
        f"kaggle datasets create -p {written / 'wheel'}   # once; later: datasets version -m new\n"
        f"kaggle kernels push -p {written / 'notebook'}\n"
        "Then, in the notebook's editor on Kaggle: Add-ons > Secrets, tick HF_TOKEN. No push can do that."
    )


COMMANDS: dict[str, Callable[[list[str]], int | None]] = {
    command.__name__: command
    for command in (
        *(demo, pretrain, finetune, generate, export, push, score, study, gallery, plan, notebook, bench),
        *(tables, report, kaggle, badges, wheel),
    )
} | {"push-drawings": push}  # one command sees what a folder holds


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join(["python -m comics_genai COMMAND [--help]", "", *lines])


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for a user's mistake, 130 when interrupted, 143 when stopped."""
    with tolerant():
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    name, *rest = arguments
    try:
        if name not in COMMANDS:
            raise UserError(f"There is no command {name!r}: choose one of {', '.join(COMMANDS)}.")
        return COMMANDS[name](rest) or 0
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
