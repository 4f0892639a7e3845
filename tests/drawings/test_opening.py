"""Whatever Pillow opens is read rightly at bounded cost, or named in a sentence."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

from comics_genai.drawings.opening import MAXIMUM_SIDE, is_picture, orientation_of, read_picture, suffixes
from comics_genai.drawings.preparation import layers_of
from comics_genai.errors import UserError

RED = (200, 30, 20)


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def red(size=(80, 80), mode="RGB") -> PIL.Image.Image:
    return PIL.Image.new("RGB", size, RED).convert(mode)


def center(content: bytes) -> tuple[int, ...]:
    colors, _ = layers_of(read_picture("a.png", content))
    return colors.getpixel((colors.width // 2, colors.height // 2))


def in_lab(image: PIL.Image.Image) -> PIL.Image.Image:
    return ImageCms.profileToProfile(image, *map(ImageCms.createProfile, ("sRGB", "LAB")), outputMode="LAB")


def text_of(megabytes: int, compressed: bool) -> PngInfo:
    info = PngInfo()
    info.add_text("workflow", "x" * (megabytes << 20), zip=compressed)
    return info


def broken_exif() -> bytes:
    """A JPEG whose EXIF data ends in the middle of its directory."""
    return encoded(red(), "JPEG", quality=98, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0")


READ = {
    "kinds": [encoded(red(), kind) for kind in ("BMP", "GIF", "TIFF", "TGA", "PPM", "PCX", "ICO", "SGI", "DDS")],
    "8-bit modes": [encoded(image) for image in (red().quantize(4), red(mode="RGB"), red(mode="RGBA"))],
    "photographs": [encoded(red(), "JPEG", quality=98), encoded(red(), "JPEG2000"), encoded(red(), "WEBP")],
    "print": [encoded(red(mode="CMYK"), "TIFF"), encoded(red(mode="YCbCr"), "JPEG", quality=98)],
    "Lab": [encoded(in_lab(red()), "TIFF")],
    "megabytes of text": [encoded(red(), pnginfo=text_of(8, compressed)) for compressed in (True, False)],
    "a profile of megabytes": [encoded(red(), icc_profile=b"\0" * (3 << 20))],
    "broken EXIF": [broken_exif()],
}


@pytest.mark.parametrize("name", READ)
def test_what_pillow_opens_is_read(name):
    for content in READ[name]:
        assert np.abs(np.subtract(center(content), RED)).max() <= 8


def grey(values: np.ndarray) -> bytes:
    return encoded(PIL.Image.fromarray(np.repeat(values[None], 80, axis=0)), "TIFF")


RAMP = np.linspace(0, 1, 80)
TONES = {
    "16 bits": grey((RAMP * 65535).astype(np.uint16)),
    "32 bits of 8": grey((RAMP * 255).astype(np.int32)),
    "32 bits of 16": grey((RAMP * 65535).astype(np.int32)),
    "32 bits": grey((RAMP * (2**31 - 1)).astype(np.int32)),
    "floats to 1": grey(RAMP.astype(np.float32)),
    "floats to 255": grey((RAMP * 255).astype(np.float32)),
    "floats to 65535": grey((RAMP * 65535).astype(np.float32)),
    "floats below 0": grey((RAMP * 6 - 3).astype(np.float32)),
}


@pytest.mark.parametrize("name", TONES)
def test_grey_of_any_depth_keeps_its_tones(name):
    tones = np.asarray(layers_of(read_picture("a", TONES[name]))[0])[40, :, 0].astype(float)
    assert np.abs(tones - RAMP * 255).max() <= 1


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


INSIDE = np.pad(np.ones((40, 40), bool), 20)  # of 80 x 80, a quarter


def keyed_png(bits: int, ink, paper) -> bytes:
    """A PNG of that depth, grey or of three values, whose paper is its transparent colour."""
    values = np.where(INSIDE[..., None], ink, paper)
    if bits < 8:
        values = np.stack([values[:, i :: 8 // bits] << (8 - bits * (i + 1)) for i in range(8 // bits)]).sum(0)
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 80, 80, bits, 0 if np.isscalar(paper) else 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", np.asarray(paper, ">u2").tobytes()), (b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in [*chunks, (b"IEND", b"")])


def gif(frame: tuple[int, int], transparency: int | None) -> bytes:
    """A GIF of 80 x 80 px whose only frame, of two colours, begins at 20, 20 if it is smaller."""
    image = PIL.Image.fromarray(INSIDE.astype(np.uint8), "P").crop((0, 0, *frame))
    if frame != (80, 80):
        image.paste(1, (0, 0, *frame))
    image.putpalette([0, 0, 0, *RED])
    content = encoded(image, "GIF", optimize=False, **({} if transparency is None else {"transparency": transparency}))
    place = content.index(b",\0\0\0\0" + struct.pack("<HH", *frame)) + 1
    left_top = struct.pack("<HH", 20, 20) if frame != (80, 80) else bytes(4)
    return content[:6] + struct.pack("<HH", 80, 80) + content[10:place] + left_top + content[place + 4 :]


def in_four_bytes(kind: str, unused: bool = False) -> bytes:
    """A picture of four bytes a pixel whose fourth is opacity; unused: it is 0 everywhere."""
    opacity = PIL.Image.fromarray(np.where(INSIDE & (not unused), 255, 0).astype(np.uint8))
    image = PIL.Image.merge("RGBA", (*red().split(), opacity))
    if kind != "BMP with masks":
        return encoded(image, kind)
    content = encoded(image, "BMP")  # a header of 40 bytes, behind which version 4 tells where red, green ... lie
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    head = struct.pack("<I", 108) + content[18:30] + struct.pack("<I", 3) + content[34:54]
    return content[:10] + struct.pack("<I", 122) + head + masks + content[54:]


KEYED = {
    "a BMP": (in_four_bytes("BMP"), RED),
    "a BMP with masks": (in_four_bytes("BMP with masks"), RED),
    "a TGA": (in_four_bytes("TGA"), RED),
    "1 bit": (keyed_png(1, 0, 1), (0, 0, 0)),
    "2 bits": (keyed_png(2, 1, 2), (85, 85, 85)),
    "4 bits": (keyed_png(4, 3, 9), (51, 51, 51)),
    "8 bits": (keyed_png(8, 3, 9), (3, 3, 3)),
    "16 bits": (keyed_png(16, 0x5000, 0x1234), (80, 80, 80)),
    "16 bits, almost the same": (keyed_png(16, 0x1235, 0x1234), (18, 18, 18)),
    "16 bits of colour": (keyed_png(16, (0xFF00, 0x8000, 0x10), (0x1234, 0x5678, 0x9ABC)), (255, 128, 0)),
    "a GIF": (gif((80, 80), 0), RED),
    "a GIF with a small frame": (gif((40, 40), 0), RED),
    "a GIF with a small frame and no transparent colour": (gif((40, 40), None), RED),
}


@pytest.mark.parametrize("name", KEYED)
def test_a_transparent_colour_is_transparent_at_any_depth(name):
    content, ink = KEYED[name]
    colors, alpha = layers_of(read_picture("a", content))
    np.testing.assert_array_equal(np.asarray(alpha) == 255, INSIDE)
    assert np.asarray(alpha)[~INSIDE].max() == 0
    assert np.abs(np.asarray(colors)[INSIDE].astype(int) - ink).max() <= 1


@pytest.mark.parametrize("kind", ["BMP", "BMP with masks", "TGA", "DIB"])
def test_room_for_opacity_that_is_not_used_lets_no_drawing_vanish(kind):
    colors, alpha = layers_of(read_picture("a", in_four_bytes(kind, unused=True)))
    assert alpha is None and np.abs(np.asarray(colors).astype(int) - RED).max() <= 1


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


NAMED = {
    "no picture": (b"<html>404</html>", "a.png is not a picture"),
    "nothing": (b"", "a.png is not a picture"),
    "cut off": (encoded(PIL.Image.effect_noise((80, 80), 50))[:3000], "a.png is cut off or damaged"),
    "a page for a printer": (encoded(red(), "EPS"), "a.png is not a picture"),
    "not a number": (grey(np.full(80, np.nan, np.float32)), "values that are not finite numbers"),
    "frames": (encoded(red(), "GIF", save_all=True, append_images=[red((80, 80), "L")]), "a.png holds 2 pictures"),
    "tiny": (encoded(red((63, 200))), "a.png is 63x200 px, and 64 px are the least"),
    "a claim of 90 million pixels": (png_claiming(9500, 9500), "a.png claims 9500x9500 pixels"),
    "a claim of billions": (png_claiming(60_000, 60_000), "a.png claims more pixels than can be read"),
    "a thread": (encoded(PIL.Image.new("L", (40_000, 64))), "a.png is 40000x64 px, too narrow a strip"),
    "a bomb of text": (encoded(red(), pnginfo=text_of(40, True)), "a.png (carries more text|is cut off .*text)"),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_no_drawing_is_named(name):
    content, sentence = NAMED[name]
    with pytest.raises(UserError, match=sentence) as caught:
        read_picture("a.png", content)
    assert "\n" not in str(caught.value)


def test_large_pictures_are_kept_smaller_and_strips_are_told():
    assert read_picture("a", encoded(PIL.Image.new("L", (5000, 3000)))).size == (MAXIMUM_SIDE, 1229)
    assert read_picture("a", encoded(red((3000, 3000)), "JPEG"), side=500).size == (500, 500)
    with pytest.warns(UserWarning, match="a is 800x16000 px, a strip that fills only 1/20 of its square"):
        assert read_picture("a", encoded(PIL.Image.new("L", (800, 16_000)))).size == (102, MAXIMUM_SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture("a", encoded(red((100, 64)))).size == (100, 64)


COST = """
import io, resource, sys
import PIL.Image
from comics_genai import drawings
for i in range(2):
    PIL.Image.new("RGB", (800, 16_000), (i, 0, 0)).save(f"{sys.argv[1]}/{i}.png")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
drawings.load(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_strip_takes_megabytes_not_gigabytes(tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", COST, tmp_path], cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1000 < 250  # MB; one of them padded as it is has 768


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(turn):
    image = red((100, 80))
    image.paste((0, 0, 250), (0, 0, 50, 40))
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    content = encoded(image, exif=exif)
    expected = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(content)))
    assert orientation_of(PIL.Image.open(io.BytesIO(content))) == turn
    np.testing.assert_array_equal(np.asarray(read_picture("a", content)), np.asarray(expected))


def test_a_kind_is_told_by_content_and_the_suffixes_are_pillows(tmp_path):
    (tmp_path / "nameless").write_bytes(encoded(red(), "JPEG"))
    (tmp_path / "notes").write_text("no picture")
    (tmp_path / "claiming").write_bytes(png_claiming(60_000, 60_000))
    assert is_picture(tmp_path / "claiming")  # so that it is named
    assert is_picture(tmp_path / "nameless") and not is_picture(tmp_path / "notes")
    assert {".png", ".jfif", ".tga", ".avif", ".webp", ".psd", ".jp2"} <= suffixes()
    assert not {".pdf", ".eps", ".svg", ".heic"} & suffixes()
