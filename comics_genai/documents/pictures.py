"""The figures that are pictures: the drawings, the world's factors, noise, and what models drew; the strip of the
front page."""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from comics_genai import world
from comics_genai.documents.findings import SCRATCH
from comics_genai.documents.run_scores import METHODS
from comics_genai.documents.sources import MINIATURE, Sources
from comics_genai.files import write_atomic
from comics_genai.plotting import figures
from comics_genai.studies.kept import kept_folder, kept_pictures

Picture = PIL.Image.Image
SIDE = 256  # pixels of a picture in a sheet
QUALITY = 88
STRIP = "5_documents/front_page.jpg"
SEED = 5  # of the characters that show the world


def six_drawings(sources: Sources) -> Picture:
    """The six drawings in a row."""
    return figures.grid(_drawings(sources), columns=6, side=SIDE)


def _drawings(sources: Sources) -> list[Picture]:
    rows = sources.lines("1_data/unicorn_girl/train/metadata.jsonl")
    return [sources.picture(f"1_data/unicorn_girl/train/{row['file_name']}") for row in rows]


def world_factors(sources: Sources) -> Picture:
    """Character, pose and place: in each row one factor changes and the others stay."""
    rng = np.random.default_rng(SEED)
    girl, still = world.UNICORN_GIRL, world.Setting()
    who = [world.Scene(world.sample_character(rng), world.Pose(), still) for _ in range(6)]
    how = [world.Scene(girl, world.sample_pose(rng), still) for _ in range(6)]
    where = [world.Scene(girl, world.Pose(), world.sample_setting(rng)) for _ in range(6)]
    rows = {"who: the identity changes": who, "how: the pose changes": how, "where: the setting changes": where}
    return figures.labelled_grid({name: [world.draw(s, SIDE) for s in scenes] for name, scenes in rows.items()},
                                 side=SIDE)  # fmt: skip


def unnamed(sources: Sources) -> Picture:
    """UnicornGirl, and look-alikes that differ from her in one attribute for which no caption has a word."""
    girl, rng = world.UNICORN_GIRL, np.random.default_rng(SEED)
    other = world.sample_character(rng)
    names = ("streak_color", "eye_color", "pattern", "odd_sock", "fringe", "hair_wave")
    changed = [replace(girl, **{name: _another(girl, other, name)}) for name in names]
    labels = ["UnicornGirl", *(f"another {name.replace('_', ' ')}" for name in names)]
    drawn = [world.draw(world.Scene(c, world.Pose(), world.Setting(scale=1.05)), SIDE) for c in (girl, *changed)]
    return _captioned(drawn, labels)


def _another(girl: world.Character, other: world.Character, name: str) -> object:
    """A value of an attribute that is not hers."""
    attribute = next(a for a in world.ATTRIBUTES if a.name == name)
    mine = getattr(girl, name)
    if attribute.kind == "class":
        return next(value for value in reversed(attribute.classes) if value != mine)
    return 1 - mine if attribute.kind == "scalar" else getattr(other, name)


def _captioned(pictures: Sequence[Picture], labels: Sequence[str], columns: int = 0, side: int = SIDE) -> Picture:
    """Pictures with a line of text under each."""
    font = ImageFont.load_default(side / 9)
    letters = int(side / font.getlength("average letter") * len("average letter"))
    labels = [textwrap.fill(label, letters) for label in labels]
    columns, line = columns or len(pictures), side * max(2 + label.count("\n") for label in labels) // 12
    rows = -(-len(pictures) // columns)
    sheet = PIL.Image.new("RGB", (columns * side, rows * (side + line)), figures.PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = i % columns * side, i // columns * (side + line)
        sheet.paste(picture.convert("RGB").resize((side - 6, side - 6), _method(picture, side)), (left + 3, top + 3))
        middle = (left + side / 2, top + side + line / 2 - 2)
        pen.multiline_text(middle, label, figures.INK, font, anchor="mm", align="center")
    return sheet


def _method(picture: Picture, side: int) -> PIL.Image.Resampling:
    return PIL.Image.Resampling.NEAREST if picture.width <= side else PIL.Image.Resampling.LANCZOS


def parts_and_bones(sources: Sources) -> Picture:
    """A drawing, its skeleton, the cells of its part map, and the small picture that the first latent channels are."""
    scene = world.reference_scenes(world.UNICORN_GIRL)[4]
    drawing, shares = world.draw_with_parts(scene, SIDE)
    bones = drawing.copy()
    pen = ImageDraw.Draw(bones)
    places = dict(zip(world.JOINTS, world.joints(scene) * SIDE, strict=True))
    chains = (("head", "neck", "pelvis"), *(tuple(f"{side}_{joint}" for joint in joints) for side in ("left", "right")
              for joints in (("shoulder", "elbow", "hand"), ("knee", "foot"))))  # fmt: skip
    chains += tuple(("pelvis", f"{side}_knee") for side in ("left", "right"))
    chains += tuple(("neck", f"{side}_shoulder") for side in ("left", "right"))
    for chain in chains:
        pen.line([tuple(places[joint]) for joint in chain], fill=figures.COLORS[1], width=3)
    for x, y in places.values():
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=figures.COLORS[0])
    colors = np.array([PIL.ImageColor.getrgb(c) for c in (*figures.COLORS, "#333333")], np.float32)
    cells = np.einsum("phw,pc->hwc", shares, colors[: len(shares)])
    cells += 245 * (1 - shares.sum(0).clip(0, 1))[..., None]
    parts = PIL.Image.fromarray(cells.clip(0, 255).astype(np.uint8))
    small = drawing.reduce(SIDE // shares.shape[-1])
    return _captioned([drawing, bones, parts, small], ["the drawing", "its joints", "its parts", "its small picture"])


def noised(sources: Sources) -> Picture:
    """One drawing on its way to noise: sqrt(alpha_bar) x + sqrt(1 - alpha_bar) eps at six shares alpha_bar."""
    drawing = np.asarray(world.draw(world.reference_scenes(world.UNICORN_GIRL)[0], SIDE), np.float32) / 127.5 - 1
    noise = np.random.default_rng(SEED).standard_normal(drawing.shape)
    levels = (1.0, 0.9, 0.6, 0.25, 0.05, 0.0)
    drawn = []
    for level in levels:
        mixed = np.sqrt(level) * drawing + np.sqrt(1 - level) * noise
        drawn.append(PIL.Image.fromarray(((mixed.clip(-1.5, 1.5) / 1.5 + 1) * 127.5).astype(np.uint8)))
    return _captioned(drawn, [f"signal {level:.0%}" for level in levels])


def over_pretraining(sources: Sources) -> Picture:
    """The first captions' samples at three moments of the UNet's pretraining."""
    folder = sources.root / MINIATURE / "pretraining" / "unet"
    names = sorted(path.name for path in folder.glob("samples_*.png"))
    rows = {}
    for name in names:
        sheet = sources.picture(f"{MINIATURE}/pretraining/unet/{name}")
        step = int(name.removeprefix("samples_").removesuffix(".png"))
        rows[f"step {step:,}"] = _tiles(sheet)[:6]
    return figures.labelled_grid(rows, side=SIDE)


def reconstructions(sources: Sources) -> Picture:
    """The tokenizer's reconstructions of held-out scenes, early and late in its training."""
    folder = sources.root / MINIATURE / "pretraining" / "vae"
    last = sorted(path.name for path in folder.glob("reconstructions_*.png"))[-1]
    return sources.picture(f"{MINIATURE}/pretraining/vae/{last}")


def _tiles(sheet: Picture, side: int = 128) -> list[Picture]:
    """The pictures of a sheet of squares, row by row."""
    rows, columns = sheet.height // side, sheet.width // side
    corners = [(x * side, y * side) for y in range(rows) for x in range(columns)]
    return [sheet.crop((left, top, left + side, top + side)) for left, top in corners]


def from_scratch(sources: Sources) -> Picture:
    """Six samples of every model that was trained from nothing."""
    rows = {METHODS[run]: [p for _, p in sources.pictures(f"6_generated/{run}")][:6] for run in SCRATCH}
    return figures.labelled_grid(rows, side=SIDE)


def new_poses(sources: Sources, count: int = 12) -> list[tuple[str, Picture]]:
    """Pose in words and picture: the first seed of each test prompt, none of them picked by hand."""
    rows = sources.pictures("6_generated/dreambooth_lora/finetuned")
    first = [(row["prompt"], picture) for row, picture in rows if row["seed"] == min(r["seed"] for r, _ in rows)]
    return [(", ".join(prompt.split(", ")[2:]), picture) for prompt, picture in first][:count]


def title_poses(sources: Sources) -> Picture:
    """The first six new poses in a row."""
    return figures.grid([picture for _, picture in new_poses(sources, 6)], columns=6, side=SIDE)


def fine_tuned(sources: Sources) -> Picture:
    """The six drawings above new poses, each under its words."""
    words, pictures = zip(*new_poses(sources), strict=True)
    return figures.contact_sheet(_drawings(sources), pictures, words, columns=6, side=SIDE)


def asked_alike(sources: Sources) -> Picture:
    """The same poses from the base by the name, by a careful prompt, and after fine-tuning."""
    folders = {"base, by her name": "base_same_prompt", "base, by a careful prompt": "base_careful_prompt",
               "fine-tuned, by her name": "finetuned",
               "fine-tuned, by both": "finetuned_careful_prompt"}  # fmt: skip
    rows: dict[str, list[Picture]] = {}
    for label, folder in folders.items():
        found = sources.pictures(f"6_generated/dreambooth_lora/{folder}")
        rows[label] = [picture for row, picture in found if row["seed"] == 0][:6]
    return figures.labelled_grid(rows, side=SIDE)


def kept(sources: Sources, study: str, most: int = 6) -> Picture:
    """The pictures that a study kept, with a row for each method, below the true drawings of the same prompts."""
    table = sources.study(study)
    for folder in {kept_folder(table.grid, cell) for cell in table.grid.cells()} - {None}:
        name = folder.relative_to(sources.root).as_posix()
        sources.pictures(name)  # so that the document grows stale with them
    found = kept_pictures(table.grid)
    rows = {METHODS.get(name, name.replace("_", " ")): pictures[:most] for name, pictures in found.items()}
    if not rows:
        rows = {"no picture of this study was kept": [PIL.Image.new("RGB", (SIDE, SIDE), figures.PAPER)]}
    return figures.labelled_grid(rows, side=SIDE)


def strip(sources: Sources) -> Picture:
    """The front page's picture: the six drawings at the left, new poses beside them."""
    side, gap, head = 240, 14, 46
    groups = (("Six drawings in", _drawings(sources), 3), ("New poses out", [p for _, p in new_poses(sources, 10)], 5))
    width = gap + sum(columns * side + gap for *_, columns in groups)
    sheet = PIL.Image.new("RGB", (width, head + 2 * side + gap), figures.PAPER)
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(30), gap
    for title, pictures, columns in groups:
        pen.text((left, head / 2), title, figures.INK, font, anchor="lm")
        for i, picture in enumerate(pictures[: 2 * columns]):
            small = picture.resize((side - 4, side - 4), PIL.Image.Resampling.LANCZOS)
            sheet.paste(small, (left + i % columns * side, head + i // columns * side))
        left += columns * side + gap
    pen.line((gap / 2 + left - 5 * side - 2 * gap - 1, 8, gap / 2 + left - 5 * side - 2 * gap - 1, sheet.height - 8),
             fill=figures.GRAPHITE, width=1)  # fmt: skip
    return sheet


def save_jpeg(picture: Picture, path: Path) -> None:
    """Write a JPEG in full colour, atomically."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    write_atomic(path, buffer.getvalue())


PICTURES: Mapping[str, Callable[[Sources], Picture]] = {
    "kept_comparison": lambda sources: kept(sources, "comparison"),
    **{
        one.__name__: one
        for one in (
            *(six_drawings, world_factors, unnamed, parts_and_bones, noised, over_pretraining, reconstructions),
            *(from_scratch, title_poses, fine_tuned, asked_alike),
        )
    },
}
