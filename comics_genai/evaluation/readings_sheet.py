"""A sheet by which a person can check the attribute reader: pictures beside drawings of what was read in them.

sheet = readings_sheet(pictures, reader.read(pictures), Readings.of(scenes))
"""

from collections.abc import Sequence

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont
from skimage.color import lab2rgb

from comics_genai import world
from comics_genai.evaluation.readings import FACTORS, Readings, compare
from comics_genai.evaluation.render_back import scene_of
from comics_genai.plotting.figures import GAP, GRAPHITE, INK, PAPER

RIGHT, WRONG = "#2e7d6b", "#c2402b"
SIDE = 168  # pixels of a picture
LINE, TEXT = 15, 11  # pixels of a line and of its letters
ROWS = len(FACTORS) // 2  # factors stand in two columns
BLOCK = (2 * SIDE + GAP, SIDE + (ROWS + 2) * LINE + 2 * GAP)


def readings_sheet(
    pictures: Sequence[PIL.Image.Image],
    readings: Readings,
    truth: Readings | None = None,
    titles: Sequence[str] = (),
    columns: int = 3,
) -> PIL.Image.Image:
    """Each picture beside the drawing of its readings, with every factor below: green is right, red is wrong.

    The true value follows a wrong one. Without a truth nothing is marked. No reading of an illegible picture counts,
    and the sheet says so.
    """
    right = compare(readings, truth) if truth is not None else None
    rows = -(-len(pictures) // columns)
    sheet = PIL.Image.new("RGB", (columns * (BLOCK[0] + 2 * GAP), rows * BLOCK[1] + GAP), PAPER)
    for i, picture in enumerate(pictures):
        place = (GAP + i % columns * (BLOCK[0] + 2 * GAP), GAP + i // columns * BLOCK[1])
        sheet.paste(_block(picture, readings, truth, right, i, titles[i] if titles else ""), place)
    return sheet


def _block(
    picture: PIL.Image.Image,
    readings: Readings,
    truth: Readings | None,
    right: dict[str, np.ndarray] | None,
    i: int,
    title: str,
) -> PIL.Image.Image:
    block = PIL.Image.new("RGB", BLOCK, PAPER)
    pen, font = ImageDraw.Draw(block), ImageFont.load_default(TEXT)
    again = world.draw(scene_of(readings, i), SIDE)
    for left, shown in ((0, picture.convert("RGB").resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)), (SIDE, again)):
        block.paste(shown, (left + (GAP if left else 0), LINE))
    legible = bool(readings.legible[i])
    heading = f"{title}: " if title else ""
    verdict = "legible" if legible else "illegible, nothing counts"
    if right is not None and legible:
        verdict += f", {sum(values[i] for values in right.values())} of {len(right)} right"
    pen.text((0, 0), heading + verdict, INK if legible else WRONG, ImageFont.load_default(TEXT + 1))
    for n, name in enumerate(FACTORS):
        x, y = (n // ROWS) * (SIDE + GAP), LINE + SIDE + 6 + (n % ROWS) * LINE
        ink = GRAPHITE if right is None else RIGHT if right[name][i] else WRONG
        x = _entry(pen, font, (x, y), name, readings, i, ink)
        if right is not None and legible and not right[name][i]:
            _value(pen, font, (x + 4, y), name, truth, i, GRAPHITE, before="not ")
    return block


def _entry(
    pen: ImageDraw.ImageDraw, font, at: tuple[float, float], name: str, readings: Readings, i: int, ink: str
) -> float:
    text = name.replace("_", " ").replace("color", "colour") + " "
    pen.text(at, text, ink, font)
    return _value(pen, font, (at[0] + font.getlength(text), at[1]), name, readings, i, ink)


def _value(
    pen: ImageDraw.ImageDraw,
    font,
    at: tuple[float, float],
    name: str,
    readings: Readings,
    i: int,
    ink: str,
    before: str = "",
) -> float:
    """Write one value, a colour as a patch; returns the position of its end."""
    kind = next((a.kind for a in world.ATTRIBUTES if a.name == name), "pose")
    if kind == "color":
        pen.text(at, before, ink, font)
        x, y = at[0] + font.getlength(before), at[1] + 2
        color = tuple(int(255 * c + 0.5) for c in lab2rgb(np.asarray(readings.attributes[name][i], np.float64)))
        pen.rectangle((x, y, x + 20, y + 10), fill=color, outline=ink)
        return x + 22
    if kind == "pose":
        value = world.POSE_FACTORS[name][int(readings.pose[name][i])]
    elif kind == "class":
        value = next(a for a in world.ATTRIBUTES if a.name == name).classes[int(readings.attributes[name][i])]
    else:
        value = f"{readings.attributes[name][i]:.2f}"
    pen.text(at, before + value, ink, font)
    return at[0] + font.getlength(before + value)
