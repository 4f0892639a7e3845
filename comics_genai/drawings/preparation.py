"""Prepare pictures for the models: sRGB, on paper on which their strokes can be seen, padded to squares."""

import io
from collections.abc import Sequence

import numpy as np
import PIL.Image
from PIL import ImageCms, ImageColor

from comics_genai.errors import UserError

Color = tuple[int, int, int]
WHITE: Color = (255, 255, 255)
PAPERS: tuple[Color, ...] = (WHITE, (0, 0, 0), (128, 128, 128))  # grey shows dark and pale strokes alike
AUTO = "auto"  # white; or the colour of PAPERS with the most contrast, if a drawing would vanish on white
CONTRAST = 32  # of 255, in the channel that differs most: a stroke with less contrast is hardly seen
NEARLY_VANISHED = 0.05  # the least share of a drawing that must be seen on its paper
LOOK = 256  # side in pixels at which contrast is measured

# Kinds of files that may have room for opacity without using it: it is 0 everywhere then, and the picture is opaque.
SPARE = frozenset({"BMP", "DIB", "TGA"})

Layers = tuple[PIL.Image.Image, PIL.Image.Image | None]  # sRGB, and the opacity (L) unless it is full everywhere


def to_square(image: PIL.Image.Image, size: int | None = None, paper: Color | int | None = None) -> PIL.Image.Image:
    """Pad the picture to a square of its longer side, centred, then resize it to `size` px if given.

    The padding is filled with `paper` (0-255, one value for each channel), or by continuing the picture's border.
    """
    side = max(image.size)
    square = image
    if image.width != image.height:
        left, top = (side - image.width) // 2, (side - image.height) // 2
        if paper is None:
            room = ((top, side - image.height - top), (left, side - image.width - left))
            pixels = np.asarray(image)
            square = PIL.Image.fromarray(np.pad(pixels, (*room, (0, 0))[: pixels.ndim], mode="edge"))
        else:
            square = PIL.Image.new(image.mode, (side, side), paper)
            square.paste(image, (left, top))
    if size is not None and size != side:
        square = square.resize((size, size), PIL.Image.Resampling.LANCZOS)
    return square


def box_in_square(width: int, height: int, size: int | None = None) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the picture in the square that `to_square` makes; None if it fills the square."""
    side = max(width, height)
    if width == height:
        return None
    left, top = (side - width) // 2, (side - height) // 2
    scale = (size or side) / side
    return tuple(round(edge * scale) for edge in (left, top, left + width, top + height))


def paper_of(text: str) -> Color | None:
    """The colour that a setting names, such as white or #f0e8d8; None for "auto".

    Raises UserError if the text names no colour.
    """
    if text == AUTO:
        return None
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UserError(f"The paper {text!r} is not a colour: give auto, a name such as white, or #rrggbb.") from error


def chosen_paper(pictures: Sequence[Layers]) -> Color:
    """White; or the colour that shows the palest picture best, if one of the pictures nearly vanishes on white."""
    drawn = [layers for layers in pictures if layers[1] is not None]
    if all(visibility(*layers, WHITE)[0] >= NEARLY_VANISHED for layers in drawn):
        return WHITE
    return max(PAPERS, key=lambda paper: min(visibility(*layers, paper)[1] for layers in drawn))


def visibility(colors: PIL.Image.Image, alpha: PIL.Image.Image, paper: Color) -> tuple[float, float]:
    """The share of the drawing that can be seen on the paper, and its mean contrast to the paper (0-255)."""
    small = (LOOK, LOOK) if max(colors.size) > LOOK else colors.size
    opacity = np.asarray(alpha.resize(small, PIL.Image.Resampling.BOX), np.float32) / 255
    inks = np.asarray(colors.resize(small, PIL.Image.Resampling.NEAREST), np.float32)
    contrast = np.abs(inks - np.float32(paper)).max(-1)
    drawn = max(float(opacity.sum()), 1e-6)
    return float((opacity * (contrast >= CONTRAST)).sum()) / drawn, float((opacity * contrast).sum()) / drawn


def on_paper(layers: Layers, paper: Color) -> PIL.Image.Image:
    """The picture in RGB, with paper where it is transparent."""
    colors, alpha = layers
    return colors if alpha is None else PIL.Image.composite(colors, PIL.Image.new("RGB", colors.size, paper), alpha)


def layers_of(picture: PIL.Image.Image) -> Layers:
    """The picture (in a mode that `plain` returns) as sRGB, and its opacity. Raises ValueError for unknown colours."""
    profile = picture.info.get("icc_profile")
    alpha = None
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        if alpha.getextrema()[0] == 255:
            alpha = None
        picture = picture.convert("RGB")
    return _to_srgb(picture, profile), alpha


def plain(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Convert the picture to one of the modes L, RGB, RGBA, CMYK or LAB, without palette, with 8 bits a channel.

    Raises ValueError for numbers that are not finite, and for colours that Pillow does not convert.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return _eight_bits(picture)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        whole = picture.convert("RGBA")
        unused = getattr(picture, "format", None) in SPARE and whole.getchannel("A").getextrema()[1] == 0
        return whole.convert("RGB") if unused else whole
    return picture if picture.mode in ("L", "RGB", "CMYK", "LAB") else picture.convert("RGB")


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Scale grey of 16 bits, 32 bits or floating-point numbers to 8 bits; Pillow would clip it at 255.

    The white of 16 bits is 65535. The white of other numbers is the smallest usual one that no value exceeds (floats:
    1, 255, 65535). Floats above all of these are stretched from their minimum to their maximum. A colour that means
    transparency becomes opacity.
    """
    values = np.asarray(picture)
    low = 0.0
    if picture.mode == "I":
        values = values.view(np.uint32) if values.min() < 0 else values
        high = next(end for end in (255, 65535, 2**31 - 1, 2**32 - 1) if values.max() <= end)
    elif picture.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("it holds values that are not finite numbers")
        high = next((end for end in (1, 255, 65535) if values.min() >= 0 and values.max() <= end), None)
        if high is None:
            low, high = float(values.min()), float(values.max())
    else:
        high = 65535
    scale = np.float32(255 / max(high - low, 1e-12))
    grey = PIL.Image.fromarray(
        ((values.astype(np.float32) - np.float32(low)) * scale + 0.5).clip(0, 255).astype(np.uint8)
    )
    if not isinstance(key := picture.info.get("transparency"), int):
        return grey
    alpha = PIL.Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return PIL.Image.merge("RGBA", (grey, grey, grey, alpha))


def _to_srgb(picture: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    """The picture as RGB, converted by its colour profile unless the profile is broken."""
    if picture.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted or picture.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            return picture.convert("RGB")
    return picture.convert("RGB")
