"""What a run leaves on disk, written so that a file is whole or absent: settings, log, checkpoints, weights.

folder/settings.json                        the settings the run was started with
folder/log.jsonl                            one row per logged step, append-only
folder/checkpoints/step_000100.safetensors  everything needed to go on from step 100; the last two are kept
folder/weights.safetensors                  there only when the run is finished
"""

import errno
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from comics_genai.errors import UserError

# How long a run may take and how often it reports or saves changes nothing in its weights.
MAY_CHANGE = frozenset({"max_minutes", "log_every", "checkpoint_every"})
CHECKPOINTS_KEPT = 2
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
        raise _cannot_write(path, error, len(content)) from error


def _cannot_write(path: Path, error: OSError, size: int) -> UserError:
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


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make `folder` the folder of a run with these settings, or check that it is one already.

    Raises UserError naming the first setting that differs; those in MAY_CHANGE may, at any depth.
    """
    path = folder / "settings.json"
    new = json.loads(json.dumps(settings, default=str))
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not JSON: delete the folder {folder} or choose another.") from error
        difference = _first_difference(_flatten(old), _flatten(new))
        if difference is not None:
            name, before, now = difference
            raise UserError(
                f"The run in {folder} was started with {name} = {before}, and now {name} = {now}: use the earlier "
                "value to go on with it, or another folder for a new run."
            )
    for left_over in [*folder.glob(f".*{PARTIAL}"), *folder.glob(f"checkpoints/.*{PARTIAL}")]:
        left_over.unlink(missing_ok=True)
    write_atomic(path, (json.dumps(new, indent=2) + "\n").encode())


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _first_difference(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str, str] | None:
    for name in new | old:
        before, now = (json.dumps(flat[name]) if name in flat else "(absent)" for flat in (old, new))
        if before != now and name.rpartition(".")[2] not in MAY_CHANGE:
            return name, before, now
    return None


class Checkpoints:
    """The checkpoints of one run folder: saved whole or not at all, the last two kept."""

    def __init__(self, folder: Path):
        self.folder = folder / "checkpoints"

    def paths(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        return sorted(self.folder.glob("step_*.safetensors"), key=lambda path: int(path.stem.removeprefix("step_")))

    def save(self, step: int, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
        """Write the checkpoint of `step` (steps done), then drop those beyond the last two."""
        path = self.folder / f"step_{step:06d}.safetensors"
        save_tensors(path, tensors, {"step": step, **record})
        for old in self.paths()[:-CHECKPOINTS_KEPT]:
            old.unlink()
        return path

    def latest(self) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
        """Path, tensors and record of the newest checkpoint that can be read; None when there is none."""
        for path in reversed(self.paths()):
            try:
                return path, *load_tensors(path)
            except (OSError, ValueError, safetensors.SafetensorError) as error:
                warnings.warn(f"{path} is damaged ({error}) and is passed over.", stacklevel=2)
        return None


class Log:
    """log.jsonl: one JSON object a line, in order of `step`; figures that are not finite are written as null."""

    def __init__(self, folder: Path):
        self.path = folder / "log.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows; a line torn by a crash is left out."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    continue
        return rows

    def truncate(self, step: int) -> None:
        """Drop the rows after `step`: those steps are about to be taken again."""
        kept = [json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step]
        write_atomic(self.path, "".join(kept).encode())

    def append(self, row: Mapping[str, Any]) -> None:
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        line = (json.dumps(finite) + "\n").encode()
        try:
            # Unbuffered and in one write: a killed process leaves the whole row or none.
            with open(self.path, "ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            raise _cannot_write(self.path, error, len(line)) from error
