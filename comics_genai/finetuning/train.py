"""Fine-tuning a base on a character's drawings: DreamBooth, LoRA, and DreamBooth with LoRA weights, as one engine.

    finetune(FinetuneSettings(drawings="1_data/unicorn_girl"), Path("runs/unicorn_girl"))

DreamBooth (Ruiz et al. 2023, eq. 2) binds the identifier to the drawings and holds the class where it was:

    L = E w_t |f(z_t, t, "UnicornGirl, a girl, ...") - y|^2  +  lambda E w_t |f(z'_t, t, "a girl, ...") - y'|^2

y is the noise or v (see `objective`), w_t the min-SNR weight. In the second term, prior preservation, either z' are
class pictures that the base drew once (the paper's), or z' = z and y' is what the frozen base predicts there: with
LoRA simply the adapter switched off, no class pictures needed.
"""

import copy
import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from comics_genai import drawings
from comics_genai.bases.base import DTYPES, Base, Embeddings
from comics_genai.bases.finite import check_weights
from comics_genai.bases.textual_inversion import LearnedToken
from comics_genai.errors import UserError
from comics_genai.files import load_weights, write_atomic
from comics_genai.finetuning.encoded_data import TrainingData, prepare
from comics_genai.finetuning.settings import LORA_TARGETS, TEXT_TARGETS, FinetuneSettings
from comics_genai.finetuning.validation import Validate, Validation, save_lora
from comics_genai.planning import preflight
from comics_genai.run import EMA_FILE, EMBEDS_FILE, FULL_FILE, LORA_FILE
from comics_genai.training import attention, distributed, objective
from comics_genai.training.loop import TrainResult, train


def finetune(
    settings: FinetuneSettings, folder: Path, device: str | torch.device = "cpu", validate: Validate | None = None
) -> TrainResult:
    """Train until done, stopped or out of time; started again, go on, or return at once when finished.

    The folder gets what `loop.train` writes (settings.json, log.jsonl, checkpoints/, weights.safetensors), for LoRA
    pytorch_lora_weights.safetensors in diffusers' format with rank and alpha, with `learn_token`
    learned_embeds.safetensors, and every `validate_every` steps
    validation/step_000100.png from fixed noise; validate(step, pictures) returns figures to log beside it. Where they
    have a "score", best/ keeps the weights with the highest so far, and best/chosen.json says at which step.
    Raises UserError for drawings, a base or settings that do not fit, and for a folder begun with other ones.
    """
    distributed.join()
    folder = Path(folder)
    character = drawings.load(settings.drawings, paper=settings.paper, caption_column=settings.caption_column)
    if distributed.is_first():
        print(f"{drawings.told(character)}.", flush=True)
    record = {"finetune": asdict(settings), "drawings_digest": _digest(character)}
    full = settings.method == "dreambooth"
    _follow(folder, record, "drawings")
    if _finished(folder, record):
        return TrainResult(settings.steps, True, 0.0, f"The run in {folder} was finished before: nothing to train.")
    preflight.check_machine(settings, device)
    # Frozen weights may be in half precision; weights that are trained may not.
    base = Base.load(settings.base, device, "fp32" if full else settings.precision)
    check_weights(base.modules(), base.name)
    record["base_digest"] = base.digest()
    _follow(folder, record, "base")
    if base.knows_word(settings.identifier):
        warnings.warn(
            f"The identifier {settings.identifier!r} is a word that this base knows, and its meaning will mix with the "
            "character: take one that nobody uses, such as UnicornGirl.",
            stacklevel=2,
        )
    token = LearnedToken.like(base, settings.identifier, settings.class_name) if settings.learn_token else None
    data = prepare(base, character, settings, folder.parent / "class_images")
    del character  # in full size
    validates = settings.validate_every and distributed.is_first()
    validation = Validation(base, settings, folder, validate) if validates else None
    if not settings.changes_prompts:
        base.drop_text_encoders()
    if validation is None:
        base.drop_vae()
    frozen = None
    if full and settings.preserves_prior and settings.prior == "prediction":
        # What never changes need not be cast anew in every step, nor kept in float32.
        frozen = nn.Module.to(copy.deepcopy(base.unet), DTYPES[settings.precision])
    trainable: nn.Module = _make_trainable(base.unet, settings)
    parts: dict[str, nn.Module] = {}
    if settings.train_text_encoders:
        for name, module in base.text_encoders().items():
            parts[name] = module.requires_grad_(True) if full else _adapted(module, settings, TEXT_TARGETS)
    if token is not None:
        parts["token"] = token
    if parts:
        trainable = nn.ModuleDict({"unet": trainable, **parts})
    for unet in (base.unet, frozen):
        if unet is not None:
            attention.write_out(unet)
            if settings.compile:
                unet.compile(dynamic=False)
    if settings.gradient_checkpointing:
        base.unet.enable_gradient_checkpointing()
    preflight.check_room(trainable, settings, folder)
    trainable.train()
    try:
        result = train(
            trainable,
            Objective(base, data, settings, frozen),
            settings.loop(),
            folder,
            validate=validation,
            describe=f"{settings.method} of {settings.identifier}",
            all_settings=record,
        )
    except torch._dynamo.exc.BackendCompilerFailed as error:
        raise UserError(
            f"The UNet cannot be compiled on this machine ({str(error).strip().splitlines()[0]}): a C++ compiler and "
            "Python's headers are needed (on Debian and Ubuntu: apt install g++ python3-dev); or leave compile off."
        ) from error
    if result.finished and distributed.is_first():
        if settings.ema_decay:
            load_weights(trainable, folder / EMA_FILE)
        if token is not None:
            token.save(folder / EMBEDS_FILE)
        if not full:
            save_lora(base, folder)
    return result


def _digest(character: Sequence[drawings.Drawing]) -> str:
    digest = hashlib.sha256()
    for drawing in character:
        digest.update(f"{drawing.caption}{drawing.image.size}".encode() + drawing.image.tobytes())
    return digest.hexdigest()[:16]


def _follow(folder: Path, record: dict[str, Any], name: str) -> None:
    """Let a run know where its drawings or its base lie now: by their digest they are the same."""
    path, digest = folder / "settings.json", f"{name}_digest"
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        moved = old[digest] == record[digest] and old["finetune"][name] != record["finetune"][name]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if moved:
        old["finetune"][name] = record["finetune"][name]
        write_atomic(path, (json.dumps(old, indent=2) + "\n").encode())


def _finished(folder: Path, record: dict[str, Any]) -> bool:
    """True if the folder holds the result of a run with these settings; whatever differs is the loop's to refuse."""
    full = record["finetune"]["method"] == "dreambooth"
    results, path = [FULL_FILE if full else LORA_FILE], folder / "settings.json"
    if record["finetune"]["learn_token"]:
        results.append(EMBEDS_FILE)
    if not (path.exists() and all((folder / name).exists() for name in results)):
        return False
    old = json.loads(path.read_text(encoding="utf-8"))
    return all(old.get(name) == json.loads(json.dumps(value)) for name, value in record.items())


def _make_trainable(unet: nn.Module, settings: FinetuneSettings) -> nn.Module:
    """The UNet with only the weights of the method requiring gradients, those in float32."""
    if settings.method == "dreambooth":
        return unet.requires_grad_(True)
    return _adapted(unet, settings, LORA_TARGETS[settings.lora_targets])


def _adapted(module: nn.Module, settings: FinetuneSettings, targets: list[str]) -> nn.Module:
    """The module with a fresh adapter at `targets`, the only part of it that requires gradients, in float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module.add_adapter(
            LoraConfig(
                r=settings.rank,
                lora_alpha=settings.alpha,
                lora_dropout=settings.lora_dropout,
                use_dora=settings.dora,
                init_lora_weights="gaussian",
                target_modules=targets,
            )
        )
    # In half precision many small updates would round away.
    cast_training_params(module, dtype=torch.float32)
    return module


class Objective:
    """The loss of a step, callable as `loop.train` wants it. Nothing in it waits for the device."""

    def __init__(self, base: Base, data: TrainingData, settings: FinetuneSettings, frozen: nn.Module | None = None):
        self.base, self.data, self.settings, self.frozen = base, data, settings, frozen
        self.alpha_bar = objective.alpha_bar(base.pipeline.scheduler).to(base.device)
        self.lora_layers = [module for module in base.unet.modules() if isinstance(module, BaseTunerLayer)]

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        settings, data, count = self.settings, self.data, self.settings.batch_size
        variants = data.latents.shape[1]
        # In turn, so that every drawing is seen as often as it counts, whatever the batch size.
        chosen = data.turns[(torch.arange(count) + step * count) % len(data.turns)]
        variant = torch.randint(variants, (count,), generator=generator)
        latents = data.latents[chosen, variant]
        shares = None if data.shares is None else data.shares[chosen, variant]
        time_ids = None if data.time_ids is None else data.time_ids[chosen]
        noise, t = self._noise(latents, generator), self._timesteps(count, generator)
        noised, targets, weights = self._diffused(latents, noise, t)
        dropped = torch.rand(count, generator=generator) < settings.caption_dropout
        prompts = self._prompts(chosen, dropped)
        if not settings.preserves_prior:
            prediction = self.base.predict(noised, t, prompts, time_ids)
            loss = self._weighted(prediction, targets, weights, shares)
            return loss, {}
        owners = chosen
        if settings.prior == "prediction":
            prior_noised, prior_t, prior_weights = noised, t, weights
            prior_time_ids = time_ids
            prior_targets = self._frozen_prediction(noised, t, data.class_prompts[chosen], time_ids)
        else:
            picture = torch.randint(len(data.class_latents), (count,), generator=generator)
            prior_latents, owners = data.class_latents[picture], data.class_of[picture]
            prior_noise, prior_t = self._noise(prior_latents, generator), self._timesteps(count, generator)
            prior_noised, prior_targets, prior_weights = self._diffused(prior_latents, prior_noise, prior_t)
            prior_time_ids = None if time_ids is None else data.class_time_ids.expand(count, -1)
        prior_prompts = self._class_prompts(owners)
        # Both terms in one pass: small batches cost nearly as much as large ones.
        prediction, prior_prediction = self.base.predict(
            torch.cat([noised, prior_noised]),
            torch.cat([t, prior_t]),
            Embeddings.cat([prompts, prior_prompts]),
            None if time_ids is None else torch.cat([time_ids, prior_time_ids]),
        ).chunk(2)
        instance = self._weighted(prediction, targets, weights, shares)
        prior = self._weighted(prior_prediction, prior_targets, prior_weights)
        logs = {"loss_drawings": instance.detach(), "loss_prior": prior.detach()}
        return instance + settings.prior_weight * prior, logs

    def _prompts(self, chosen: Tensor, dropped: Tensor) -> Embeddings:
        """The prompts of the drawings `chosen`, and no prompt where `dropped`; encoded anew if those change."""
        if self.settings.changes_prompts:
            rows = zip(chosen.tolist(), dropped.tolist(), strict=True)
            return self.base.embed(["" if left_out else self.data.texts[i] for i, left_out in rows])
        rows = Embeddings.cat([self.data.prompts, self.data.unconditional])
        return rows[torch.where(dropped, len(self.data.prompts), chosen)]

    def _class_prompts(self, chosen: Tensor) -> Embeddings:
        if self.settings.train_text_encoders:
            return self.base.embed([self.data.class_texts[i] for i in chosen.tolist()])
        return self.data.class_prompts[chosen]

    def _noise(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(latents.shape, generator=generator)
        if offset := self.settings.noise_offset:
            noise += offset * torch.randn(*latents.shape[:2], 1, 1, generator=generator)
        return noise.to(latents.device, non_blocking=True)

    def _timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) uniform in the training steps, spread evenly over the batch: less variance, the same mean (Kingma
        et al. 2021)."""
        u = (torch.rand(1, generator=generator) + torch.randperm(count, generator=generator) / count) % 1
        return (u * len(self.alpha_bar)).long().to(self.alpha_bar.device, non_blocking=True)

    def _diffused(self, latents: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noised latents, targets, and loss weights (B,)."""
        alpha_bar_t, kind = self.alpha_bar[t], self.base.prediction_type
        weights = objective.min_snr_weight(objective.snr(alpha_bar_t), self.settings.min_snr_gamma, kind)
        noised = objective.add_noise(latents, noise, alpha_bar_t)
        return noised, objective.target(noise, latents, alpha_bar_t, kind), weights

    @staticmethod
    def _weighted(prediction: Tensor, targets: Tensor, weights: Tensor, shares: Tensor | None = None) -> Tensor:
        """Squared error, each picture's weighted; `shares` (B, 1, h, w), of mean 1, weights places within them."""
        errors = (prediction.float() - targets).square()
        if shares is not None:
            errors = shares * errors
        return (weights * errors.mean((1, 2, 3))).mean()

    @torch.no_grad()
    def _frozen_prediction(self, noised: Tensor, t: Tensor, prompts: Embeddings, time_ids: Tensor | None) -> Tensor:
        """What the base itself says: its frozen copy, or the UNet with the adapter switched off."""
        if self.frozen is not None:
            trained, self.base.unet = self.base.unet, self.frozen
            try:
                return self.base.predict(noised, t, prompts, time_ids).float()
            finally:
                self.base.unet = trained
        for layer in self.lora_layers:
            layer.enable_adapters(False)
        try:
            return self.base.predict(noised, t, prompts, time_ids).float()
        finally:
            for layer in self.lora_layers:
                layer.enable_adapters(True)
