"""Open one picture file of any kind that Pillow reads: check it, decode it at bounded cost, turn it upright."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import PIL.Image
from PIL import BmpImagePlugin, PngImagePlugin

from comics_genai.drawings.preparation import layers_of, plain
from comics_genai.errors import UserError

# For these, Pillow runs another program or has no loader.
CLOSED = frozenset({"EPS", "WMF", "HDF5", "GRIB", "BUFR", "MPEG"})
UNREADABLE = frozenset(
    ".heic .heif .jxl .svg .clip .kra .procreate .xcf .ai .pdf .eps .ps .wmf .emf .h5 .hdf .grib .bufr".split()
)
MINIMUM_SIDE = 64  # pixels of the shorter side: in a smaller drawing no lines can be seen
MAXIMUM_SIDE = 2048  # pixels of the longer side that are kept: twice the size of the largest base
MAXIMUM_PIXELS = 80_000_000  # an A3 page at 600 dpi; a file that claims more is damaged or an attack
MAXIMUM_ASPECT = 40  # the largest ratio of sides: a longer strip would be a few pixels wide in its square
STRIP = 8  # the ratio of sides from which on a warning calls the picture a strip
ORIENTATION = 0x0112  # EXIF's tag
TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
    AttributeError, OverflowError, MemoryError, ZeroDivisionError, NotImplementedError, RuntimeError,
)  # fmt: skip

# Tools that generate pictures write whole workflows into their text, and printers' profiles take megabytes.
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20
PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20
# Paint programs write opacity into the fourth byte of a BMP's pixels; where it is unused, `plain` leaves it out.
BmpImagePlugin.USE_RAW_ALPHA = True


def suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of the kinds of pictures that can be read."""
    kinds = PIL.Image.registered_extensions()
    readable = {suffix for suffix, kind in kinds.items() if kind in PIL.Image.OPEN and kind not in CLOSED}
    return frozenset(readable | {".avif", ".jfif"}) - UNREADABLE


def is_picture(path: Path) -> bool:
    """Whether the file's content is a picture, whatever its name is."""
    try:
        with _open(path):
            return True
    except PIL.Image.DecompressionBombError:
        return True  # `read_picture` says what is wrong with it
    except DAMAGE:
        return False


def upright(path: Path) -> PIL.Image.Image:
    """The picture as it is looked at: upright, in sRGB, with its transparency if it has any.

    Nothing else in its file is kept, such as the place where a photo was taken.
    """
    colors, alpha = layers_of(read_picture(path.name, path))
    if alpha is not None:
        colors.putalpha(alpha)
    return colors


def orientation_of(picture: PIL.Image.Image) -> int:
    """The picture's orientation by its EXIF data, 1 (upright) to 8; 1 if they are absent or broken."""
    try:
        turn = picture.getexif().get(ORIENTATION)
    except DAMAGE:
        return 1
    return turn if isinstance(turn, int) and turn in TURNS else 1


def read_picture(name: str, content: Path | bytes, side: int = MAXIMUM_SIDE) -> PIL.Image.Image:
    """The whole picture, upright, at most `side` px each way, in one of the modes that `plain` gives.

    Raises UserError if the file is not a whole still picture, or is too small or too large to learn from.
    """
    try:
        picture = _open(content)
    except PIL.Image.DecompressionBombError as error:
        raise UserError(f"{name} claims more pixels than can be read: save it smaller.") from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"{name} cannot be read ({error.strerror}): check the file and its rights.") from error
        if "text chunk" in str(error).lower() or "MAX_TEXT" in str(error):
            raise UserError(f"{name} carries more text or profile than pictures do: save it without.") from error
        raise UserError(f"{name} is not a picture, or a damaged one: save it anew as PNG.") from error
    with picture:
        _check_size(name, picture.size)
        try:
            # Before anything decodes: what is asked here is forgotten then.
            _bring_key_to_pixels(picture)
            frame = _frame_alone(picture)
            frames = getattr(picture, "n_frames", 1)
            # A phone's MPO holds a photo and its preview; the first picture of a PSD is all of its layers merged.
            if frames > 1 and picture.format not in ("MPO", "PSD"):
                raise UserError(f"{name} holds {frames} pictures, an animation or pages: save the one you mean.")
            turn = orientation_of(picture)
            if max(picture.size) > side:
                picture.draft(None, (side, side))  # a JPEG can be decoded at a fraction of its size
            picture.load()
            whole = plain(picture)
            if frame is not None:
                alpha = PIL.Image.new("L", whole.size)
                alpha.paste(255, frame)
                whole = whole.convert("RGB")
                whole.putalpha(alpha)
            if max(whole.size) > side:
                whole.thumbnail((side, side), PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
            return whole.transpose(TURNS[turn]) if turn in TURNS else whole.copy()
        except DAMAGE as error:
            raise UserError(f"{name} is cut off or damaged ({_reason(error)}): copy or save it anew.") from error


def _open(content: Path | bytes) -> Any:
    """Open the picture and read only its header."""
    PIL.Image.init()
    with warnings.catch_warnings():
        # The size is checked before any pixel is decoded; other damage raises errors of its own.
        warnings.simplefilter("ignore")
        return PIL.Image.open(
            io.BytesIO(content) if isinstance(content, bytes) else content,
            formats=[kind for kind in PIL.Image.OPEN if kind not in CLOSED],
        )


def _bring_key_to_pixels(picture: Any) -> None:
    """A PNG's transparent colour in the depth of its pixels: Pillow hands it out as it is stored, but widens pixels of
    2 and 4 bits to 8, and cuts those of coloured ones of 16 to 8."""
    key, stored = picture.info.get("transparency"), picture.tile[0].args if picture.tile else ""
    if isinstance(key, int) and stored in ("L;2", "L;4"):
        picture.info["transparency"] = key * {"L;2": 85, "L;4": 17}[stored]
    elif isinstance(key, tuple) and stored == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in key)


def _frame_alone(picture: Any) -> tuple[int, int, int, int] | None:
    """The place of the frame in a GIF whose frame is smaller than the picture; None for any other picture.

    Around the frame, viewers show nothing, but Pillow shows the palette's first colour.
    """
    if picture.format != "GIF" or "transparency" in picture.info or not picture.tile:
        return None
    frame = picture.tile[0].extents
    return None if frame == (0, 0, *picture.size) else frame


def _check_size(name: str, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAXIMUM_PIXELS:
        raise UserError(f"{name} claims {width}x{height} pixels: save it smaller.")
    if min(size) < MINIMUM_SIDE:
        raise UserError(
            f"{name} is {width}x{height} px, and {MINIMUM_SIDE} px are the least that shows anything: export it larger."
        )
    if max(size) > MAXIMUM_ASPECT * min(size):
        raise UserError(f"{name} is {width}x{height} px, too narrow a strip to be seen in a square: cut it in pieces.")
    if max(size) >= STRIP * min(size):
        warnings.warn(
            f"{name} is {width}x{height} px, a strip that fills only 1/{max(size) // min(size)} of its square: cut it "
            "into its panels.",
            stacklevel=4,
        )


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
