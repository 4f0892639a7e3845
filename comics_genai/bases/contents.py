"""The files of a base's folder: which ones belong to it, a digest of them, and a check that no tensor is missing.

files = files_of(folder, variant="fp16")     {"unet/config.json": Path, ...}
digest_of_files(files)                       "3f1c09ab"
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
from huggingface_hub import cached_assets_path
from torch import nn

from comics_genai.errors import UserError
from comics_genai.files import read_object, write_atomic

UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})  # parts that are not used here
LIBRARIES = ("diffusers", "transformers")  # whose classes make a base's parts
WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(?:\.(?!safetensors)(\w+))?(-\d+-of-\d+)?\.safetensors")
CACHED_FROM = 1_000_000  # bytes: hashing a smaller file is faster than looking its hash up
# The same tensors by their names in old files: transformers 5 dropped a level, diffusers renamed the VAE's attention.
RENAMED = ((r"^text_model\.", ""), (r"\.query\.", ".to_q."), (r"\.key\.", ".to_k."), (r"\.value\.", ".to_v."),
           (r"\.proj_attn\.", ".to_out.0."))  # fmt: skip


def variant_of(names: Iterable[str], half: bool) -> str | None:
    """Which variant of the weights to load, of files named as in a base's folder: of those there, "fp16" if half
    precision is enough (`half`), else the full one if it is there, else any.
    """
    found = {match[2] for name in names if name.startswith("unet/") and (match := WEIGHTS.fullmatch(name[5:]))}
    if "fp16" in found and (half or None not in found):
        return "fp16"
    return None if None in found or not found else min(filter(None, found))


def files_of(folder: Path, variant: str | None) -> dict[str, Path]:
    """The files of a diffusers folder that make up the base, by their names without the variant's name."""
    index = read_object(folder / "model_index.json").items()
    parts = [name for name, value in index if isinstance(value, list) and any(value)]
    found = {"model_index.json": folder / "model_index.json"}
    for part in parts:
        if part != "safety_checker":  # which is never loaded
            _check_known(folder, part, dict(index)[part])
        if part in UNUSED:
            continue
        if not (folder / part).is_dir():
            raise UserError(f"{folder} lacks the folder {part} that its model_index.json names: download it anew.")
        paths = sorted(path for path in (folder / part).iterdir() if path.is_file())
        weights = {path: match for path in paths if (match := WEIGHTS.fullmatch(path.name))}
        own = variant if any(match[2] == variant for match in weights.values()) else None
        for path in paths:
            if path.name.endswith(".index.json"):
                _check_shards(path)
            if path in weights and weights[path][2] == own:
                found[f"{part}/{weights[path][1]}{weights[path][3] or ''}.safetensors"] = path
            elif path.suffix in (".json", ".txt", ".model") and not path.name.endswith(".index.json"):
                found[f"{part}/{path.name}"] = path
    return found


def _check_known(folder: Path, part: str, made_of: list[Any]) -> None:
    """Raise UserError for a part that is made by other code than the libraries', which a folder may bring along."""
    known = len(made_of) == 2 and all(isinstance(name, str) for name in made_of) and made_of[0] in LIBRARIES
    if not known or set(part) & set("/\\\x00") or part.startswith("."):
        raise UserError(
            f"The {part[:80]} in {folder} is made by {str(made_of)[:80]}, and only classes of "
            f"{' and '.join(LIBRARIES)} are run here: choose another base."
        )


def _check_shards(index: Path) -> None:
    """Raise UserError unless the files that an index of weights names can only be files beside it."""
    named = read_object(index).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else [named]
    # Names alone are checked, because the Hub's cache consists of links.
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\x00"):
            raise UserError(f"{index} names {str(name)[:80]!r}, which is no file beside it: download it anew.")


def digest_of_files(files: Mapping[str, Path]) -> str:
    """A digest (eight hex digits) of the names and contents. Hashes of large files are cached by size and time."""
    remembered = _remembered()
    known = dict(remembered)
    lines = [f"{name} {_hash(path, known)}\n" for name, path in sorted(files.items())]
    if known != remembered:
        with suppress(OSError, UserError):
            present = {path: value for path, value in known.items() if Path(path).exists()}
            write_atomic(_place(), json.dumps(present).encode())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:8]


def _remembered() -> dict[str, Any]:
    with suppress(OSError, UserError):
        return read_object(_place())
    return {}


def _place() -> Path:
    """The cache's place: beside the downloads of the Hub's library, so that all folders of this user share it."""
    return cached_assets_path("comics_genai", "bases", "digests") / "digests.json"


def _hash(path: Path, known: dict[str, Any]) -> str:
    if path.suffix == ".json":
        with suppress(ValueError, OSError, RecursionError):
            # Entries that libraries add are left out: their versions, and the folder it was loaded from.
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                left_out = ("_diffusers_version", "_name_or_path", "transformers_version")
                content = {name: value for name, value in content.items() if name not in left_out}
            return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    state = path.stat()
    key, seen = str(path.resolve()), [state.st_size, state.st_mtime_ns]
    if isinstance(known.get(key), list) and known[key][:2] == seen and len(known[key]) == 3:
        return str(known[key][2])
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if state.st_size >= CACHED_FROM:
        known[key] = [*seen, found]
    return found


def check_complete(modules: Mapping[str, nn.Module], files: Mapping[str, Path], base: str) -> None:
    """Raise UserError, naming part and tensor, if a tensor is in no file: libraries would fill it at random."""
    for part, module in modules.items():
        written: set[str] = set()
        for name, path in files.items():
            if name.startswith(f"{part}/") and path.suffix == ".safetensors":
                with safetensors.safe_open(path, framework="pt") as file:
                    written |= {_plain(key) for key in file.keys()}
        missing = sorted(name for name in module.state_dict() if _plain(name) not in written)
        if written and missing:
            raise UserError(
                f"The {part} of the base {base} lacks {len(missing)} of its tensors, such as {missing[0]}: its files "
                "are incomplete or of another version, copy or download them anew."
            )


def _plain(name: str) -> str:
    for old, new in RENAMED:
        name = re.sub(old, new, name)
    return name
