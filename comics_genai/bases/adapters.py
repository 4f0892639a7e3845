"""What fine-tunings left in their run folders, loaded into a base: adapters or full weights, one or several.

    adapter = load_adapter(base, "runs/unicorn_girl")
    both = load_adapters(base, ["runs/unicorn_girl", "me/her-other-adapter"])

All have a scale s. An adapter's output is multiplied by it. Full weights are mixed with the base's,

    theta = theta_0 + sum_i s_i (theta_i - theta_0),

which for one and s < 1 is the interpolation of Wortsman et al. 2022 (WiSE-FT), for s > 1 an extrapolation, and for
several the addition of task vectors (Ilharco et al. 2023, sec. 2).
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from comics_genai.bases import lora_files
from comics_genai.bases.base import HUB_IDS, Base
from comics_genai.bases.textual_inversion import LearnedToken
from comics_genai.errors import UserError
from comics_genai.files import load_weights, read_object
from comics_genai.hub_runs import run_folder
from comics_genai.paths import from_elsewhere, is_local, is_repository
from comics_genai.ranges import shown
from comics_genai.run import (
    EMA_FILE,
    EMBEDS_FILE,
    FULL_FILE,
    LORA_FILE,
    PEFT_CONFIG,
    finetuning_settings,
    is_run,
    weights_in,
)


@dataclass(frozen=True)
class Adapter:
    """What a fine-tuning left, loaded into a base: the run's name and a digest of the weights."""

    name: str
    digest: str
    full: bool  # all weights of the UNet, not an adapter beside them
    weight: float = 1.0  # its own part of the scale that all are drawn with, for several at once


def load_adapter(base: Base, run: str | Path, best: bool = True) -> Adapter:
    """Load the result of a fine-tuning into `base`, in place of any loaded before; which weights, see `weights_of`.

    run: its folder, or OWNER/NAME of a repository on the Hub.

    Raises UserError when the run is not finished, was trained on another kind of base, or lacks the token it learnt.
    """
    return load_adapters(base, [run], best)[0]


def load_adapters(base: Base, runs: Sequence[str | Path], best: bool = True) -> tuple[Adapter, ...]:
    """Load the results of several fine-tunings, in the order of `runs`, in place of any loaded before; [] leaves the
    base as it was without any. Raises UserError as `load_adapter` does, and for runs that cannot be mixed."""
    paths = [weights_of(run, best) for run in runs]
    kinds = {path.name != FULL_FILE and path.name != EMA_FILE for path in paths}
    if len(kinds) > 1:
        raise UserError(f"{_list(runs)} hold adapters and full weights, which cannot be mixed: give runs of one kind.")
    _unload(base)
    _load_token(base, runs, paths)
    if kinds == {True}:
        for i, path in enumerate(paths):
            _load_lora(base, path, _key(i))
        base.shrink_rank(_least_rank(runs))
    elif paths:
        base.mixture = Mixture(base, paths)
    base.adapters = tuple(
        Adapter(Path(run).resolve().name, digest_of(path), kinds == {False})
        for run, path in zip(runs, paths, strict=True)
    )
    set_scale(base, base.adapters, 1.0)
    return base.adapters


def set_scale(base: Base, adapters: Sequence[Adapter], scale: float) -> None:
    """Give each of `adapters` the scale times its own weight, and those that are loaded beside them none."""
    scales = {adapter.digest: scale * adapter.weight for adapter in adapters}
    if absent := [adapter.name for adapter in adapters if adapter.digest not in {a.digest for a in base.adapters}]:
        raise UserError(f"{_list(absent)} not loaded into this base: load what you draw with by load_adapters.")
    each = [scales.get(adapter.digest, 0.0) for adapter in base.adapters]
    if base.mixture is not None:
        base.mixture.mix(each)
    elif base.adapters:
        base.pipeline.set_adapters([_key(i) for i in range(len(each))], each)


def settings_of(run: str | Path) -> dict[str, Any]:
    """The settings of a fine-tuning; of an adapter that other tools made, the name of its base if it says one."""
    folder = run_folder(run)
    if is_run(folder) or weights_in(folder) is None:
        return finetuning_settings(folder, run)
    if (folder / PEFT_CONFIG).exists():
        named = read_object(folder / PEFT_CONFIG).get("base_model_name_or_path")
        if is_repository(named) and not is_local(named):
            return {"base": named}
    return {}


def base_of(run: str | Path, settings: Mapping[str, Any]) -> str:
    """The base that a run's settings name. Those of a run from the Hub may name none of this machine's folders."""
    base = settings.get("base", "mini")
    if run and not Path(run).is_dir():
        return from_elsewhere(base, frozenset({"mini", *HUB_IDS}), f"The run {run}", "--base")
    if not isinstance(base, str):
        raise UserError(f"The settings of {run} name no base: say by --base which it was made on.")
    return base


def _key(i: int) -> str:
    """peft's name for the i-th adapter."""
    return f"adapter_{i}" if i else "adapter"


def _list(names: Sequence[str | Path]) -> str:
    return f"{', '.join(map(str, names))} {'is' if len(names) == 1 else 'are'}".removesuffix(" are")


def _unload(base: Base) -> None:
    base.adapters = ()
    base.shrink_rank(0)
    base.pipeline.unload_lora_weights()
    if base.mixture is not None:
        base.mixture.remove()
        base.mixture = None


def _load_lora(base: Base, path: Path, key: str) -> None:
    """Load an adapter, whole or not at all."""
    try:
        lora_files.load(base, path, key)
    except UserError:
        _unload(base)
        raise
    for module in (base.unet, *base.text_encoders().values()):
        module.to(base.device).requires_grad_(False)


def _least_rank(runs: Sequence[str | Path]) -> int:
    """The rank that the runs' adapters keep at full noise; 0 for those trained with all of it at any noise."""
    known = [run for run in runs if is_run(run_folder(run))]
    values = [run_settings(run).get("least_rank", 0) for run in known] + [0] * (len(known) < len(runs))
    for run, value in zip(known, values, strict=False):
        if not isinstance(value, int):
            raise UserError(f"The settings of {run} are damaged: least_rank is {shown(value)}, but must be a number.")
    found = set(values)
    if len(found) > 1:
        raise UserError(f"{_list(runs)} were trained with other ranks at full noise ({sorted(found)}): draw with one.")
    return max(found)


def _load_token(base: Base, runs: Sequence[str | Path], paths: Sequence[Path]) -> None:
    """The token that a run learnt, if one did, and no other."""
    learnt = []
    for run, path in zip(runs, paths, strict=True):
        file = path.with_name(EMBEDS_FILE)
        if file.exists():
            learnt.append(file)
        elif is_run(run_folder(run)) and run_settings(run).get("learn_token"):
            raise UserError(
                f"The run {run} learnt a token, and {file} is not there: without it nobody knows the character."
            )
    if len(learnt) > 1:
        raise UserError(f"{_list(runs)} learnt a token each, and a base takes one: draw with one of them at a time.")
    if learnt:
        LearnedToken.load(base, learnt[0])
    elif base.learned_token is not None:
        base.learned_token.remove()


class Mixture:
    """Full weights in a base, kept apart from the base's own so that they can be mixed (the formula above).

    A second copy of the base's weights stays in the CPU's memory. Raises UserError for weights of another model, which
    leave the base as it was.
    """

    def __init__(self, base: Base, paths: Sequence[Path]):
        self.paths = list(paths)
        self.parts: list[nn.Module] = [_part(base, path) for path in paths]
        tensors = [tensor for part in self.parts for tensor in _tensors(part).values()]
        self.originals = {id(tensor): (tensor, tensor.detach().to("cpu", copy=True)) for tensor in tensors}
        self.scales: list[float] = []
        try:
            for part, path in zip(self.parts, paths, strict=True):
                load_weights(part, path)
                _check_covered(part, base, path)
        except UserError:
            self.remove()
            raise

    @torch.no_grad()
    def mix(self, scales: Sequence[float]) -> None:
        """Give the base the weights theta of these scales, one for each file."""
        if list(scales) == self.scales:
            return
        self.remove()
        for i, (part, path, scale) in enumerate(zip(self.parts, self.paths, scales, strict=True)):
            targets = _tensors(part)
            with safetensors.safe_open(path, framework="pt") as file:
                # A learnt token has no counterpart in the base.
                for name in (name for name in file.keys() if scale and not name.startswith("token.")):
                    original, tuned = self.originals[id(targets[name])][1].float(), file.get_tensor(name).float()
                    # Exactly the file's tensor at 1, as theta_0 + (theta - theta_0) is not.
                    mixed = torch.lerp(original, tuned, scale)
                    if i:
                        mixed += targets[name].float().cpu() - original  # what the files before this one brought
                    targets[name].copy_(mixed)
        self.scales = list(scales)

    @torch.no_grad()
    def remove(self) -> None:
        """Give the base its own weights back."""
        self.scales = []
        for tensor, original in self.originals.values():
            tensor.copy_(original)


def _part(base: Base, path: Path) -> nn.Module:
    """What the names in the file belong to: the UNet, or all that was trained, each part's names behind its own."""
    parts: dict[str, nn.Module] = {"unet": base.unet, **base.text_encoders()}
    if base.learned_token is not None:
        parts["token"] = base.learned_token
    named = False
    with suppress(OSError, safetensors.SafetensorError), safetensors.safe_open(path, framework="pt") as file:
        named = all(name.partition(".")[0] in parts for name in file.keys())
    return nn.ModuleDict(parts) if named else base.unet


def _check_covered(part: nn.Module, base: Base, path: Path) -> None:
    """UserError where the file lacks a weight of the UNet: mixed with the base's it would be neither."""
    prefix = "" if part is base.unet else "unet."
    with safetensors.safe_open(path, framework="pt") as file:
        missing = sorted({f"{prefix}{name}" for name, _ in base.unet.named_parameters()} - set(file.keys()))
    if missing:
        raise UserError(f"{path} lacks {len(missing)} of the UNet's weights, such as {missing[0]}: copy it anew.")


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


def digest_of(weights: Path) -> str:
    """Eight hex digits of a run's weights and the token beside them, as records name them."""
    files = [path for path in (weights, weights.with_name(EMBEDS_FILE)) if path.exists()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def weights_of(run: str | Path, best: bool = True) -> Path:
    """The file with the weights of a finished fine-tuning: the checkpoint its validation chose, if it chose one and
    `best`, else the last. Raises UserError where there is none."""
    weights = weights_in(run_folder(run), best)
    if weights is not None:
        return weights
    raise UserError(f"{run} holds neither {LORA_FILE} nor {FULL_FILE}: give the folder of a finished fine-tuning.")


def run_settings(run: str | Path) -> dict[str, Any]:
    """The settings of a fine-tuning, of its folder or its repository on the Hub. Raises UserError if it is neither."""
    return finetuning_settings(run_folder(run), run)
