"""Fine-tuning a base on a character's drawings: DreamBooth, LoRA, and DreamBooth with LoRA weights, as one engine.

    finetune(FinetuneSettings(drawings="1_data/unicorn_girl"), Path("runs/unicorn_girl"))

`loss` holds what is learnt, `trainable` which weights learn it, and `training.loop` the loop.
"""

import copy
import hashlib
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from comics_genai import drawings, run
from comics_genai.bases import lora_files
from comics_genai.bases.base import DTYPES, Base
from comics_genai.bases.finite import check_weights
from comics_genai.bases.textual_inversion import LearnedToken
from comics_genai.errors import UserError
from comics_genai.files import load_weights
from comics_genai.finetuning import preflight
from comics_genai.finetuning.borrowed import borrowed
from comics_genai.finetuning.encoded_data import TrainingData, prepare
from comics_genai.finetuning.loss import FinetuneLoss
from comics_genai.finetuning.picked import picked_drawings
from comics_genai.finetuning.settings import FinetuneSettings, renamed
from comics_genai.finetuning.trainable import trainable_parts
from comics_genai.finetuning.validation import Validate, Validation
from comics_genai.run import EMA_FILE, EMBEDS_FILE
from comics_genai.training import attention, distributed
from comics_genai.training.loop import LoopSettings, TrainResult, train

Encode = Callable[[Base, Sequence[drawings.Drawing], FinetuneSettings, Path], TrainingData]


def finetune(
    settings: FinetuneSettings,
    folder: Path,
    device: str | torch.device = "cpu",
    validate: Validate | None = None,
    base: Base | None = None,
    encode: Encode = prepare,
    extend: bool = False,
) -> TrainResult:
    """Train until all steps are done, or a signal or the time budget stops it. The same call resumes the run.

    The folder gets the files of `loop.train` (settings.json, log.jsonl, checkpoints/, weights.safetensors); with LoRA
    pytorch_lora_weights.safetensors in diffusers' format with rank and alpha; with `learn_token`
    learned_embeds.safetensors; and every `validate_every` steps validation/step_000100.png from fixed noise.
    validate(step, pictures) returns figures to log. If they have a "score", best/ keeps the weights with the highest
    score so far, and best/chosen.json its step.

    base: settings.base if it is loaded already, in `settings.weights_precision` and on the device. It is restored
    afterwards, without an adapter. By default the base is loaded here and freed afterwards. encode: a replacement of
    `prepare` that reuses what an earlier run encoded. extend: the run may have been started with fewer steps, see
    `loop.train`. Raises UserError if the drawings, the base or the settings do not fit together, and for a folder that
    was started with others.
    """
    distributed.join()
    folder = Path(folder)
    if (place := drawings.folder_of(settings.drawings)) is not None and folder.exists() and place.samefile(folder):
        raise UserError(f"{folder} holds the drawings: give the run a folder of its own with --run.")
    character = drawings.load(settings.drawings, paper=settings.paper, caption_column=settings.caption_column)
    if distributed.is_first():
        print(f"{drawings.told(character)}.", flush=True)
    picked = picked_drawings(settings)
    if picked and distributed.is_first():
        print(f"Picked pictures join them: {', '.join(drawing.name for drawing in picked)}.", flush=True)
    character = [*_without(character, settings.left_out), *picked]
    record = {"finetune": asdict(settings), "drawings_digest": _digest(character)}
    run.bring_up_to_date(
        folder, renamed, {"finetune": asdict(FinetuneSettings()), "loop": asdict(LoopSettings(steps=1))}
    )
    run.follow(folder, record, "drawings")
    if run.is_finished(folder, record):
        return TrainResult(settings.steps, True, 0.0, f"The run in {folder} was finished before: nothing to train.")
    preflight.check_machine(settings, device, loaded=base is not None)
    with ExitStack() as lent:
        if base is None:
            base = Base.load(settings.base, device, settings.weights_precision)
        else:
            lent.enter_context(borrowed(base, settings, device))
        check_weights(base.modules(), base.name)
        record["base_digest"] = base.digest()
        run.follow(folder, record, "base")
        data = partial(encode, base, character, settings, folder.parent / "class_images")
        # The lock covers the last file too: otherwise a second process could find weights without an adapter.
        with run.held(folder) if distributed.is_first() else nullcontext():
            return _train(base, data, settings, folder, validate, record, extend)


def _train(
    base: Base,
    encoded: Callable[[], TrainingData],
    settings: FinetuneSettings,
    folder: Path,
    validate: Validate | None,
    record: dict[str, Any],
    extend: bool,
) -> TrainResult:
    """Encode the drawings, free what the steps do not need, train, and write the result."""
    if base.knows_word(settings.identifier):
        warnings.warn(
            f"The identifier {settings.identifier!r} is a word that this base knows, and its meaning will mix with the "
            "character: choose a word without a meaning, such as UnicornGirl.",
            stacklevel=3,
        )
    token = LearnedToken.like(base, settings.identifier, settings.class_name) if settings.learn_token else None
    data = encoded()  # includes the token, if there is one
    validates = settings.validate_every and distributed.is_first()
    validation = Validation(base, settings, folder, validate) if validates else None
    if not settings.changes_prompts:
        base.drop_text_encoders()
    if validation is None:
        base.drop_vae()
    frozen = _frozen_copy(base, settings)
    trainable = trainable_parts(base, settings, token)
    for unet in (base.unet, frozen):
        if unet is not None:
            attention.write_out(unet)
            if settings.compile:
                unet.compile(dynamic=False)
    if settings.gradient_checkpointing:
        base.unet.enable_gradient_checkpointing()
    preflight.check_room(trainable, settings, folder)
    trainable.train()
    result = _loop(trainable, FinetuneLoss(base, data, settings, frozen), settings, folder, validation, record, extend)
    if result.finished and distributed.is_first():
        if settings.ema_decay:
            load_weights(trainable, folder / EMA_FILE)
        if token is not None:
            token.save(folder / EMBEDS_FILE)
        if settings.method != "dreambooth":
            lora_files.write(base, folder)
    return result


def _frozen_copy(base: Base, settings: FinetuneSettings) -> nn.Module | None:
    """A copy of the UNet before training, if the prior needs its predictions and no adapter can be switched off."""
    if settings.method != "dreambooth" or not settings.asks_base:
        return None
    # The copy never changes, so it is kept in half precision instead of being cast in every step.
    return nn.Module.to(copy.deepcopy(base.unet), DTYPES[settings.precision])


def _loop(
    trainable: nn.Module,
    loss: FinetuneLoss,
    settings: FinetuneSettings,
    folder: Path,
    validation: Validation | None,
    record: dict[str, Any],
    extend: bool,
) -> TrainResult:
    describe = f"{settings.method} of {settings.identifier}"
    try:
        told = {"validate": validation, "describe": describe, "all_settings": record, "extend": extend}
        return train(trainable, loss, settings.loop(), folder, **told)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        raise UserError(
            f"The UNet cannot be compiled on this machine ({str(error).strip().splitlines()[0]}): a C++ compiler and "
            "Python's headers are needed (on Debian and Ubuntu: apt install g++ python3-dev); or leave compile off."
        ) from error


def _without(character: list[drawings.Drawing], left_out: tuple[int, ...]) -> list[drawings.Drawing]:
    """The drawings without those of these numbers."""
    kept = [drawing for i, drawing in enumerate(character) if i not in left_out]
    if not kept or max(left_out, default=0) >= len(character):
        raise UserError(
            f"left_out is {list(left_out)}, but there are {len(character)} drawings, from 0, of which one must remain."
        )
    return kept


def _digest(character: Sequence[drawings.Drawing]) -> str:
    digest = hashlib.sha256()
    for drawing in character:
        digest.update(f"{drawing.caption}{drawing.image.size}".encode() + drawing.image.tobytes())
    return digest.hexdigest()[:16]
