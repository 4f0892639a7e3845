"""Build the page: records and drawings become the gallery's data, which Jinja2 puts into one HTML file."""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import jinja2
import tyro

from comics_genai import drawings as character_drawings
from comics_genai import environment
from comics_genai.errors import UserError
from comics_genai.files import write_atomic
from comics_genai.progress import Progress
from comics_genai.publishing.gallery.commands import command_of
from comics_genai.publishing.gallery.curated import SEEDS, check_size, kept_files, remove_unused
from comics_genai.publishing.gallery.pictures import OWN, POOLED, Shown, Unreadable, nearest, show
from comics_genai.publishing.gallery.records import (
    PictureRecord,
    first_seeds,
    json_safe,
    read_all,
    text,
)
from comics_genai.publishing.gallery.scores import scores_in_words
from comics_genai.sampling.picked import FORMAT, is_inside

PAGE = Path(__file__).parent / "page"
# One script, in this order: each file uses the ones before it.
SCRIPTS = "data address elements picked cards story browse compare training closeup main".split()
INDEX = "index.html"
EVERYTHING = "everything"  # the page of all runs here and its folder, which git ignores: EVERYTHING.html
NUMBER_WORDS = "no one two three four five six seven eight nine ten eleven twelve".split()


@dataclass(frozen=True)
class GallerySettings:
    """Build one page on which people browse, compare and pick generated pictures; it needs no server and no network."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """more folders of pictures, with or without records; pictures from elsewhere are copied beside the page"""
    into: Path | None = None
    """folder that gets index.html; by default everything.html in 6_generated, which shows the runs there too"""
    drawings: tuple[Path, ...] = ()
    """folders of the training drawings, one for each character; by default 1_data/unicorn_girl"""
    first_seeds: int = 0
    """show only this many pictures for each prompt of a folder, those with the lowest seeds; 0 = all"""
    curate: bool = False
    """the committed gallery, index.html: only folders that git keeps, the first four seeds of each test prompt, at most
    25 MB"""
    title: str = "Comics-GenAI gallery"
    """name of the page"""

    def __post_init__(self) -> None:
        if self.first_seeds < 0:
            raise UserError(f"first_seeds is {self.first_seeds}, but must be 0 for all, or at least 1.")
        if self.curate and self.first_seeds:
            raise UserError(f"--curate shows the first {SEEDS} seeds of each test prompt: leave first_seeds out.")

    @property
    def seeds(self) -> int:
        """How many seeds of each prompt are shown; 0 = all."""
        return SEEDS if self.curate else self.first_seeds

    @property
    def page(self) -> str:
        """The page's file in the gallery's folder. Only --curate writes the one that git keeps."""
        return INDEX if self.into or self.curate else f"{EVERYTHING}.html"

    @property
    def own(self) -> str:
        """The folder beside the page for thumbnails and copies."""
        return OWN if self.into or self.curate else EVERYTHING


@dataclass(frozen=True)
class Built:
    """The built page, the number of its pictures, and a sentence for each thing that could not be read."""

    index: Path
    pictures: int
    problems: list[str]

    @property
    def told(self) -> str:
        """Sentences with the page's address, which a browser can open."""
        count = "1 picture is" if self.pictures == 1 else f"{self.pictures} pictures are"
        return f"{count} in the gallery {self.index.resolve().as_uri()}"


def build(settings: GallerySettings | None = None) -> Built:
    """Write the page and missing thumbnails; the same folders give the same bytes.

    Raises UserError if a folder is missing or the gallery's place holds another page, if there is no picture at all,
    and as `curated` does.
    """
    settings = settings or GallerySettings()
    gallery = settings.into or environment.generated()
    _check_own(gallery / settings.page)
    found = _read(settings, gallery)
    records = found.records
    if not records:
        raise UserError(f"There are no pictures in {gallery} to show: draw some with `generate`, or name their folder.")
    characters = _drawings(settings, gallery, found.problems)
    pictures: dict[str, dict[str, Any]] = {}
    with Progress(len(records), describe=f"looking at {len(records)} pictures") as progress:
        for done, (root, record) in enumerate(records, start=1):
            _add(pictures, _picture(record, root, gallery, settings.own, characters, found.problems))
            progress.update(done)
    data = {
        "title": settings.title,
        "drawings": [drawing | {"character": name} for name, some in characters.items() for drawing, _ in some],
        "pictures": list(pictures.values()),
        "problems": [json_safe(problem) for problem in found.problems],
        "pooled": POOLED,
    }
    index = gallery / settings.page
    write_atomic(index, _page(settings, data).encode())
    if settings.curate:
        true_drawings = [picture["true"] for picture in data["pictures"] if "true" in picture]
        remove_unused(gallery, [*data["pictures"], *data["drawings"], *true_drawings])
        check_size(gallery)
    return Built(index, len(pictures), found.problems)


def _check_own(index: Path) -> None:
    """UserError for a page of someone else in the gallery's place."""
    # A page of ours, of any version, saves lists of this format.
    if index.is_file() and FORMAT.encode() not in index.read_bytes():
        raise UserError(f"{index} is a page of something else, which the gallery's would replace: name another --into.")


@dataclass(frozen=True)
class _Found:
    records: list[tuple[Path, PictureRecord]]  # each with the folder in which the search started
    problems: list[str]


def _read(settings: GallerySettings, gallery: Path) -> _Found:
    found = _Found([], [])
    roots = [(folder, True) for folder in settings.folders]
    if settings.into is None or not roots:
        roots.insert(0, (gallery, False))
    for root, loose in roots:
        if not root.is_dir():
            raise UserError(f"There is no folder {root}: name folders that hold pictures.")
        kept = kept_files(gallery) if settings.curate and root == gallery else None
        records, problems = read_all(root, skip=(gallery / OWN, gallery / EVERYTHING), loose=loose, kept=kept)
        if settings.seeds:
            records = first_seeds(records, settings.seeds)
        found.records.extend((root, record) for record in records)
        found.problems.extend(problems)
    return found


Characters = dict[str, list[tuple[dict[str, Any], Shown]]]


def _drawings(settings: GallerySettings, gallery: Path, problems: list[str]) -> Characters:
    """The drawings of each character by the name of their folder, with the page's data on each."""
    folders = settings.drawings or tuple(path for path in [environment.data() / "unicorn_girl"] if path.is_dir())
    characters: Characters = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}: name folders that hold a character's drawings.")
        shown = []
        for path, caption in character_drawings.files_of(folder).values():
            try:
                picture = show(path, gallery, settings.own)
            except Unreadable as reason:
                problems.append(json_safe(f"{folder.name}/{path.name}: the drawing is {reason}."))
                continue
            shown.append((_sizes(picture) | {"name": path.name, "caption": json_safe(caption)}, picture))
        characters[json_safe(folder.resolve().name)] = shown
    return characters


def _sizes(picture: Shown) -> dict[str, Any]:
    return {
        "source": picture.source,
        "thumbnail": picture.thumbnail,
        "width": picture.width,
        "height": picture.height,
    }


def _picture(
    record: PictureRecord, root: Path, gallery: Path, own: str, characters: Characters, problems: list[str]
) -> dict[str, Any]:
    """The page's data on one picture; see data.js."""
    fields = record.fields
    told: dict[str, Any] = {
        "id": _id(record, root, gallery),
        "method": json_safe(record.method),
        "asked": text(fields.get("test_prompt")) or record.prompt,
        "record": {key: value for key, value in fields.items() if key != "scores"},
        "scores": scores_in_words(fields.get("scores")),
        "command": command_of(fields),
        "also": [],
    }
    try:
        picture = show(record.path, gallery, own)
    except Unreadable as reason:
        problems.append(f"{told['id']}: the picture is {reason}.")
        return told | {"state": str(reason)}
    told |= {"state": "", "digest": picture.digest, **_sizes(picture)}
    told["path"] = json_safe(unquote(picture.source, errors="surrogateescape"))
    if drawings := _drawings_of(text(fields.get("character")), characters):
        told["nearest"] = _nearest(fields, picture, drawings, characters)
    if true_drawing := text(fields.get("true_drawing")):
        told |= _true_drawing(record, root, gallery, own, true_drawing, problems)
    return told


def _id(record: PictureRecord, root: Path, gallery: Path) -> str:
    """The picture's name in addresses and lists: its path from the page, or from the parent of the given folder."""
    name = f"{record.place}/{record.fields['file_name']}".removeprefix("./")
    return json_safe(name if root == gallery else f"{root.resolve().name}/{name}")


def _drawings_of(character: str, characters: Characters) -> str:
    """The character whose drawings a picture is compared with: the one that it names, or the only one."""

    def plain(name: str) -> str:
        return "".join(letter for letter in name.lower() if letter.isalnum())

    for name, drawings in characters.items():
        if drawings and plain(name) == plain(character):
            return name
    return next(iter(characters)) if not character and len(characters) == 1 and any(characters.values()) else ""


def _nearest(fields: dict[str, Any], picture: Shown, name: str, characters: Characters) -> dict[str, Any]:
    """The index of the nearest drawing on the page, and its source: the record's scores, or pooled colours."""
    before = 0
    for other, drawings in characters.items():
        if other == name:
            break
        before += len(drawings)
    scores = fields.get("scores")
    measured = scores.get("nearest_reference") if isinstance(scores, dict) else None
    if type(measured) is int and 0 <= measured < len(characters[name]):
        return {"drawing": before + measured, "by": "scores"}
    best, distance = nearest(picture.pooled, [shown.pooled for _, shown in characters[name]])
    return {"drawing": before + best, "by": "colours", "distance": round(distance, 4)}


def _true_drawing(
    record: PictureRecord, root: Path, gallery: Path, own: str, path: str, problems: list[str]
) -> dict[str, Any]:
    where_said = f"{record.place}/{record.path.name}"
    if not is_inside(record.folder / path, root):
        problems.append(json_safe(f"{where_said}: its true drawing is named outside {root.name}; it is not shown."))
        return {}
    try:
        return {"true": _sizes(show(record.folder / path, gallery, own))}
    except Unreadable as reason:
        problems.append(json_safe(f"{where_said}: its true drawing is {reason}."))
        return {}


def _add(pictures: dict[str, dict[str, Any]], picture: dict[str, Any]) -> None:
    """Add a picture. If the same file with the same record is there already, note only where else it lies."""
    same = json.dumps([picture.get("digest") or picture["id"], picture["method"], picture["record"]], sort_keys=True)
    if same in pictures:
        pictures[same]["also"].append(picture["id"])
    else:
        pictures[same] = picture


def _page(settings: GallerySettings, data: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (PAGE / "gallery.css").read_text(encoding="utf-8")
    parts = [(PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"
    count = len(data["drawings"])
    return environment.get_template("index.html.jinja").render(
        title=settings.title,
        style=style,
        script=script,
        style_hash=_hash_source(style),
        script_hash=_hash_source(script),
        data=_embedded(data),
        count=NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count),
        drawings=data["drawings"],
        first_seeds=settings.seeds,
        compared=_compared(data["pictures"]),
        seeds_word=NUMBER_WORDS[settings.seeds]
        if settings.seeds < len(NUMBER_WORDS)
        else str(settings.seeds),
    )


def _compared(pictures: list[dict[str, Any]]) -> bool:
    """Whether several methods drew the same prompt."""
    methods: dict[str, set[str]] = {}
    for picture in pictures:
        methods.setdefault(picture["asked"], set()).add(picture["method"])
    return any(len(some) > 1 for asked, some in methods.items() if asked)


def _embedded(data: dict[str, Any]) -> str:
    """JSON in which no text can end the script element that contains it."""
    dumped = json.dumps(data, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        dumped = dumped.replace(character, f"\\u{ord(character):04x}")
    return dumped


def _hash_source(content: str) -> str:
    """A source for the page's content security policy, which allows exactly this script or style."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"
