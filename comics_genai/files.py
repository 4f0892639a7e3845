"""Atomic writing, so that a file is whole or absent, and reading of JSON and safetensors that may be damaged."""

import errno
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from comics_genai.errors import UserError

PARTIAL = ".partial"
LOCK = ".lock"
OLD = 600  # seconds: what a writer on another machine leaves for as long is left over
CHECKSUM = "crc32"  # its name in a file's record


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path` through a temporary file beside it: at any instant `path` is the old file or the new.

    Raises UserError when the disk is full or the folder cannot be written; `path` is then as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error, len(content)) from error


def cannot_write(path: Path, error: OSError, size: int = 0) -> UserError:
    """A UserError that names the cause of a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        much = f" ({size / 1e6:.1f} MB)" if size else ""
        return UserError(
            f"The disk is full: {path}{much} could not be written; what was saved earlier is intact, "
            "so free some space (or files, where their number is limited) and start the same run again."
        )
    return UserError(f"{path} cannot be written ({error.strerror or error}): check the folder or choose another.")


@contextmanager
def one_writer(folder: Path, sentence: str, wait: float = 0.0) -> Iterator[None]:
    """A context in which no other process writes in `folder`. The system frees the lock when a process dies.

    sentence: the UserError of a process that waited for the lock for more than `wait` seconds. A process that holds the
    lock may enter the context again.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, timeout=wait, is_singleton=True, thread_local=False)
        lock.acquire()
    except filelock.Timeout:
        raise UserError(sentence) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS,
                                                          errno.ENOTDIR, errno.EEXIST):  # fmt: skip
            raise cannot_write(folder, error) from error
        yield  # some network drives have no locks
        return
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path, alone: bool = False) -> None:
    """Remove the temporary files that killed processes left in `folder`.

    alone: no other process can be writing there. Otherwise only old files go that no process here is writing.
    """
    for path in folder.glob(f".*{PARTIAL}"):
        try:
            writer = path.name.removesuffix(PARTIAL).rpartition(".")[2]
            if alone or (time.time() - path.lstat().st_mtime > OLD and not _runs(int(writer))):
                path.unlink()
        except (OSError, ValueError):
            continue


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def read_text(path: Path) -> str:
    """The text of a file, without a byte-order mark. Raises UserError if it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: it is damaged, or of something else.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): check that it is there.") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises UserError for anything else."""
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON, or was cut off: restore it or delete it.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object: restore it or delete it.")
    return value


def read_rows(path: Path, needs: str = "") -> list[dict[str, Any]]:
    """The JSON objects of a file that has one in each line; empty lines are skipped.

    needs: the name of a text field that every object must have. Only a line feed ends a line, because JSON texts may
    hold other separators, such as U+2028. Raises UserError with the number of a line that is not such an object.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"Line {number} of {path} is not JSON, or was cut off: mend or remove the line.") from error
        if not isinstance(row, dict) or (needs and not isinstance(row.get(needs), str)):
            wanted = f'object with a text "{needs}"' if needs else "object"
            raise UserError(f"Line {number} of {path} is no JSON {wanted}: it is damaged, or of another program.")
        rows.append(row)
    return rows


def json_line(value: Any) -> str:
    """The value as JSON on one line, its letters as they are; half a character, which no file can hold, as JSON's own
    escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file; equal tensors and metadata give equal bytes.

    safetensors itself writes metadata in an order that changes from process to process. Here it is sorted.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(whole)
    if not metadata:
        return content
    (length,) = struct.unpack("<Q", content[:8])
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8 : 8 + length])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    return b"".join([struct.pack("<Q", len(text)), text, memoryview(content)[8 + length :]])


def save_tensors(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any] | None = None) -> None:
    """Write tensors and a checksum to a safetensors file, with the JSON-able `record` as its metadata.

    Equal tensors and records give equal bytes.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    told = {**(record or {}), CHECKSUM: checksum(whole)}
    write_atomic(path, safetensors_bytes(whole, {"record": json.dumps(told)}))


def checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of tensors on the CPU, their names, types and shapes."""
    value = 0
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy(), value)
    return value


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file, on the CPU, and its record ({} if `save_tensors` did not write the file).

    Raises UserError if the file is cut off, changed, absent, or not a safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # A generic loader may hand out views that are not aligned; kernels may round differently on those.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        record = json.loads(metadata.get("record", "{}"))
        if not isinstance(record, dict):
            raise ValueError("its record is no object")
        if CHECKSUM in record and record.pop(CHECKSUM) != checksum(tensors):
            raise ValueError("its checksum is another")
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise _damaged(path, error) from error
    return tensors, record


def record_of(path: Path) -> dict[str, Any]:
    """Only the record of a file that `save_tensors` wrote, {} for any other. Raises UserError for a damaged file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get("record", "{}"))
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise _damaged(path, error) from error
    return record if isinstance(record, dict) else {}


def _damaged(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"There is no file {path}: restore it, or make it anew.")
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"{path} is damaged or not a safetensors file ({said}): copy or download it anew, or train again.")


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the tensors of a weights.safetensors or ema.safetensors into `model`, in place.

    Names absent from the file (frozen parameters) keep their values. Raises UserError if the file is damaged or holds
    a name or a shape that the model does not have.
    """
    tensors, _ = load_tensors(path)
    copy_into(dict(model.named_parameters()) | dict(model.named_buffers()), tensors, path)


def copy_into(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy every tensor into the target of the same name.

    Raises UserError, before anything is changed, if a name is missing among the targets or a shape differs.
    """
    for name, tensor in tensors.items():
        if name not in targets:
            raise UserError(f"{path} holds {name}, which this model does not have: it belongs to another model.")
        if targets[name].shape != tensor.shape:
            raise UserError(
                f"{path} holds {name} of shape {tuple(tensor.shape)}, but this model's is "
                f"{tuple(targets[name].shape)}: it belongs to another model."
            )
    for name, tensor in tensors.items():
        targets[name].data.copy_(tensor)
