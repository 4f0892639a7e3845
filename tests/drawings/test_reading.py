"""What people have in a folder becomes upright squares on paper with captions, or one clear sentence."""

import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from comics_genai import drawings
from comics_genai.errors import UserError

RED, BLUE = (200, 30, 20), (20, 40, 210)


def picture(color=RED, size=(80, 80), mode="RGB") -> PIL.Image.Image:
    return PIL.Image.new("RGB", size, color).convert(mode)


def fill(folder: Path, count: int = 2, size=(80, 80)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture((10 * i, 0, 0), size).save(folder / f"{i:02}.png")
    return folder


def caption(folder: Path, rows: list[dict]) -> Path:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def center(image: PIL.Image.Image) -> tuple[int, ...]:
    return image.getpixel((image.width // 2, image.height // 2))


def refusal(source, **options) -> str:
    with pytest.raises(UserError) as caught:
        drawings.load(source, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


def load_with(folder: Path, name: str, image: PIL.Image.Image, **options) -> drawings.Drawing:
    """The drawing that comes of one picture saved between two plain ones."""
    image.save(fill(folder) / name, **options)
    return next(drawing for drawing in drawings.load(folder) if drawing.name == name)


def test_imagefolder_layout_gives_pictures_in_order_with_captions(tmp_path):
    fill(tmp_path / "train", 3)
    rows = [{"file_name": f"0{i}.png", "text": f"drawing {i} «é»"} for i in (2, 0, 1)]
    caption(tmp_path / "train", rows)
    found = drawings.load(str(tmp_path))
    assert [drawing.name for drawing in found] == ["00.png", "01.png", "02.png"]
    assert [drawing.caption for drawing in found] == ["drawing 0 «é»", "drawing 1 «é»", "drawing 2 «é»"]
    assert [center(drawing.image) for drawing in found] == [(0, 0, 0), (10, 0, 0), (20, 0, 0)]
    assert all(drawing.mask is None and drawing.image.mode == "RGB" for drawing in found)


def test_pictures_without_any_caption_have_empty_ones(tmp_path):
    assert [drawing.caption for drawing in drawings.load(fill(tmp_path))] == ["", ""]


def test_a_picture_that_is_there_twice_is_warned_of_and_two_hundred_are_not_too_many(tmp_path):
    folder = fill(tmp_path / "many", 25)
    for i in range(25, 200):
        picture((i, 10, 0)).save(folder / f"{i:03}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(drawings.load(folder)) == 200
    picture((199, 10, 0)).save(folder / "again.png")
    with pytest.warns(UserWarning, match="199.png and again.png are the same picture"):
        assert len(drawings.load(folder)) == 201


def test_relative_folder_is_found_in_the_repository_from_anywhere(tmp_path, monkeypatch):
    fill(tmp_path / "1_data" / "girl")
    (tmp_path / "comics_genai").mkdir()
    monkeypatch.setattr("comics_genai.environment.root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path / "comics_genai")
    assert len(drawings.load("1_data/girl")) == 2


def test_wide_and_tall_pictures_are_padded_on_both_sides_and_never_cropped(tmp_path):
    wide = drawings.to_square(picture(RED, (100, 60)), paper=BLUE)
    assert wide.size == (100, 100)
    assert [wide.getpixel((50, y)) for y in (19, 20, 79, 80)] == [BLUE, RED, RED, BLUE]
    tall = load_with(tmp_path, "tall.png", picture(RED, (70, 140)))
    assert tall.image.size == (140, 140)
    assert [tall.image.getpixel((x, 70)) for x in (0, 34, 35, 139)] == [RED] * 4  # its border goes on
    assert tall.box == (35, 0, 105, 140)


def test_size_resizes_pictures_and_masks_alike(tmp_path):
    picture(RED, (90, 90), "RGBA").save(fill(tmp_path) / "a.png")
    half = picture(RED, (100, 80), "RGBA")
    half.putalpha(PIL.Image.new("L", half.size, 128))
    half.save(tmp_path / "b.png")
    found = {drawing.name: drawing for drawing in drawings.load(tmp_path, size=64)}
    assert {drawing.image.size for drawing in found.values()} == {(64, 64)}
    assert found["a.png"].mask is None
    assert found["b.png"].mask.size == (64, 64)
    assert (found["b.png"].mask.getpixel((32, 32)), found["b.png"].mask.getpixel((32, 0))) == (128, 0)


def test_transparency_is_laid_on_paper_and_kept_as_mask(tmp_path):
    fill(tmp_path)
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[..., :3] = RED
    pixels[20:60, 20:60, 3] = 255
    pixels[20:60, 60:70, 3] = 128
    PIL.Image.fromarray(pixels).save(tmp_path / "cut_out.png")
    found = next(d for d in drawings.load(tmp_path, paper=(0, 255, 0)) if d.name == "cut_out.png")
    assert [found.image.getpixel((x, 40)) for x in (5, 40)] == [(0, 255, 0), RED]
    assert np.abs(np.subtract(found.image.getpixel((65, 40)), (100, 142, 10))).max() <= 1
    assert [found.mask.getpixel((x, 40)) for x in (5, 40, 65)] == [0, 255, 128]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_colour_named_transparent_becomes_paper(tmp_path, mode):
    image = picture((0, 0, 0), mode="RGB")
    image.paste((150, 150, 150), (0, 0, 40, 80))
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    transparent = image.getpixel((60, 40))
    found = load_with(tmp_path, "key.png", image, transparency=transparent)
    assert [found.image.getpixel((x, 40)) for x in (10, 60)] == [(150, 150, 150), (255, 255, 255)]
    assert [found.mask.getpixel((x, 40)) for x in (10, 60)] == [255, 0]


def test_grey_of_sixteen_bits_keeps_its_tones(tmp_path):
    grey = np.repeat(np.linspace(0, 65535, 80).astype(np.uint16)[None], 80, axis=0)
    found = load_with(tmp_path, "deep.png", PIL.Image.fromarray(grey))
    tones = np.asarray(found.image)[40, :, 0].astype(float)
    assert np.abs(tones - np.linspace(0, 255, 80)).max() <= 1


def test_palette_and_cmyk_keep_their_colours(tmp_path):
    assert center(load_with(tmp_path, "few.gif", picture(RED).quantize(8)).image) == RED
    cmyk = load_with(tmp_path, "print.jpg", picture(RED, mode="CMYK"), quality=95)
    assert np.abs(np.subtract(center(cmyk.image), RED)).max() <= 4


def test_an_embedded_colour_profile_is_heeded_and_a_broken_one_is_not(tmp_path):
    # Lab's profile reads no RGB and so must be passed over; sRGB's must change nothing.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for i, profile in enumerate((lab, srgb, b"no profile")):
        image = load_with(tmp_path, f"profile{i}.png", picture(RED), icc_profile=profile).image
        assert np.abs(np.subtract(center(image), RED)).max() <= 1


def test_photographs_are_turned_upright(tmp_path):
    image = picture(RED, (100, 80))
    image.paste(BLUE, (0, 0, 100, 40))  # the upper half; orientation 6 says: turn clockwise, blue to the right
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    found = load_with(tmp_path, "phone.jpg", image, exif=exif, quality=98).image
    assert found.size == (100, 100)
    assert np.abs(np.subtract(found.getpixel((70, 50)), BLUE)).max() <= 6
    assert np.abs(np.subtract(found.getpixel((30, 50)), RED)).max() <= 6


def test_a_phones_two_pictures_in_one_jpeg_give_the_first(tmp_path):
    image = load_with(tmp_path, "phone.mpo.jpg", picture(RED), format="MPO", save_all=True, append_images=[picture()])
    assert np.abs(np.subtract(center(image.image), RED)).max() <= 4


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_animations_and_pages_are_refused(tmp_path, suffix):
    frames = [picture(RED), picture(BLUE), picture((0, 255, 0))]
    frames[0].save(fill(tmp_path) / f"moving.{suffix}", save_all=True, append_images=frames[1:])
    assert f"moving.{suffix} holds 3 pictures" in refusal(tmp_path)


def test_folders_that_hold_too_little_are_refused(tmp_path):
    assert "There are no pictures in" in refusal(tmp_path)
    assert "There is only one picture in" in refusal(fill(tmp_path / "one", 1))
    assert "There is no folder" in refusal(tmp_path / "absent")
    assert "There is no folder not a name" in refusal("not a name")
    assert "is a file: give the folder" in refusal(fill(tmp_path / "two") / "00.png")


def test_an_empty_train_folder_is_named(tmp_path):
    (tmp_path / "train").mkdir()
    assert f"no pictures in {tmp_path / 'train'}" in refusal(tmp_path)


def test_cut_off_and_fake_pictures_are_named(tmp_path):
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8))
    for suffix in ("png", "jpg", "gif", "webp"):
        folder = fill(tmp_path / suffix)
        noise.save(folder / f"cut.{suffix}")
        whole = (folder / f"cut.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
        assert f"cut.{suffix} is" in refusal(folder), suffix
    for name, content in {"fake.png": b"GIF? no.", "empty.png": b"", "page.png": b"<html>404</html>"}.items():
        folder = fill(tmp_path / name)
        (folder / name).write_bytes(content)
        assert f"{name} is not a picture" in refusal(folder)


def test_tiny_pictures_are_refused(tmp_path):
    assert "00.png is 8x8 px" in refusal(fill(tmp_path, size=(8, 8)))
    assert "thin.png is 400x20 px" in refusal_of(tmp_path / "thin", "thin.png", picture(RED, (400, 20)))


def refusal_of(folder: Path, name: str, image: PIL.Image.Image) -> str:
    image.save(fill(folder) / name)
    return refusal(folder)


@pytest.mark.parametrize("side", [9_500, 60_000])
def test_pictures_that_unpack_to_gigabytes_are_refused_unread(tmp_path, side):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (fill(tmp_path) / "bomb.png").write_bytes(content)
    assert "bomb.png claims" in refusal(tmp_path)


def test_a_wholly_transparent_picture_is_refused(tmp_path):
    assert "void.png is wholly transparent" in refusal_of(tmp_path, "void.png", PIL.Image.new("RGBA", (80, 80)))


def test_a_single_picture_is_read_with_the_same_checks(tmp_path):
    PIL.Image.new("RGBA", (80, 100), (250, 0, 0, 0)).save(tmp_path / "empty.png")
    PIL.Image.new("RGB", (80, 100), (250, 0, 0)).save(tmp_path / "sketch.png")
    one = drawings.load_one(tmp_path / "sketch.png")
    assert (one.name, one.image.size, one.caption) == ("sketch.png", (100, 100), "")
    assert (
        one.image.getpixel((0, 50)) == (250, 0, 0)
        and one.box == (10, 0, 90, 100)
        and one.image.getpixel((50, 50)) == (250, 0, 0)
    )
    with pytest.raises(UserError, match="empty.png is wholly transparent"):
        drawings.load_one(tmp_path / "empty.png")
    with pytest.raises(UserError, match="There is no picture .*absent.png: give a file"):
        drawings.load_one(tmp_path / "absent.png")
