"""The memory and time that each phase of a fine-tuning takes on a GPU, with a given recipe.

    job = Job(PlanSettings(base="sdxl", method="lora"), "fp16")
    job.phases(recipe)["training"]["activations"]

The phases of `finetune` and `generate` are encoding, drawing class pictures, training, validation and sampling. In
each, other models are on the GPU. A recipe is a choice of the settings that decide how much memory they take.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any, Literal

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from torch import Tensor, nn

from comics_genai.bases import architectures
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import LORA_TARGETS, FinetuneSettings
from comics_genai.planning import meter
from comics_genai.planning.gpus import GPU, Kernel
from comics_genai.planning.meter import Cost
from comics_genai.ranges import LARGEST_SIDE, MOST_STEPS, check, number, whole
from comics_genai.training import optimizers

PHASES = ("encoding", "class pictures", "training", "validation", "sampling")
DRAWINGS = 6
# `recipes` chooses between the first two.
OPTIMIZERS = {"adamw": "AdamW", "adamw8bit": "8-bit AdamW", "adafactor": "Adafactor", "prodigy": "Prodigy"}


@dataclass(frozen=True)
class PlanSettings:
    """A fine-tuning and a GPU. Raises UserError for a value out of its range."""

    base: str = "sdxl"
    """sdxl, noobai, sd15, mini, or a diffusers folder"""
    method: Literal["dreambooth", "lora", "dreambooth-lora"] = "dreambooth-lora"
    gpu: str = ""
    """t4, p100, v100, l4, a10g, rtx3060, rtx4090, a100, h100, ..."""
    memory_gib: float = 0.0
    """of a GPU that is not in the table, or instead of the table's; without --gpu no time is estimated"""
    resolution: int = 0
    """pixels each way; 0 = the base's own"""
    steps: int = 500
    rank: int = 16
    lora_targets: Literal["attention", "all"] = FinetuneSettings.lora_targets
    batch_size: int = 1
    """drawings in each step; prior preservation doubles it"""
    validates: bool = False
    """pictures are drawn between steps, as with --validate-every"""
    precision: Literal["", "fp32", "bf16", "fp16"] = ""
    """by default the one that the GPU has in hardware"""
    preset: str = ""
    """name of a preset, whose settings and GPU are planned unless other options are given"""
    json: bool = False
    """print a JSON object"""

    def __post_init__(self) -> None:
        ranges = {
            "memory_gib": number(self.memory_gib, 0, 1e6, "0 = the table's"),
            "resolution": whole(self.resolution, 0, LARGEST_SIDE, "pixels; 0 = the base's own"),
            "steps": whole(self.steps, 1, MOST_STEPS),
            "rank": whole(self.rank, 1, 1024),
            "batch_size": whole(self.batch_size, 1, 1024),
        }
        check(self, ranges)

    @property
    def full(self) -> bool:
        return self.method == "dreambooth"

    @property
    def preserves_prior(self) -> bool:
        return self.method != "lora"


@dataclass(frozen=True)
class Recipe:
    """Settings of `finetune`, under its names, that decide whether a job fits a GPU."""

    precision: Literal["fp32", "bf16", "fp16"]
    gradient_checkpointing: bool
    prior: Literal["prediction", "images", "none"]
    fused_backward: bool
    optimizer: optimizers.Name
    sampling_batch: int = 1

    def __str__(self) -> str:
        parts = [
            self.precision + (" with a GradScaler" if self.precision == "fp16" else ""),
            "gradient checkpointing" if self.gradient_checkpointing else "no gradient checkpointing",
            OPTIMIZERS[self.optimizer] + (" within the backward pass" if self.fused_backward else ""),
        ]
        if self.prior != "none":
            parts.append(f"prior by {'class pictures' if self.prior == 'images' else 'the frozen prediction'}")
        return ", ".join(parts)


class Job:
    """A fine-tuning's modules on the meta device, and the cost of each of its phases."""

    def __init__(self, settings: PlanSettings, precision: Literal["fp32", "bf16", "fp16"]):
        self.settings, self.precision = settings, precision
        self.half = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        base = architectures.load(settings.base)
        self.unet, self.vae, self.text_encoders = base.unet, base.vae, base.text_encoders
        self.pixels = settings.resolution or base.size
        if self.pixels % base.downscale:
            raise UserError(f"resolution is {self.pixels}, but must be a multiple of {base.downscale} for this base.")
        self.channels, self.side = self.unet.config.in_channels, self.pixels // base.downscale
        for module in (self.unet, self.vae, *self.text_encoders):
            module.requires_grad_(False)
        self.unet_half = meter.weights_bytes([self.unet], self.half)
        self.others = meter.weights_bytes([self.vae, *self.text_encoders])
        if settings.full:
            self.unet.requires_grad_(True)
        else:
            self._adapt()
        self.trained = [p for p in self.unet.parameters() if p.requires_grad]
        self.training, self.forward = cache(self._training), cache(self._forward)
        self.encoding, self.decoding = cache(self._encoding), cache(self._decoding)

    def _adapt(self) -> None:
        """Cast the weights to half precision and add a float32 adapter, as `finetune` does."""
        settings, self.unet = self.settings, _in(self.unet, self.half)
        with torch.device("meta"):
            self.unet.add_adapter(
                LoraConfig(
                    r=settings.rank,
                    lora_alpha=settings.rank,
                    target_modules=LORA_TARGETS[settings.lora_targets],
                )
            )
        cast_training_params(self.unet, dtype=torch.float32)

    def recipes(self, fixed: Mapping[str, Any]) -> Iterator[Recipe]:
        """All recipes with the `fixed` parts, the fastest first.

        Of equally fast ones, those that change less are first.
        """
        full, priors = self.settings.full, ("prediction",) if self.settings.preserves_prior else ("none",)
        # With class pictures, full fine-tuning needs no second UNet. But drawing them in float32 takes longer than
        # checkpointing does in a usual number of steps.
        priors += ("images",) if full else ()
        # A GradScaler needs all gradients at once.
        fused = (False, True) if full and self.precision == "bf16" else (False,)
        choices = {"prior": priors, "gradient_checkpointing": (False, True), "fused_backward": fused}
        choices |= {"optimizer": tuple(OPTIMIZERS)[:2]} | {name: (value,) for name, value in fixed.items()}
        choices["precision"] = (self.precision,)
        for values in product(*choices.values()):
            recipe = Recipe(**dict(zip(choices, values, strict=True)))
            if recipe.gradient_checkpointing or not recipe.fused_backward or "fused_backward" in fixed:
                yield recipe

    def resident(self, recipe: Recipe) -> int:
        """The bytes that training holds at the end of its backward pass, without any activations."""
        gradients = 0 if recipe.fused_backward else meter.parameters_bytes(self.trained)
        weights = sum(p.numel() * p.itemsize for p in self.unet.parameters())
        return weights + gradients + sum(self._beside(recipe).values())

    def phases(self, recipe: Recipe) -> dict[str, dict[str, int]]:
        """Bytes by part at the peak of each phase."""
        weights = sum(p.numel() * p.itemsize for p in self.unet.parameters())
        found = {
            # All models are on the GPU until prompts and drawings are encoded.
            "encoding": {"weights": weights + self.others, "activations": self.encoding().peak},
            "training": self.training(recipe.gradient_checkpointing, recipe.fused_backward).parts
            | self._beside(recipe),
            # `generate` loads a fully fine-tuned UNet in half precision.
            "sampling": {
                "weights": self.others + (self.unet_half if self.settings.full else weights),
                "activations": max(self.forward(self.half).peak * recipe.sampling_batch, self.decoding().peak),
            },
        }
        if self.settings.validates:
            # The weights are those of training, and the text encoders are freed.
            drawing = max(self.forward(self.half).peak * recipe.sampling_batch, self.decoding().peak)
            resident = {"weights": weights + meter.weights_bytes([self.vae]), "activations": drawing}
            found["validation"] = resident | self._beside(recipe)
        if recipe.prior == "images":
            activations = max(self.forward(None).peak * recipe.sampling_batch, self.decoding().peak)
            found["class pictures"] = {"weights": weights + self.others, "activations": activations}
        return {phase: found[phase] for phase in PHASES if phase in found}

    def _beside(self, recipe: Recipe) -> dict[str, int]:
        """Memory of constant size during training, which the counted step does not include."""
        beside = {"optimizer": meter.optimizer_bytes(self.trained, recipe.optimizer)}
        if self.settings.full and recipe.prior == "prediction":
            beside["frozen copy"] = self.unet_half
        return beside

    def seconds(self, recipe: Recipe, gpu: GPU) -> dict[str, float]:
        """Estimated seconds of a step, of the whole training with its preparation, and of a picture of 25 steps."""
        # The optimizer reads and writes weights, gradients and moments.
        update = Kernel(0, 9 * meter.parameters_bytes(self.trained), False)
        kernels = self.training(recipe.gradient_checkpointing, recipe.fused_backward).kernels
        step = gpu.seconds(kernels + Counter([update]))
        forward = self.forward(self.half).kernels
        if recipe.prior == "prediction":
            step += gpu.seconds(_scaled(forward, self.settings.batch_size / 2))
        sampler_steps, decoding = FinetuneSettings().sampling.steps, gpu.seconds(self.decoding().kernels)
        before = DRAWINGS * FinetuneSettings.variants * gpu.seconds(self.encoding().kernels)
        if recipe.prior == "images":
            drawn = sampler_steps * gpu.seconds(_scaled(self.forward(None).kernels, recipe.sampling_batch))
            before += FinetuneSettings.class_images * (drawn / recipe.sampling_batch + decoding)
        drawn = sampler_steps * gpu.seconds(_scaled(forward, recipe.sampling_batch))
        picture = drawn / recipe.sampling_batch + decoding
        return {"step": step, "training": before + self.settings.steps * step, "picture": picture}

    def _latents(self, count: int) -> tuple[int, int, int, int]:
        return count, self.channels, self.side, self.side

    def _training(self, checkpointing: bool, fused_backward: bool) -> Cost:
        # The prior term's examples are in the same pass.
        count = self.settings.batch_size * (1 + self.settings.preserves_prior)
        half, latents = self.half, self._latents(count)
        return meter.training_step(self.unet, latents, half, checkpointing, fused_backward)

    def _forward(self, half: torch.dtype | None) -> Cost:
        """The cost of a sampling step of one picture: two predictions, for guidance.

    Its activations grow in proportion to the number of pictures.
    """
        unet = _in(self.unet, half or torch.float32) if self.settings.full else self.unet
        unet.eval()
        inputs, added = meter.unet_inputs(unet, self._latents(2))
        try:
            return meter.forward_pass(lambda: unet(*inputs, added_cond_kwargs=added), [unet], half)
        finally:
            if self.settings.full:
                _in(unet, torch.float32)

    def _encoding(self) -> Cost:
        """The cost of encoding in float32: the kernels of a drawing, and the peak of a drawing or of all prompts."""
        pixels = torch.empty(1, 3, self.pixels, self.pixels, device="meta")
        drawing = meter.forward_pass(lambda: self.vae.encode(pixels), [self.vae], None)
        tokens = torch.zeros(DRAWINGS, 77, dtype=torch.long, device="meta")
        prompts = [
            meter.forward_pass(partial(encoder, tokens, output_hidden_states=True), [encoder], None)
            for encoder in self.text_encoders
        ]
        return Cost(max([drawing, *prompts], key=lambda cost: cost.peak).parts, drawing.kernels)

    def _decoding(self) -> Cost:
        latents: Tensor = torch.empty(1, self.vae.config.latent_channels, self.side, self.side, device="meta")
        return meter.forward_pass(lambda: self.vae.decode(latents), [self.vae], None)


def _in(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    # diffusers' own `to` would warn of modules that are kept in float32, though there are none.
    return nn.Module.to(module, dtype)


def _scaled(kernels: Counter[Kernel], by: float) -> Counter[Kernel]:
    """The same kernels on batches that are larger by a factor."""
    scaled: Counter[Kernel] = Counter()
    for kernel, count in kernels.items():
        scaled[Kernel(kernel.flops * by, kernel.bytes * by, kernel.half)] += count
    return scaled
