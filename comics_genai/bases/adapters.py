"""Load the results of fine-tunings into a base: adapters or full weights, one or several.

    adapter = load_adapter(base, "runs/unicorn_girl")
    both = load_adapters(base, ["runs/unicorn_girl", "me/her-other-adapter"])

Each has a scale s. The output of an adapter is multiplied by s. Full weights are mixed with the base's,

    theta = theta_0 + sum_i s_i (theta_i - theta_0),

With one fine-tuning, s < 1 is the interpolation of Wortsman et al. 2022 (WiSE-FT) and s > 1 an extrapolation. With
several, it is the addition of task vectors (Ilharco et al. 2023, sec. 2).
"""

import hashlib
import warnings
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
from comics_genai.hub.runs import run_folder
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
    recorded,
    weights_in,
)


@dataclass(frozen=True)
class Adapter:
    """The result of a fine-tuning that is loaded into a base: the run's name and a digest of its weights."""

    name: str
    digest: str
    full: bool  # all weights of the UNet instead of an adapter
    weight: float = 1.0  # multiplies the scale, so that several can be loaded with unequal shares


def load_adapter(base: Base, run: str | Path, best: bool = True) -> Adapter:
    """Load the result of a fine-tuning into `base`, replacing any that was loaded. `weights_of` says which weights.

    run: its folder, or OWNER/NAME of a repository on the Hub. Raises UserError if the run is not finished, was trained
    on another kind of base, or has lost the token that it learnt.
    """
    return load_adapters(base, [run], best)[0]


def load_adapters(base: Base, runs: Sequence[str | Path], best: bool = True) -> tuple[Adapter, ...]:
    """Load the results of several fine-tunings, in the order of `runs`, replacing any that were loaded.

    [] restores the base. Raises UserError as `load_adapter` does, and for runs that cannot be mixed.
    """
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
    for run in runs:
        _warn_of_another_base(base, run)
    return base.adapters


def set_scale(base: Base, adapters: Sequence[Adapter], scale: float) -> None:
    """Set the scale of each of `adapters` to `scale` times its own weight, and that of all others to 0."""
    scales = {adapter.digest: scale * adapter.weight for adapter in adapters}
    if absent := [adapter.name for adapter in adapters if adapter.digest not in {a.digest for a in base.adapters}]:
        raise UserError(f"{_list(absent)} not loaded into this base: load them with load_adapters first.")
    each = [scales.get(adapter.digest, 0.0) for adapter in base.adapters]
    if base.mixture is not None:
        base.mixture.mix(each)
    elif base.adapters:
        base.pipeline.set_adapters([_key(i) for i in range(len(each))], each)


def settings_of(run: str | Path) -> dict[str, Any]:
    """The settings of a fine-tuning; for an adapter of another tool only the name of its base, if it has one."""
    folder = run_folder(run)
    if is_run(folder) or weights_in(folder) is None:
        return finetuning_settings(folder, run)
    if (folder / PEFT_CONFIG).exists():
        named = read_object(folder / PEFT_CONFIG).get("base_model_name_or_path")
        if is_repository(named) and not is_local(named):
            return {"base": named}
    return {}


def base_of(run: str | Path, settings: Mapping[str, Any]) -> str:
    """The base that a run's settings name. A run from the Hub may not name a folder of this machine."""
    base = settings.get("base", "mini")
    if run and not Path(run).is_dir():
        return from_elsewhere(base, frozenset({"mini", *HUB_IDS}), f"The run {run}", "--base")
    if not isinstance(base, str):
        raise UserError(f"The settings of {run} name no base: give --base with the base that it was made on.")
    return base


def _warn_of_another_base(base: Base, run: str | Path) -> None:
    """Warn if the base's content is not that on which the run was trained, for example since it was trained anew."""
    folder = run_folder(run)
    record = recorded(folder) if is_run(folder) else {}
    before, settings = record.get("base_digest"), finetuning_settings(folder, run) if record else {}
    if not isinstance(before, str) or before == base.digest():
        return
    # Of a base on the Hub, half precision reads other files with the same weights.
    was_half = settings.get("precision") != "fp32" and settings.get("method") != "dreambooth"
    if base.name != "mini" and not Path(base.name).exists() and was_half != (base.precision != "fp32"):
        return
    warnings.warn(
        f"The run {run} was trained on a base whose content was {shown(before)}, and that of {base.name} is "
        f"'{base.digest()}': its pictures may not show the character, so restore that base or train anew.",
        stacklevel=4,
    )


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
    """The rank that the runs' adapters keep at full noise; 0 if they were trained with their whole rank throughout."""
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
    """Load the token that a run learnt, if one of them did; any other token is removed."""
    learnt = []
    for run, path in zip(runs, paths, strict=True):
        file = path.with_name(EMBEDS_FILE)
        if file.exists():
            learnt.append(file)
        elif is_run(run_folder(run)) and run_settings(run).get("learn_token"):
            raise UserError(
                f"The run {run} learnt a token, and {file} is not there: without it no prompt can name the character."
            )
    if len(learnt) > 1:
        raise UserError(f"{_list(runs)} learnt a token each, and a base takes one: draw with one of them at a time.")
    if learnt:
        LearnedToken.load(base, learnt[0])
    elif base.learned_token is not None:
        base.learned_token.remove()


class Mixture:
    """Full weights in a base, mixed with the base's own by the formula above.

    A second copy of the base's weights stays in the CPU's memory. Raises UserError for the weights of another model,
    and then leaves the base as it was.
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
        """Set the base's weights to theta for these scales, one for each file."""
        if list(scales) == self.scales:
            return
        self.remove()
        for i, (part, path, scale) in enumerate(zip(self.parts, self.paths, scales, strict=True)):
            targets = _tensors(part)
            with safetensors.safe_open(path, framework="pt") as file:
                # The base has no weight that corresponds to a learnt token.
                for name in (name for name in file.keys() if scale and not name.startswith("token.")):
                    original, tuned = self.originals[id(targets[name])][1].float(), file.get_tensor(name).float()
                    # At scale 1 this is exactly the file's tensor; theta_0 + (theta - theta_0) would be rounded.
                    mixed = torch.lerp(original, tuned, scale)
                    if i:
                        mixed += targets[name].float().cpu() - original  # the sum over the files before this one
                    targets[name].copy_(mixed)
        self.scales = list(scales)

    @torch.no_grad()
    def remove(self) -> None:
        """Restore the base's own weights."""
        self.scales = []
        for tensor, original in self.originals.values():
            tensor.copy_(original)


def _part(base: Base, path: Path) -> nn.Module:
    """The modules that the names in the file belong to: the UNet, or every trained part under its own prefix."""
    parts: dict[str, nn.Module] = {"unet": base.unet, **base.text_encoders()}
    if base.learned_token is not None:
        parts["token"] = base.learned_token
    named = False
    with suppress(OSError, safetensors.SafetensorError), safetensors.safe_open(path, framework="pt") as file:
        named = all(name.partition(".")[0] in parts for name in file.keys())
    return nn.ModuleDict(parts) if named else base.unet


def _check_covered(part: nn.Module, base: Base, path: Path) -> None:
    """Raise UserError if the file does not hold every weight of the UNet: the mixture would be neither model."""
    prefix = "" if part is base.unet else "unet."
    with safetensors.safe_open(path, framework="pt") as file:
        missing = sorted({f"{prefix}{name}" for name, _ in base.unet.named_parameters()} - set(file.keys()))
    if missing:
        raise UserError(f"{path} lacks {len(missing)} of the UNet's weights, such as {missing[0]}: copy it anew.")


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


def digest_of(weights: Path) -> str:
    """A digest (eight hex digits) of a run's weights and its token, by which records name them."""
    files = [path for path in (weights, weights.with_name(EMBEDS_FILE)) if path.exists()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def weights_of(run: str | Path, best: bool = True) -> Path:
    """The weights file of a finished fine-tuning, see `run.weights_in`. Raises UserError if there is none."""
    weights = weights_in(run_folder(run), best)
    if weights is not None:
        return weights
    raise UserError(f"{run} holds neither {LORA_FILE} nor {FULL_FILE}: give the folder of a finished fine-tuning.")


def run_settings(run: str | Path) -> dict[str, Any]:
    """The settings of a fine-tuning in a folder or a repository on the Hub. Raises UserError if it is neither."""
    return finetuning_settings(run_folder(run), run)
