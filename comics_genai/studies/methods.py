"""Train each kind of method and draw with it; earlier trainings and pictures are used, not made again.

    bench = Workbench(grid, folder, "cpu")
    trained = bench.train(cell, subject)
    pictures = bench.draw(cell, subject, trained)
"""

import shutil
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import PIL.Image
import safetensors
import torch

from comics_genai import drawings, hardware, world
from comics_genai.baselines import ddpm, gan
from comics_genai.baselines.data import prepare as prepare_pixels
from comics_genai.bases.adapters import load_adapters
from comics_genai.bases.base import Base
from comics_genai.drawings.captions import subject as named_subject
from comics_genai.evaluation import comparison
from comics_genai.finetuning.encoded_data import TrainingData, prepare
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.run import CHECKPOINTS, FULL_FILE, LORA_FILE
from comics_genai.sampling.generate import generate
from comics_genai.sampling.records import read_image, read_record, write_metadata, write_picture
from comics_genai.studies.cast import Subject
from comics_genai.studies.grid import FINETUNED, PROMPTED, SCRATCH, Cell, Grid, digest, training_id
from comics_genai.training.checkpoint import Log
from comics_genai.training.loop import TrainResult

REMEMBERED = 4  # number of encoded sets of drawings in memory


class Stopped(KeyboardInterrupt):
    """A training was stopped. It resumes when the study is started again."""


@dataclass(frozen=True)
class Trained:
    """A finished training: its folder, its seconds over all starts, and its number of trained parameters."""

    folder: Path
    seconds: float
    parameters: int


class Workbench:
    """The base, loaded once, and every training and picture of a study in one folder."""

    def __init__(self, grid: Grid, folder: Path, device: str | torch.device = "cpu"):
        self.grid, self.folder, self.device = grid, Path(folder), torch.device(device)
        self._encoded: OrderedDict[str, TrainingData] = OrderedDict()
        self._loaded: Path | None = None
        self._base_likeness: dict[tuple[int, str], float] = {}

    @cached_property
    def base(self) -> Base:
        precision = hardware.precision(self.device) if self.device.type == "cuda" else "fp32"
        return Base.load(self.grid.base, self.device, precision)

    def train(self, cell: Cell, subject: Subject) -> Trained:
        """Train what the cell needs, or resume it. Raises Stopped if a signal stopped the training."""
        folder = self.folder / "trained" / training_id(cell, self.grid.base, self.base.digest())
        run = self._finetune if cell.kind in FINETUNED else self._scratch
        result = run(cell, subject, folder)
        if not result.finished:
            raise Stopped(result.message)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # of many runs they would fill the disk
        rows = Log(folder).rows()
        with safetensors.safe_open(folder / FULL_FILE, framework="pt") as file:
            parameters = sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())
        return Trained(folder, max((row["seconds"] for row in rows), default=0.0), parameters)

    def _finetune(self, cell: Cell, subject: Subject, folder: Path) -> TrainResult:
        settings = cell.finetuning(self.grid.base, str(subject.drawings))
        # This is written last: a process may be killed after the weights and before the adapter.
        if (folder / (FULL_FILE if settings.method == "dreambooth" else LORA_FILE)).exists():
            return TrainResult(settings.steps, True, 0.0, "")
        self._loaded = None  # training removes adapters that are loaded
        lent = self.base if settings.weights_precision == self.base.precision else None  # full weights are fp32
        return finetune(settings, folder, self.device, base=lent, encode=self._encode)

    def _encode(
        self, base: Base, character: Sequence[drawings.Drawing], settings: FinetuneSettings, cache: Path
    ) -> TrainingData:
        """`encoded_data.prepare` with a cache: runs that differ in method, rate or steps need the same data."""
        if settings.learn_token:  # its prompts contain the run's own token
            return prepare(base, character, settings, cache)
        names = ("drawings", "caption_column", "paper", "identifier", "class_name", "size", "variants", "mirror")
        names += ("seed", "left_out", "background_weight", "preserves_prior", "prior", "class_images", "sampling")
        names += ("picked", "gallery")
        key = digest([str(getattr(settings, name)) for name in names])
        if key not in self._encoded:
            self._encoded[key] = prepare(base, character, settings, cache)
            while len(self._encoded) > REMEMBERED:
                self._encoded.popitem(last=False)
        return self._encoded[key]

    def _scratch(self, cell: Cell, subject: Subject, folder: Path) -> TrainResult:
        settings = cell.baseline()
        pixels = prepare_pixels(subject.references, settings.size)
        train = gan.train_gan if isinstance(settings, gan.GanSettings) else ddpm.train_ddpm
        return train(settings, pixels, folder, device=self.device)

    def draw(self, cell: Cell, subject: Subject, trained: Trained | None) -> list[PIL.Image.Image]:
        """The pictures of a cell, prompt by prompt with the grid's noise seeds; bounds have one picture a prompt."""
        if cell.kind in SCRATCH:
            return self._from_scratch(cell, trained)
        if cell.kind not in (*FINETUNED, *PROMPTED):
            bounds = comparison.bounds(self._unadapted(), subject.scenes)
            return bounds[comparison.CEILING if cell.kind == "true_drawings" else comparison.FLOOR]
        self._load(trained.folder if trained else None)
        prompts = subject.prompts(self.subject(cell, subject))
        folder = self.pictures_folder(cell, trained)
        made = generate(self.base, prompts, range(self.grid.noise), folder, cell.sampling(), self.base.adapters)
        return [picture.image for picture in made]

    def subject(self, cell: Cell, subject: Subject) -> str:
        """The subject of the prompts."""
        careful = world.careful_subject(subject.character)
        if cell.kind == "careful_prompt":
            return careful
        settings = cell.finetuning(self.grid.base, "") if cell.kind in FINETUNED else FinetuneSettings()
        if cell.words == "name":
            return named_subject(settings.identifier, settings.class_name)
        return careful if cell.words == "careful" else f"{settings.identifier}, {careful}"

    def pictures_folder(self, cell: Cell, trained: Trained | None) -> Path:
        name = trained.folder.name if trained else f"{cell.kind}-{cell.character}"
        return self.folder / "pictures" / f"{name}-{digest([asdict(cell.sampling()), cell.words, self.grid.half])}"

    def drift(self, cell: Cell, subject: Subject, trained: Trained) -> float | None:
        """How much more of the character there is in other girls than with the base alone; 0 = the prior holds."""
        if not subject.others or cell.kind not in FINETUNED:
            return None
        sampling = cell.sampling()

        def likeness(folder: Path) -> float:
            made = generate(self.base, subject.others, [0], folder, sampling, self.base.adapters)
            return subject.likeness([picture.image for picture in made])

        name = f"others-{digest(asdict(sampling))}"
        untrained = (subject.number, name)
        if untrained not in self._base_likeness:
            self._load(None)
            self._base_likeness[untrained] = likeness(self.folder / "pictures" / name)
        self._load(trained.folder)
        tuned = likeness(self.folder / "pictures" / f"{trained.folder.name}-{name}")
        return tuned - self._base_likeness[untrained]

    def _load(self, run: Path | None) -> None:
        if self._loaded != run:
            load_adapters(self.base, [run] if run else [])
            self._loaded = run

    def _unadapted(self) -> Base:
        self._load(None)
        return self.base

    def _from_scratch(self, cell: Cell, trained: Trained) -> list[PIL.Image.Image]:
        folder, count = self.pictures_folder(cell, trained), self.grid.prompts * self.grid.noise
        records = [
            {"file_name": f"{i:04d}.png", "prompt": "", "model": cell.kind, "seed": 1, "index": i, "count": count}
            for i in range(count)
        ]
        if any(read_record(folder / record["file_name"]) != record for record in records):
            for record, picture in zip(records, self._sampled(cell, trained, count), strict=True):
                write_picture(folder / record["file_name"], picture, record)
            write_metadata(folder, records)
        return [read_image(folder / record["file_name"]) for record in records]

    def _sampled(self, cell: Cell, trained: Trained, count: int) -> list[PIL.Image.Image]:
        if isinstance(cell.baseline(), gan.GanSettings):
            model = gan.load(trained.folder).to(self.device)
            return gan.generate(model, gan.latents(count, cell.baseline().latent, seed=1))
        return ddpm.sample(ddpm.load(trained.folder).to(self.device), count, seed=1)
