"""A text-to-image base behind one small interface: the miniature, SD 1.5, SDXL, or any diffusers SD or SDXL.

    base = Base.load("mini")
    latents = base.encode_images(images)
    prediction = base.predict(latents, t, base.encode_prompts(["a drawing of a girl"]), base.time_ids(128, 128))

Latent channels, scale and shift, prediction type, the number of text encoders and micro-conditioning are all read
from the base's own configuration.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from torch import Tensor

from comics_genai import hardware
from comics_genai.bases.finite import check_tensor
from comics_genai.bases.loading import DTYPES, HUB_IDS, UNREADABLE, Precision, first_line, load_pipeline, quiet_loading
from comics_genai.bases.semantic_channels import semantic_channels
from comics_genai.bases.shrinking_rank import ShrinkingRank
from comics_genai.errors import UserError

__all__ = ["DTYPES", "HUB_IDS", "Base", "Embeddings", "Precision", "quiet_loading"]

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")
RARE = 40_000  # CLIP's tokens are numbered by frequency; from here on they are rare, such as "sks" (48,136)
PIXELS_AT_ONCE = 1024 * 1024  # pictures at once through the VAE, whose fp32 activations fill a GPU, not its weights


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of B prompts: hidden (B, tokens, width) and, with two text encoders, pooled (B, width)."""

    hidden: Tensor
    pooled: Tensor | None = None

    def __len__(self) -> int:
        return len(self.hidden)

    def __getitem__(self, index: Tensor | slice | list[int]) -> "Embeddings":
        return Embeddings(self.hidden[index], None if self.pooled is None else self.pooled[index])

    @staticmethod
    def cat(parts: Sequence["Embeddings"]) -> "Embeddings":
        """All parts in order, as one batch."""
        pooled = None if parts[0].pooled is None else torch.cat([part.pooled for part in parts])
        return Embeddings(torch.cat([part.hidden for part in parts]), pooled)


def _check_configuration(pipeline: DiffusionPipeline) -> None:
    """ValueError for a number or a word in a base's configuration that pictures cannot be made with."""
    size, scale = pipeline.unet.config.sample_size, pipeline.vae.config.scaling_factor
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"sample_size of its UNet is {size!r}, and no number from 1")
    if not isinstance(scale, int | float) or not math.isfinite(scale) or scale == 0:
        raise ValueError(f"scaling_factor of its VAE is {scale!r}, and no number other than 0")
    kind = pipeline.scheduler.config.prediction_type
    if kind not in PREDICTION_TYPES:
        raise ValueError(f"prediction_type of its scheduler is {kind!r}, and none of {', '.join(PREDICTION_TYPES)}")
    for part in ("", "_2"):
        tokenizer, encoder = (getattr(pipeline, name + part, None) for name in ("tokenizer", "text_encoder"))
        if tokenizer is not None and encoder is not None:
            # A tokenizer without a limit of its own says 10^30.
            tokenizer.model_max_length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)


class Base:
    """A diffusers pipeline, and what training and sampling ask of it.

    The UNet's weights are in `precision`. The VAE and the text encoders are in fp32: they run only once for each
    picture or prompt, and SDXL's VAE overflows in fp16.
    """

    def __init__(
        self, name: str, pipeline: DiffusionPipeline, device: str | torch.device, precision: Precision, digest: str
    ):
        self._digest = digest
        self.name, self.pipeline, self.device, self.precision = name, pipeline, torch.device(device), precision
        self.unet, self.vae = pipeline.unet, pipeline.vae
        for module in (self.unet, self.vae, *self.text_encoders().values()):
            module.to(self.device).requires_grad_(False).eval()
        self.latent_channels: int = self.unet.config.in_channels
        self.semantic_channels: slice | None = semantic_channels(pipeline)  # of the latents, None without any
        self.downscale: int = pipeline.vae_scale_factor  # pixels for each latent, in each direction
        _check_configuration(pipeline)
        self.size: int = self.unet.config.sample_size * self.downscale  # pixels of the side it was pretrained with
        self.prediction_type: str = pipeline.scheduler.config.prediction_type
        self.micro_conditioned: bool = self.unet.config.addition_embed_type == "text_time"
        self.learned_token: Any = None  # see textual_inversion.LearnedToken
        self.adapters: tuple[Any, ...] = ()  # the loaded ones, see adapters.Adapter
        self.mixture: Any = None  # of full weights, see adapters.Mixture
        self.shrinking_rank: ShrinkingRank | None = None  # active while an adapter that was trained with it is loaded

    @classmethod
    def load(
        cls, name_or_path: str | Path = "mini", device: str | torch.device = "cpu", precision: Precision = "fp32"
    ) -> "Base":
        """Load a base: by name ("mini" or one of HUB_IDS), Hub id, diffusers folder, or single .safetensors file.

        Raises UserError if there is no such base, it cannot be downloaded, or it is neither SD nor SDXL.
        """
        if precision not in DTYPES:
            raise UserError(f"precision is {precision!r}, but must be fp32, bf16 or fp16.")
        name, device = str(name_or_path), hardware.usable(device)
        with quiet_loading():
            pipeline, digest = load_pipeline(name, precision)
        try:
            return cls(name, pipeline, device, precision, digest)
        except UNREADABLE as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(
                f"The configuration of the base {name!r} does not fit together ({first_line(error)}): download it anew."
            ) from error

    def text_encoders(self) -> dict[str, torch.nn.Module]:
        """The text encoders (one or two) by their names in the pipeline; empty after they were dropped."""
        encoders = {name: getattr(self.pipeline, name, None) for name in ("text_encoder", "text_encoder_2")}
        return {name: encoder for name, encoder in encoders.items() if encoder is not None}

    def modules(self) -> dict[str, torch.nn.Module]:
        """All networks that were not dropped, by their names in the pipeline."""
        kept = {"unet": self.unet, "vae": self.vae, **self.text_encoders()}
        return {name: module for name, module in kept.items() if module is not None}

    def drop_text_encoders(self) -> None:
        """Free the text encoders' memory after all prompts are encoded. Other references then find them on the CPU."""
        for name, encoder in self.text_encoders().items():
            encoder.to("cpu")
            setattr(self.pipeline, name, None)

    def shrink_rank(self, least: int) -> None:
        """Let the loaded adapter's rank fall to `least` as the noise grows, until it is unloaded; 0 turns this off."""
        if self.shrinking_rank is not None:
            self.shrinking_rank.remove()
        steps = self.pipeline.scheduler.config.num_train_timesteps
        self.shrinking_rank = ShrinkingRank(self.unet, least, steps) if least else None

    def drop_vae(self) -> None:
        """Free the VAE's memory after all pictures are encoded. Other references then find it on the CPU."""
        if self.vae is not None:
            self.vae.to("cpu")
        self.vae = self.pipeline.vae = None

    def put_back(self, parts: Mapping[str, torch.nn.Module]) -> None:
        """Take dropped networks, as `modules` returned them, and move them to the device again."""
        for name, module in parts.items():
            setattr(self.pipeline, name, module.to(self.device))
        self.unet, self.vae = self.pipeline.unet, self.pipeline.vae

    def autocast(self) -> torch.autocast:
        """A context of half-precision arithmetic for the UNet, if that is the base's precision."""
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "fp32")

    @torch.no_grad()
    def encode_images(self, images: np.ndarray | Tensor) -> Tensor:
        """Latents (B, channels, H/f, W/f) float32, scaled as the UNet expects.

        images: uint8 (B, H, W, 3), or float (B, 3, H, W) in [0, 1]; H and W are multiples of f = `downscale`. If the
        VAE returns a distribution, its mode is taken.
        """
        images = torch.as_tensor(images)
        if images.dtype == torch.uint8:
            images = images.permute(0, 3, 1, 2).float() / 255
        height, width = images.shape[-2:]
        if height % self.downscale or width % self.downscale:
            raise UserError(f"Pictures of {width}×{height} px do not fit this base: use multiples of {self.downscale}.")
        latents = []
        for chunk in images.split(self._pictures_at_once(height * width)):
            encoded = self.vae.encode(chunk.to(self.device, torch.float32) * 2 - 1)
            # AutoencoderTiny is deterministic.
            latents.append(encoded.latents if isinstance(self.vae, AutoencoderTiny) else encoded.latent_dist.mode())
        scale, shift = self._latent_scale_and_shift()
        scaled = (torch.cat(latents) - shift) * scale
        check_tensor(scaled, "What the VAE makes of a drawing", self.modules(), self.name)
        return scaled

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Decode latents, as `encode_images` returns them, to pictures, uint8 (B, H, W, 3)."""
        scale, shift = self._latent_scale_and_shift()
        raw = latents.to(self.device, torch.float32) / scale + shift
        pictures = []
        for chunk in raw.split(self._pictures_at_once(raw.shape[-2] * raw.shape[-1] * self.downscale**2)):
            decoded = self.vae.decode(chunk).sample
            check_tensor(decoded, "What the VAE makes of the latents", self.modules(), self.name)
            picture = (decoded / 2 + 0.5).clamp(0, 1) * 255
            pictures.append(picture.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(pictures)

    def _latent_scale_and_shift(self) -> tuple[Tensor, Tensor]:
        config = self.vae.config
        scale, mean = torch.tensor(float(config.scaling_factor)), getattr(config, "latents_mean", None)
        if mean is not None and getattr(config, "latents_std", None) is not None:
            per_channel = {"device": self.device, "dtype": torch.float32}
            mean = torch.tensor(mean, **per_channel).reshape(1, -1, 1, 1)
            std = torch.tensor(config.latents_std, **per_channel).reshape(1, -1, 1, 1)
            return scale.to(self.device) / std, mean
        shift = torch.tensor(float(getattr(config, "shift_factor", None) or 0.0))
        return scale.to(self.device), shift.to(self.device)

    @staticmethod
    def _pictures_at_once(pixels: int) -> int:
        return max(1, PIXELS_AT_ONCE // pixels)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Embeddings:
        """Embeddings of prompts, float32.

        Warns of a prompt that is longer than the text encoders can read (77 tokens).
        """
        for prompt in dict.fromkeys(prompts):
            self._warn_if_too_long(prompt)
        return self.embed(prompts)

    def embed(self, prompts: Sequence[str]) -> Embeddings:
        """Embeddings of prompts, float32, with gradients if the text encoders are trained.

        The embedding of the empty prompt is zero if the base was trained so.
        """
        encoded = self.pipeline.encode_prompt(
            list(prompts), device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        hidden, pooled = encoded[0].float(), encoded[2].float() if len(encoded) == 4 else None
        if self.pipeline.config.get("force_zeros_for_empty_prompt", False):
            said = torch.tensor([[prompt != ""] for prompt in prompts], device=self.device)
            hidden, pooled = hidden * said[..., None], pooled * said
        return Embeddings(hidden, pooled)

    def _warn_if_too_long(self, prompt: str) -> None:
        tokenizer = self.pipeline.tokenizer
        ids = tokenizer(prompt, truncation=False, verbose=False).input_ids
        limit = tokenizer.model_max_length
        if len(ids) > limit:
            lost = tokenizer.decode(ids[limit - 1 : -1]).strip()
            warnings.warn(
                f"The prompt {prompt!r} has {len(ids)} tokens and this base reads {limit}: {lost!r} at its end has no "
                "effect; shorten the prompt.",
                stacklevel=3,
            )

    def knows_word(self, word: str) -> bool:
        """Whether the word is a common token of its own, and so has a meaning already."""
        ids = self.pipeline.tokenizer(word).input_ids
        return len(ids) == 3 and ids[1] < RARE

    def unconditional(self) -> Embeddings:
        """Embeddings (B = 1) of the empty prompt."""
        return self.encode_prompts([""])

    def time_ids(
        self,
        original: int | tuple[int, int],
        target: int | tuple[int, int],
        crop: tuple[int, int] = (0, 0),
        count: int = 1,
    ) -> Tensor | None:
        """SDXL's micro-conditioning (Podell et al. 2023, sec. 2.2), (count, 6) float32; None for a base without it.

        original: the size in pixels before scaling. target: the size at which it is trained or drawn. crop: top and
        left in pixels. A size is (height, width), or one number for a square.
        """
        if not self.micro_conditioned:
            return None
        original, target = ((s, s) if isinstance(s, int) else s for s in (original, target))
        return torch.tensor([[*original, *crop, *target]] * count, dtype=torch.float32, device=self.device)

    def predict(
        self,
        latents: Tensor,
        t: Tensor,
        embeddings: Embeddings,
        time_ids: Tensor | None,
        unet: torch.nn.Module | None = None,
    ) -> Tensor:
        """The prediction of the UNet, of the shape of `latents` (B, channels, h, w), at training steps t, (B,) or ().

        unet: another UNet of the same kind to use instead.
        """
        added = {"text_embeds": embeddings.pooled, "time_ids": time_ids} if self.micro_conditioned else None
        network = self.unet if unet is None else unet
        return network(latents, t, embeddings.hidden, added_cond_kwargs=added, return_dict=False)[0]

    def digest(self) -> str:
        """A digest (eight hex digits) of the content of the base's files; what is loaded into it does not matter."""
        return self._digest
