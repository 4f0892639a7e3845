"""The miniature's UNet: SDXL's class and conditioning, v-prediction with zero terminal SNR, on cached latents."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from comics_genai.loop import LoopSettings, TrainResult, load_weights, train
from comics_genai.objective import add_noise, alpha_bar, min_snr_weight, snr, target

from .clip import Clip
from .dataset import CAPTIONS_A_PICTURE, captions
from .tokenizer import encode
from .vae import to_tensor


@dataclass(frozen=True)
class UnetSettings:
    """caption_dropout: share of pictures trained with the empty prompt; min_snr_gamma: 0 for no weighting."""

    widths: tuple[int, ...] = (128, 192, 256)
    layers: int = 1
    batch_size: int = 48
    caption_dropout: float = 0.1
    min_snr_gamma: float = 5.0
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=2600, learning_rate=1.2e-3, schedule="linear", warmup_steps=100, decay_from=0.5, ema_decay=0.998,
            precision="bf16", log_every=25, checkpoint_every=300, beta2=0.99,
        )  # fmt: skip
    )


def scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal SNR and trailing steps (Lin et al. 2024), so that white paper can be white."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def build(settings: UnetSettings, latent_channels: int, text_widths: tuple[int, int], pooled: int) -> UNet2DConditionModel:
    """The untrained UNet for 16x16 latents; attention at 8x8 and 4x4."""
    torch.manual_seed(settings.loop.seed)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=settings.widths,
        layers_per_block=settings.layers,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=tuple(width // 32 for width in settings.widths),
        use_linear_projection=True,
        cross_attention_dim=sum(text_widths),
        addition_embed_type="text_time",
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=6 * 16 + pooled,
    )


@torch.no_grad()
def encode_latents(vae: AutoencoderTiny, images: np.ndarray, batch_size: int = 64) -> Tensor:
    """Latents of uint8 pictures (N, H, W, 3), fp16 (N, C, H/8, W/8), not yet scaled."""
    parts = []
    with torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(images), batch_size):
            pictures = to_tensor(images[start : start + batch_size]).contiguous(memory_format=torch.channels_last)
            parts.append(vae.encode(pictures).latents.half())
    return torch.cat(parts)


def train_unet(
    settings: UnetSettings, vae: AutoencoderTiny, clip: Clip, tokenizer, images: np.ndarray, folder: Path
) -> TrainResult:
    """Trains in `folder`; latents are scaled to unit variance by the VAE's own scaling_factor."""
    latents = encode_latents(vae, images).float() * vae.config.scaling_factor
    latents = latents.contiguous()
    texts = captions(range(len(images)))
    ids = encode(tokenizer, [text for three in texts for text in three]).to(torch.int16)
    empty = encode(tokenizer, [""]).to(torch.int16)
    model = build(settings, latents.shape[1], (clip.text_encoder.config.hidden_size, clip.text_encoder_2.config.hidden_size),
                  clip.text_encoder_2.config.projection_dim).to(memory_format=torch.channels_last)  # fmt: skip
    alphas = alpha_bar(scheduler())
    size = images.shape[1]
    time_ids = torch.tensor([[size, size, 0, 0, size, size]]).float()

    @torch.no_grad()
    def condition(text: Tensor) -> tuple[Tensor, Tensor]:
        first = clip.text_encoder(text, output_hidden_states=True).hidden_states[-2]
        second = clip.text_encoder_2(text, output_hidden_states=True)
        return torch.cat([first, second.hidden_states[-2]], -1), second.text_embeds

    def step_loss(step: int, generator: torch.Generator):
        n = settings.batch_size
        chosen = torch.randint(len(latents), (n,), generator=generator)
        variant = torch.randint(CAPTIONS_A_PICTURE, (n,), generator=generator)
        text = ids[chosen * CAPTIONS_A_PICTURE + variant]
        dropped = torch.rand(n, 1, generator=generator) < settings.caption_dropout
        hidden, pooled = condition(torch.where(dropped, empty, text).long())
        z = latents[chosen]
        noise = torch.randn(z.shape, generator=generator)
        # Stratified timesteps: one from each of n equal parts, so that the loss of a step varies less.
        t = ((torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n * len(alphas)).long()
        noisy = add_noise(z, noise, alphas[t]).contiguous(memory_format=torch.channels_last)
        added = {"text_embeds": pooled, "time_ids": time_ids.expand(n, 6)}
        predicted = model(noisy, t, hidden, added_cond_kwargs=added).sample.float()
        error = (predicted - target(noise, z, alphas[t], "v_prediction")).square().mean(dim=(1, 2, 3))
        # Min-SNR gives the last, signal-free steps no weight at all on v; they place the figure, so keep a share.
        weight = min_snr_weight(snr(alphas[t]), settings.min_snr_gamma, "v_prediction").clamp(min=0.25)
        return (weight * error).mean(), {"v_error": error.mean().detach()}

    return train(model, step_loss, settings.loop, folder, describe="UNet", all_settings=asdict(settings))


def load(folder: Path, settings: UnetSettings, vae: AutoencoderTiny, clip: Clip) -> UNet2DConditionModel:
    """The trained UNet (EMA weights) of a stage folder."""
    text_widths = (clip.text_encoder.config.hidden_size, clip.text_encoder_2.config.hidden_size)
    model = build(settings, vae.config.latent_channels, text_widths, clip.text_encoder_2.config.projection_dim)
    load_weights(model, folder / "ema.safetensors")
    return model.eval().requires_grad_(False)
