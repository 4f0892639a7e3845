"""A character's drawings, from a folder or the Hub: checked, upright, on paper, padded to squares, with captions.

    drawings.load("1_data/unicorn_girl")     a folder, with train/ and metadata.jsonl or flat
    drawings.load("owner/name")              a dataset on the Hugging Face Hub
"""

import io
import os
import re
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
from PIL import ImageOps

from comics_genai import environment
from comics_genai.drawings.captions import captions_of
from comics_genai.drawings.preparation import WHITE, Color, colors_of, composite, to_square
from comics_genai.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
UNREADABLE = frozenset({".heic", ".heif", ".svg", ".psd", ".clip", ".kra", ".procreate", ".pdf"})
MINIMUM_DRAWINGS = 2
MINIMUM_SIDE = 64  # pixels of the shorter side: below it there is nothing to learn lines from
MAXIMUM_PIXELS = 80_000_000  # a tall A3 page at 600 dpi; a picture that claims more is damaged or an attack
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Drawing:
    """One drawing of the character."""

    name: str  # file name, for records and messages
    image: PIL.Image.Image  # RGB, square
    caption: str  # empty if the drawings came without captions
    mask: PIL.Image.Image | None = None  # L, as large as the image, 255 where drawn; None if it had no transparency


def load(source: str | Path, *, paper: Color = WHITE, size: int | None = None) -> list[Drawing]:
    """The drawings of a folder or Hub dataset, in the order of their names (Hub: of the rows).

    A folder holds the pictures, or a folder train/ that does. Captions come from metadata.jsonl (`file_name`, `text`)
    or from NAME.txt beside NAME.png; either every picture has one or none. A relative folder is sought in the current
    folder, then in the repository. Transparency is laid on `paper`, and what is not square is padded with it to one,
    never cropped; `size` px a side, or each as large as it is.
    Warns of a picture that is there twice. Raises UserError for anything that is not at least two whole still pictures
    of 64 px or more.
    """
    folder = folder_of(source)
    if folder is not None:
        found = [_drawing(name, path, caption, paper, size) for name, (path, caption) in files_of(folder).items()]
    elif isinstance(source, Path) or not HUB_ID.fullmatch(source):
        raise UserError(f"There is no folder {source}: give a folder of drawings or a Hub dataset as owner/name.")
    else:
        found = _load_hub(source, paper, size)
    _warn_of_twins(found)
    return found


def load_one(path: str | Path, *, paper: Color = WHITE) -> Drawing:
    """A single picture, such as a sketch to begin from, read and checked as `load` does; its caption is empty."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"There is no picture {path}: give a file such as sketch.png.")
    return _drawing(path.name, path, "", paper, None)


def _warn_of_twins(drawings: list[Drawing]) -> None:
    first: dict[bytes, str] = {}
    for drawing in drawings:
        twin = first.setdefault(drawing.image.tobytes(), drawing.name)
        if twin != drawing.name:
            warnings.warn(
                f"{twin} and {drawing.name} are the same picture, which so counts twice in training: remove one.",
                stacklevel=3,
            )


def folder_of(source: str | Path) -> Path | None:
    """The folder `source` names, seen from here or from the repository; None if it may be a dataset's id."""
    path = Path(source).expanduser()
    for candidate in (path, environment.root() / path):
        if candidate.is_file():
            raise UserError(f"{candidate} is a file: give the folder that holds the drawings.")
        if candidate.is_dir():
            return candidate
    return None


def files_of(folder: Path) -> dict[str, tuple[Path, str]]:
    """The pictures of a folder by name, in order, each with its caption. Raises UserError as `load` does."""
    if (folder / "train").is_dir() and not _pictures(folder):
        folder = folder / "train"
    pictures = _pictures(folder)
    captions = captions_of(folder, pictures)
    # metadata.jsonl may also name pictures in folders below.
    pictures |= {name: folder / name for name in captions}
    _check_count(len(pictures), str(folder))
    uncaptioned = [name for name in sorted(pictures) if not captions.get(name)]
    if captions and uncaptioned:
        raise UserError(
            f"{_list(uncaptioned)} in {folder} without a caption, unlike others: caption every drawing or none."
        )
    return {name: (pictures[name], captions.get(name, "")) for name in sorted(pictures)}


def upright(path: Path) -> PIL.Image.Image:
    """The picture as it is looked at, sRGB, with its transparency if it has any, and with nothing else that its file
    says, such as the place where a photo was taken."""
    colors, alpha = colors_of(_read_picture(path.name, path))
    if alpha is not None:
        colors.putalpha(alpha)
    return colors


def _pictures(folder: Path) -> dict[str, Path]:
    """Names and paths of the pictures in the folder. Hidden files are those that other systems leave behind."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    if foreign := sorted(path.name for path in files if path.suffix.lower() in UNREADABLE):
        raise UserError(f"{_list(foreign)} in {folder} of a kind that cannot be read here: save as PNG.")
    return {path.name: path for path in files if path.suffix.lower() in SUFFIXES}


def _check_count(count: int, place: str) -> None:
    if count < MINIMUM_DRAWINGS:
        found = "only one picture" if count else "no pictures"
        raise UserError(f"There {'is' if count else 'are'} {found} in {place}: put at least {MINIMUM_DRAWINGS} there.")


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"


def _drawing(name: str, content: Path | io.BytesIO, caption: str, paper: Color, size: int | None) -> Drawing:
    picture = _read_picture(name, content)
    image, alpha = composite(picture, paper)
    if alpha is not None and alpha.getextrema()[1] == 0:
        raise UserError(f"{name} is wholly transparent: export the drawing with its layers shown.")
    mask = None if alpha is None else to_square(alpha, size, 0)
    return Drawing(name, to_square(image, size, paper), caption, mask)


def _read_picture(name: str, content: Path | io.BytesIO) -> PIL.Image.Image:
    """The whole picture, decoded and upright, in whatever mode it is stored."""
    try:
        with warnings.catch_warnings():
            # The size is judged below, before any pixel is decoded.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            picture = PIL.Image.open(content)
    except PIL.Image.DecompressionBombError as error:
        raise UserError(f"{name} claims more pixels than can be read: save it smaller.") from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"{name} cannot be read ({error.strerror}): check the file and its rights.") from error
        raise UserError(f"{name} is not a picture, or a damaged one: save it anew as PNG.") from error
    with picture:
        if picture.width * picture.height > MAXIMUM_PIXELS:
            raise UserError(f"{name} claims {picture.width}x{picture.height} pixels: save it smaller.")
        if min(picture.size) < MINIMUM_SIDE:
            raise UserError(
                f"{name} is {picture.width}x{picture.height} px, and {MINIMUM_SIDE} px are the least that shows "
                "anything: export it larger."
            )
        # A phone's MPO is a photo with its own preview behind it, not a sequence.
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            raise UserError(f"{name} holds {picture.n_frames} pictures, an animation or pages: save the one you mean.")
        if picture.mode == "F":
            raise UserError(f"{name} holds floating-point numbers of no agreed range: save it as 8-bit PNG.")
        try:
            picture.load()
            return ImageOps.exif_transpose(picture)
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
            raise UserError(f"{name} is cut off or damaged ({error}): copy or save it anew.") from error


def _load_hub(dataset_id: str, paper: Color, size: int | None) -> list[Drawing]:
    rows, picture_column = fetch(dataset_id)
    _check_count(len(rows), f"the dataset {dataset_id}")
    found = []
    for i, row in enumerate(rows):
        stored: dict[str, Any] = row[picture_column] or {}
        name = os.path.basename(stored.get("path") or f"row {i}")
        content = io.BytesIO(stored["bytes"]) if stored.get("bytes") else Path(stored.get("path") or name)
        found.append(_drawing(name, content, (row.get("text") or "").strip(), paper, size))
    return found


def fetch(dataset_id: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of the dataset's train split, pictures undecoded, and the name of the pictures' column."""
    import datasets
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
    from huggingface_hub.utils import httpx

    token = environment.secret("HF_TOKEN")
    try:
        # load_dataset tries half a minute before it says that there is no network; with HF_HUB_OFFLINE it needs none.
        with suppress(OfflineModeIsEnabled):
            HfApi(token=token).dataset_info(dataset_id, timeout=20)
        dataset = datasets.load_dataset(dataset_id, split="train", token=token)
    except (DataFilesNotFoundError, EmptyDatasetError) as error:
        raise UserError(f"The dataset {dataset_id} holds no pictures: put them in its folder train/.") from error
    except (DatasetNotFoundError, RepositoryNotFoundError) as error:
        raise UserError(
            f"{dataset_id} is neither a folder here nor a dataset on the Hub that you may read: check the name, and "
            "for a private or gated one set HF_TOKEN."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        advice = "set HF_TOKEN to a token that may read it" if status in (401, 403) else "try again later"
        raise UserError(f"The Hub refused the dataset {dataset_id} ({status}): {advice}.") from error
    except (httpx.HTTPError, ConnectionError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"{dataset_id} is no folder here, and the Hub cannot be reached: check the folder's name or your network."
        ) from error
    except ValueError as error:
        raise UserError(f"The dataset {dataset_id} cannot be read ({error}): give it a split train.") from error
    columns = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Image)]
    if not columns:
        raise UserError(f"The dataset {dataset_id} has no column of pictures, only {', '.join(dataset.features)}.")
    return list(dataset.cast_column(columns[0], datasets.Image(decode=False))), columns[0]
