"""Read a study's TOML file: methods, characters, seeds and settings. Every combination of them is a cell.

    base = "mini"
    characters = [0, 1, 2]       # 0 is UnicornGirl, 1 to 9 are her companions
    seeds = [0, 1]               # of training
    prompts = 24                 # unseen poses of one half, "test" or "validation"
    noise = 4                    # noise seeds of each prompt, the same for every method

    [finetune]                   # of every fine-tuning: fields of FinetuneSettings
    steps = 300
    [sampling]                   # fields of Sampling
    guidance = 4.0

    [methods.lora]
    finetune.learning_rate = 1e-3
    [methods.gan_v2]             # a method may have fewer characters and seeds
    characters = [0]

    [vary]                       # every value with every other
    sampling.steps = [5, 25]
    [variants."no prior"]        # or named sets of settings
    finetune.prior = "none"
"""

import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from comics_genai import environment, world
from comics_genai.baselines.ddpm import SETTINGS_32_CPU, SETTINGS_256_CPU, DdpmSettings
from comics_genai.baselines.gan import VERSION_1, VERSION_2, GanSettings
from comics_genai.errors import UserError
from comics_genai.finetuning.presets import PRESETS, preset_for, usual_sampling
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.paths import plain_name
from comics_genai.sampling.generate import Sampling

FINETUNED = {"dreambooth": "dreambooth", "lora": "lora", "dreambooth_lora": "dreambooth-lora"}
PROMPTED = ("base", "careful_prompt")
SCRATCH = {"gan_v1": VERSION_1, "gan_v2": VERSION_2, "ddpm_32": SETTINGS_32_CPU, "ddpm_256": SETTINGS_256_CPU}
BOUNDS = ("true_drawings", "other_characters")
KINDS = (*FINETUNED, *PROMPTED, *SCRATCH, *BOUNDS)
SECTIONS = ("finetune", "baseline", "sampling")
WORDS = ("name", "careful", "both")


@dataclass(frozen=True)
class Cell:
    """One cell, which becomes a row of the table: a method with its settings, a character and a training seed."""

    method: str  # its name in the grid
    kind: str  # one of KINDS
    words: str  # what the prompts of a fine-tuning say: the name, careful words, or both
    variant: str
    character: int
    seed: int
    settings: Mapping[str, Mapping[str, Any]]  # the settings of the grid, by section

    @property
    def trains(self) -> bool:
        return self.kind in FINETUNED or self.kind in SCRATCH

    def sampling(self) -> Sampling:
        return _built(Sampling, self.settings.get("sampling", {}), self.method, "sampling")

    def finetuning(self, base: str, drawings: str) -> FinetuneSettings:
        """The settings of the fine-tuning. Those that the grid does not set come from the base's preset.

        base, drawings: as in FinetuneSettings.
        """
        method = FINETUNED[self.kind]
        known = any(preset.base == base for preset in PRESETS.values())
        default = dict(preset_for(base, method).values(method)) if known else {}
        default.pop("validate_every", None)  # studies measure the last checkpoint
        given = default | self.settings.get("finetune", {})
        given |= {"base": base, "drawings": drawings, "method": method, "seed": self.seed}
        return _built(FinetuneSettings, given, self.method, "finetune")

    def baseline(self) -> GanSettings | DdpmSettings:
        """The settings of a training from scratch: the method's own, changed by those of the grid."""
        given, settings = dict(self.settings.get("baseline", {})), SCRATCH[self.kind]
        loop = {**given.pop("loop", {}), "seed": self.seed, "validate_every": 0}
        if "steps" in given:
            loop["steps"] = given.pop("steps")
        loop = _built(type(settings.loop), asdict(settings.loop) | loop, self.method, "baseline.loop")
        kept = {one.name: getattr(settings, one.name) for one in fields(settings)}
        return _built(type(settings), kept | given | {"loop": loop}, self.method, "baseline")

    def named(self) -> str:
        """The cell in words: "lora, no prior, character 3, seed 1, sampling.steps 5"."""
        parts = [self.method, self.variant, f"character {self.character}"]
        return ", ".join([part for part in parts if part] + ([f"seed {self.seed}"] if self.trains else []))


def _of_tables(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(inner, Mapping) for inner in value.values())


@dataclass(frozen=True)
class Grid:
    """The content of a study's file. Raises UserError for settings that are not allowed."""

    name: str
    methods: Mapping[str, Mapping[str, Any]]
    base: str = "mini"
    characters: tuple[int, ...] = (0,)
    seeds: tuple[int, ...] = (0,)
    prompts: int = 24
    noise: int = 4
    half: Literal["test", "validation"] = "test"
    others: int = 8  # pictures of other girls that measure the drift of the prior; 0 = not measured
    true_drawings: int = 500  # true drawings for the kernel distance; 0 = not measured
    other_poses: int = 300  # true drawings for the threshold of the copy rate
    drawing_side: int = 1024  # pixels of the six drawings, as in 1_data
    finetune: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    vary: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    keep: Mapping[str, Any] = field(default_factory=dict)  # which pictures, and in which folder; see `kept_pictures`
    home: Path | None = field(init=False, default=None)  # what keep.folder starts from; None = the repository

    def __post_init__(self) -> None:
        plain_name(self.name, "The study's name")
        cast = range(len(world.HELD_OUT))
        flat = {name: (isinstance(getattr(self, name), Mapping), "a table") for name in (*SECTIONS, "keep")}
        ranges = {
            **flat,
            "methods": (bool(self.methods) and _of_tables(self.methods), "a table of at least one method, itself one"),
            "vary": (_of_tables(self.vary), "a table of tables"),
            "variants": (_of_tables(self.variants), "a table of tables"),
            "characters": (bool(self.characters) and all(c in cast for c in self.characters), f"0 to {cast[-1]}"),
            "seeds": (bool(self.seeds) and all(isinstance(s, int) and s >= 0 for s in self.seeds), "0 or more"),
            "prompts": (isinstance(self.prompts, int) and self.prompts >= 1, "at least 1"),
            "noise": (isinstance(self.noise, int) and self.noise >= 1, "at least 1"),
            "half": (self.half in ("test", "validation"), "test or validation"),
            "others": (isinstance(self.others, int) and self.others >= 0, "0 (off) or more"),
            "other_poses": (isinstance(self.other_poses, int) and self.other_poses >= 1, "at least 1"),
            "drawing_side": (isinstance(self.drawing_side, int) and 64 <= self.drawing_side <= 2048, "64 to 2048"),
            "true_drawings": (
                isinstance(self.true_drawings, int) and (self.true_drawings == 0 or self.true_drawings >= 2),
                "0 (off), or at least 2",
            ),
        }
        for name, (holds, range_) in ranges.items():
            if not holds:
                raise UserError(f"The study {self.name} says {name} = {getattr(self, name)!r}: it must be {range_}.")
        for kind, names in (("method", self.methods), ("variant", self.variants)):
            for name in names:
                plain_name(name or "none", f"The {kind} of the study {self.name}")

    @classmethod
    def read(cls, path: Path) -> "Grid":
        """The grid of a file, with the file's name. One outside the repository keeps its pictures in its own folder."""
        path = Path(path)
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"The study {path} cannot be read ({error}): give a TOML file, as those in "
                            "4_finetuning/studies.") from error  # fmt: skip
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
        grid = _built(cls, {"name": path.stem, **given}, path.name, "")
        places = (environment.root().resolve(), environment.materials().resolve())
        if not any(path.resolve().is_relative_to(place) for place in places):
            object.__setattr__(grid, "home", path.resolve().parent)
        grid.cells()  # checks every setting before the first run
        return grid

    def cells(self) -> list[Cell]:
        """Every combination once, character by character, so that all cells of a character use its cached data."""
        found: dict[str, Cell] = {}
        for character, variant, varied in itertools.product(self._everyone(), self.variants, self._varied()):
            for method, given in self.methods.items():
                kind = self._checked(method, given)
                if character not in given.get("characters", self.characters):
                    continue
                for seed in given.get("seeds", self.seeds) if kind in (*FINETUNED, *SCRATCH) else (0,):
                    parts = (self._common(), given, self.variants[variant], varied)
                    settings = {name: _merged(name, parts) for name in _sections(kind)}
                    concerns = any(self.variants[variant].get(name) for name in _sections(kind))
                    words = given.get("words", "name")
                    label = variant if concerns or (variant and kind in FINETUNED) else ""
                    cell = Cell(method, kind, words, label, character, seed, settings)
                    _check(cell)
                    found.setdefault(cell_id(self, cell), cell)
        return list(found.values())

    def _everyone(self) -> list[int]:
        each = [given.get("characters", self.characters) for given in self.methods.values()]
        return sorted({character for some in each for character in some})

    def _common(self) -> dict[str, Any]:
        common = {name: getattr(self, name) for name in SECTIONS}
        if any(preset.base == self.base for preset in PRESETS.values()):
            usual = usual_sampling(self.base)
            common["sampling"] = {"steps": usual.steps, "guidance": usual.guidance} | self.sampling
        return common

    def _varied(self) -> list[dict[str, dict[str, Any]]]:
        """Every combination of values, by section."""
        axes = []
        for section, settings in self.vary.items():
            for name, values in settings.items():
                if section not in SECTIONS or not isinstance(values, list | tuple):
                    raise UserError(
                        f"The study {self.name} varies {section}.{name}: give settings of {', '.join(SECTIONS)} lists."
                    )
                axes.append([(section, name, value) for value in values])
        combinations = []
        for combination in itertools.product(*axes):
            chosen: dict[str, dict[str, Any]] = {}
            for section, name, value in combination:
                chosen.setdefault(section, {})[name] = value
            combinations.append(chosen)
        return combinations

    def _checked(self, method: str, given: Mapping[str, Any]) -> str:
        kind = given.get("kind", method)
        if kind not in KINDS:
            raise UserError(f"The study {self.name} has a method {kind!r}: it must be one of {', '.join(KINDS)}; under "
                            "another name, say which by `kind`.")  # fmt: skip
        if unknown := given.keys() - {"kind", "words", "characters", "seeds", *SECTIONS}:
            raise UserError(f"The study {self.name} sets {min(unknown)} of {method}: write finetune.{min(unknown)}, "
                            f"baseline.{min(unknown)} or sampling.{min(unknown)}.")  # fmt: skip
        if given.get("words", "name") not in WORDS:
            raise UserError(f"The study {self.name} asks {method} by {given['words']!r}: give {', '.join(WORDS)}.")
        return kind


def _sections(kind: str) -> tuple[str, ...]:
    """The sections of settings of a kind of method."""
    if kind in FINETUNED:
        return "finetune", "sampling"
    return ("sampling",) if kind in PROMPTED else ("baseline",) if kind in SCRATCH else ()


def _merged(section: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part.get(section, {})
    return merged


def _check(cell: Cell) -> None:
    if cell.kind in FINETUNED:
        cell.finetuning("mini", "")
    elif cell.kind in SCRATCH:
        cell.baseline()
    cell.sampling()


def _built(kind: type, given: Mapping[str, Any], owner: str, section: str) -> Any:
    """The dataclass `kind` with these values.

    Raises UserError that names a value of another type, or one that the dataclass does not have.
    """
    known = [one.name for one in fields(kind) if one.init]
    if unknown := [name for name in given if name not in known]:
        name = ".".join(filter(None, (section, unknown[0])))
        raise UserError(f"{owner} sets {name}, which does not exist: choose one of {', '.join(known)}.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"{owner} sets a {section or 'value'} of another type ({error}).") from error


def digest(record: Any) -> str:
    """A digest (twelve hexadecimal digits) of a JSON-able value."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).hexdigest()[:12]


def training_id(cell: Cell, base: str, base_digest: str) -> str:
    """The name of a training. Cells that differ only in sampling share it."""
    if cell.kind in FINETUNED:
        # The base's content matters, but not its path.
        settings = asdict(replace(cell.finetuning(base, ""), base="", checkpoint_every=0, max_minutes=0.0))
    else:
        settings, base_digest = asdict(cell.baseline()), ""
    return f"{cell.kind}-{cell.character}-{cell.seed}-{digest([settings, base_digest])}"


def cell_id(grid: Grid, cell: Cell) -> str:
    """The name of a row, made from everything that the study's file says about it."""
    names = ("base", "prompts", "noise", "half", "others", "true_drawings", "other_poses", "drawing_side")
    asked = [getattr(grid, name) for name in names]
    named = [cell.method, cell.kind, cell.words, cell.variant, cell.character, cell.seed]
    return digest([asked, named, cell.settings])
