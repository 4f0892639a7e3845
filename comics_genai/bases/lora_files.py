"""Files of adapters: equal adapters are written to equal bytes, and a file is loaded whole or not at all.

folder/pytorch_lora_weights.safetensors                        as diffusers and this package write it
folder/adapter_model.safetensors, folder/adapter_config.json   as peft writes it, of a UNet
"""

import dataclasses
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import safetensors
import torch
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from comics_genai.bases.base import Base, quiet_loading
from comics_genai.bases.loading import UNREADABLE, first_line
from comics_genai.errors import UserError
from comics_genai.files import load_tensors, read_object, safetensors_bytes, write_atomic
from comics_genai.run import LORA_FILE, PEFT_CONFIG, PEFT_FILE

METADATA = "lora_adapter_metadata"  # diffusers' name for it


def write(base: Base, folder: Path) -> Path:
    """Write the adapters of all networks that have one, with rank and alpha; returns the file.

    Raises UserError if the file cannot be written.
    """
    # All names are peft's. diffusers' own conversion renames only attention, and its loader takes the first name as the
    # pattern for all, so it would leave attention out without an error.
    adapted = {name: module for name, module in _parts(base).items() if hasattr(module, "peft_config")}
    tensors, config = {}, {}
    for name, module in adapted.items():
        tensors |= {f"{name}.{key}": tensor for key, tensor in get_peft_model_state_dict(module).items()}
    for name, values in _collate_lora_metadata(adapted).items():
        part = name.removesuffix("_lora_adapter_metadata")
        # Without the base's path, which is one of this machine.
        values = {key: value for key, value in values.items() if key != "base_model_name_or_path"}
        config |= {f"{part}.{key}": _sorted(value) for key, value in values.items()}
    metadata = {"format": "pt", METADATA: json.dumps(config, indent=2, sort_keys=True)}
    path = folder / LORA_FILE
    write_atomic(path, safetensors_bytes(tensors, metadata))
    return path


def _sorted(value: Any) -> Any:
    """Sets, whose order changes from process to process, and lists of names as sorted lists."""
    named = isinstance(value, set | frozenset | list | tuple) and all(isinstance(entry, str) for entry in value)
    return sorted(value) if named else value


def load(base: Base, path: Path, key: str) -> None:
    """Load an adapter file into the base under peft's name `key`.

    Raises UserError if the file is damaged or the base has no place for one of its tensors. The caller then has to
    unload the part that is already in the base.
    """
    tensors, _ = load_tensors(path)
    _check_metadata(path, {name.partition(".")[0] for name in tensors})
    try:
        # diffusers warns of text encoders without adapters, and of UNets that have some already.
        with quiet_loading(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            if path.name == PEFT_FILE:
                tensors = _load_peft(base, path, tensors, key)
            else:
                # Without the last argument, diffusers would try a damaged file as a pickle.
                base.pipeline.load_lora_weights(
                    path.parent, weight_name=path.name, adapter_name=key, use_safetensors=True
                )
    except UNREADABLE as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(
            f"The adapter {path} does not fit the base {base.name} ({first_line(error)[:200]}): use the base it was "
            "made on."
        ) from error
    _check_whole(base, path, {name for name in tensors if not name.endswith(".alpha")}, key)


def _check_metadata(path: Path, parts: set[str]) -> None:
    """Raise UserError unless the file has no metadata of an adapter, or such that peft can build one from.

    parts: the networks that the file holds tensors of, each of which has a rank.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        said = (file.metadata() or {}).get(METADATA)
    if said is None:
        return
    try:
        values = json.loads(said)
        faults = [name for name, value in values.items() if not _holds(name.rpartition(".")[2], value)]
        faults += [f"no {part}.r" for part in sorted(parts) if f"{part}.r" not in values]
    except (ValueError, RecursionError, AttributeError):
        faults = ["no JSON object"]
    if faults:
        raise UserError(
            f"The metadata of the adapter {path} are damaged or of another program ({faults[0][:60]}): copy or "
            "download it anew, or train again."
        )


def _holds(name: str, value: Any) -> bool:
    """Whether peft knows the setting, and takes a value of this type."""
    defaults = {one.name: one.default for one in dataclasses.fields(LoraConfig)}
    if name not in defaults:
        return False
    if name in ("r", "lora_alpha", "lora_dropout"):
        known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return known and (value > 0 or name == "lora_dropout")
    if name == "target_modules":
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    return not isinstance(defaults[name], bool) or isinstance(value, bool | str)  # "gaussian" for a start of weights


def _load_peft(base: Base, path: Path, tensors: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    """Load an adapter of a UNet that peft wrote; returns its tensors under diffusers' names."""
    config = read_object(path.with_name(PEFT_CONFIG))
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not all(isinstance(value, int | float) and value > 0 for value in (rank, alpha)):
        raise UserError(f"{path.with_name(PEFT_CONFIG)} has no r and lora_alpha: give an adapter that is a LoRA.")
    if config.get("use_rslora"):
        alpha *= rank**0.5  # which scales by alpha / sqrt(r)
    renamed = {f"unet.{re.sub(r'^base_model[.]model[.]', '', name)}": tensor for name, tensor in tensors.items()}
    alphas = {name.replace(".lora_A.weight", ".alpha"): alpha for name in renamed if name.endswith(".lora_A.weight")}
    base.pipeline.load_lora_into_unet(
        dict(renamed), network_alphas=alphas, unet=base.unet, adapter_name=key, _pipeline=base.pipeline
    )
    return renamed


def _check_whole(base: Base, path: Path, names: set[str], key: str) -> None:
    loaded: set[str] = set()
    for part, module in _parts(base).items():
        if key in getattr(module, "peft_config", {}):
            loaded |= {f"{part}.{name}" for name in get_peft_model_state_dict(module, adapter_name=key)}
    if len(loaded) == len(names):
        return
    left_over, missing = sorted(names - loaded), sorted(loaded - names)
    example = f"such as {left_over[0]}" if len(names) > len(loaded) else f"and lacks {missing[0]}"
    raise UserError(
        f"The adapter {path} fits the base {base.name} only in part: of its {len(names)} tensors the base has places "
        f"for {len(loaded)}, {example}. Use the base it was made on."
    )


def _parts(base: Base) -> dict[str, nn.Module]:
    return {"unet": base.unet, **base.text_encoders()}
