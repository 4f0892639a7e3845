"""Pictures as the models take them: sRGB, on paper, padded to squares."""

import io

import PIL.Image
from PIL import ImageCms

Color = tuple[int, int, int]
WHITE: Color = (255, 255, 255)


def to_square(image: PIL.Image.Image, size: int | None = None, paper: Color | int = WHITE) -> PIL.Image.Image:
    """Pad with `paper` (0-255, as many values as the image has channels), centred, to a square of the longer side, then
    resize to `size` px if given."""
    side = max(image.size)
    square = image
    if image.width != image.height:
        square = PIL.Image.new(image.mode, (side, side), paper)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    if size is not None and size != side:
        square = square.resize((size, size), PIL.Image.Resampling.LANCZOS)
    return square


def composite(picture: PIL.Image.Image, paper: Color) -> tuple[PIL.Image.Image, PIL.Image.Image | None]:
    """The picture as sRGB on paper, and its opacity if it has any that is not full."""
    colors, alpha = colors_of(picture)
    if alpha is None:
        return colors, None
    return PIL.Image.composite(colors, PIL.Image.new("RGB", colors.size, paper), alpha), alpha


def colors_of(picture: PIL.Image.Image) -> tuple[PIL.Image.Image, PIL.Image.Image | None]:
    """The picture as sRGB, and its opacity if it has any that is not full."""
    profile = picture.info.get("icc_profile")
    picture = _eight_bits(picture)
    alpha = None
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        if alpha.getextrema()[0] == 255:
            alpha = None
    return _to_srgb(picture.convert("RGB") if picture.mode not in ("L", "CMYK") else picture, profile), alpha


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Grey of 16 bits, which Pillow would clip at 255, scaled to 8."""
    if picture.mode != "I" and not picture.mode.startswith("I;16"):
        return picture
    return picture.convert("I").point(lambda value: value * (255 / 65535) + 0.5).convert("L")


def _to_srgb(picture: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    """An L, RGB or CMYK picture as RGB; what its profile says of its colours is heeded, a broken profile is not."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted or picture.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            return picture.convert("RGB")
    return picture.convert("RGB")
