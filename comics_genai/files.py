"""Files that are whole or absent: atomic writing, and safetensors read and written."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from comics_genai.errors import UserError

PARTIAL = ".partial"


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


def cannot_write(path: Path, error: OSError, size: int) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            f"The disk is full: {path} ({size / 1e6:.1f} MB) could not be written; what was saved earlier is intact, "
            "so free some space and start the same run again."
        )
    return UserError(f"{path} cannot be written ({error.strerror}): check the folder or choose another.")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any] | None = None) -> None:
    """Write tensors, and a JSON-able `record` as metadata, to one safetensors file; equal tensors give equal bytes."""
    # One metadata entry only: safetensors does not fix the order of several, so bytes would differ from run to run.
    metadata = None if record is None else {"record": json.dumps(record)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, safetensors.torch.save(whole, metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and record of a file that `save_tensors` wrote."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        # A generic loader may hand out views that are not aligned; kernels may round differently on those.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    return tensors, json.loads(metadata.get("record", "{}"))


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the tensors of a weights.safetensors or ema.safetensors into `model`, in place.

    Names absent from the file (frozen parameters) keep their values. Raises UserError if the file is damaged or holds
    a name or a shape that the model does not have.
    """
    try:
        tensors, _ = load_tensors(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}): delete it and train again.") from error
    copy_into(dict(model.named_parameters()) | dict(model.named_buffers()), tensors, path)


def copy_into(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy every tensor into its namesake; UserError, before anything is changed, where name or shape do not match."""
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
