"""Fetch a data set of drawings from the Hugging Face Hub, stored as files or as rows of a table."""

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import constants

from comics_genai.drawings.caption_files import BESIDE, COLUMNS, TABLES, caption_text
from comics_genai.drawings.folder import MAXIMUM_DRAWINGS
from comics_genai.drawings.opening import suffixes
from comics_genai.errors import UserError
from comics_genai.hub import access
from comics_genai.paths import lies_in

SECONDS = 20  # to wait for an answer; load_dataset alone needs half a minute to report that there is no network


def fetch(dataset_id: str) -> Path | list[dict[str, Any]]:
    """A folder with the data set's files; or, if it is stored as a table, the rows of its train split.

    The pictures in the rows are not decoded. Raises UserError if the data set cannot be read.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    token = access.token()
    with _sentences(dataset_id):
        try:
            info = HfApi(token=token).dataset_info(dataset_id, timeout=SECONDS)
        except OfflineModeIsEnabled:
            try:
                return Path(snapshot_download(dataset_id, repo_type="dataset", local_files_only=True))
            except LocalEntryNotFoundError:
                return _rows(dataset_id, token)
        names = [file.rfilename for file in info.siblings or []]
        if not (wanted := _like_a_folder(names)):
            return _rows(dataset_id, token)
        if sum(_suffix(name) in suffixes() for name in wanted) > MAXIMUM_DRAWINGS:
            raise UserError(f"{dataset_id} holds more than {MAXIMUM_DRAWINGS:,} pictures: choose the best of them.")
        patterns = [glob.escape(name) for name in wanted]
        found = snapshot_download(
            dataset_id, repo_type="dataset", revision=info.sha, allow_patterns=patterns, token=token
        )
        return Path(found)


def caption_of(row: dict[str, Any], column: str, place: str) -> str:
    """The caption in a table's row. Raises UserError if the column is missing or does not hold a text."""
    if column and column not in row:
        raise UserError(f"{place} has no column {column!r}, only {', '.join(row)}: name the one with the captions.")
    chosen = column or next((name for name in COLUMNS if name in row), "")
    return caption_text(row.get(chosen), f'"{chosen}" in {place}') if chosen else ""


def _like_a_folder(names: list[str]) -> list[str]:
    """The pictures and captions among a repository's files; [] if it stores tables or archives instead."""
    if any(_suffix(name) in (".parquet", ".arrow", ".zip", ".tar", ".gz") for name in names):
        return []
    pictures = [name for name in names if _suffix(name) in suffixes()]
    captions = [name for name in names if PurePosixPath(name).name in TABLES or _suffix(name) in BESIDE]
    return pictures + captions if pictures else []


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _rows(dataset_id: str, token: str | None) -> list[dict[str, Any]]:
    """The rows of the train split. Each begins with its picture, {"path": ..., "bytes": ...}."""
    import datasets

    try:
        dataset = datasets.load_dataset(dataset_id, split="train", token=token)
    except ValueError as error:
        raise UserError(f"The dataset {dataset_id} cannot be read ({error}): give it a split train.") from error
    columns = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Image)]
    if not columns:
        raise UserError(f"The dataset {dataset_id} has no column of pictures, only {', '.join(dataset.features)}.")
    first = columns[0]
    if len(dataset) > MAXIMUM_DRAWINGS:
        raise UserError(
            f"{dataset_id} holds {len(dataset):,} pictures, more than {MAXIMUM_DRAWINGS:,}: choose the best."
        )
    undecoded = dataset.cast_column(first, datasets.Image(decode=False))
    kept = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH, constants.HF_HUB_CACHE)
    _check_own(dataset_id, [row[first] for row in undecoded], [Path(place) for place in kept])
    return [{first: row[first], **{name: row[name] for name in row if name != first}} for row in undecoded]


def _check_own(dataset_id: str, pictures: Sequence[dict[str, Any] | None], kept: Sequence[Path]) -> None:
    """Raise UserError for a picture that is neither in the table nor in one of the folders `kept` for downloads."""
    for i, stored in enumerate(pictures):
        if not stored or not (stored.get("path") or stored.get("bytes")):
            raise UserError(f"Row {i} of {dataset_id} has no picture: remove the row.")
        if not stored.get("bytes") and not any(lies_in(place, Path(stored["path"])) for place in kept):
            raise UserError(
                f"Row {i} of {dataset_id} names {stored['path'][:100]}, a file of the machine it was made on: upload "
                "the pictures themselves."
            )


@contextmanager
def _sentences(dataset_id: str) -> Iterator[None]:
    """A context in which refusals by the Hub and the datasets library become sentences."""
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx

    with access.answers(dataset_id, kind="dataset"):
        try:
            yield
        except (DataFilesNotFoundError, EmptyDatasetError) as error:
            raise UserError(f"The dataset {dataset_id} holds no pictures: put them in its folder train/.") from error
        except DatasetNotFoundError as error:
            raise UserError(
                f"{dataset_id} is neither a folder here nor a dataset on the Hub that you may read: check the name, "
                "and for a private or gated one set HF_TOKEN."
            ) from error
        except (httpx.ConnectError, ConnectionError, OfflineModeIsEnabled) as error:
            raise UserError(
                f"{dataset_id} is not a folder here, and the Hub cannot be reached: check the folder's name or the "
                "network."
            ) from error
