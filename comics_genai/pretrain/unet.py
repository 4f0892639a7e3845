"""The miniature's UNet: SDXL's class and conditioning, v-prediction with zero terminal SNR, on cached latents."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTokenizer

from comics_genai.files import copy_into, load_tensors
from comics_genai.training.loop import LoopSettings
from comics_genai.training.stage import load_stage, recorded_settings

from .clip import Clip
from .vae import COLORS

TIME_EMBEDDING = 16  # embedding channels for each of the six numbers of the micro-conditioning


@dataclass(frozen=True)
class UnetSettings:
    """How the UNet is built and trained."""

    widths: tuple[int, int, int] = (64, 128, 192)  # at latents of 16x16, 8x8 and 4x4 cells; multiples of 32
    layers: int = 1  # residual blocks at each resolution
    batch_size: int = 32
    caption_dropout: float = 0.1  # share of pictures trained with the empty prompt, for guidance
    min_snr_gamma: float = 5.0  # 0 = off
    figure_weight: float = 3.0  # added to the weight of a face's error, a third of it to an arm's, see `figure_weights`
    semantic_weight: float = 0.4  # of the semantic channels' error; the picture's own keep most of the loss
    noise_bias: float = 1.1  # 1 = all timesteps equally often; more = noisy ones more often, where captions matter most
    captions_in_memory: bool = True  # encoded once (35 kB each); False encodes them anew every step
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=28_000,
            learning_rate=8e-4,
            schedule="linear",
            warmup_steps=200,
            decay_from=0.2,
            beta2=0.99,
            ema_decay=0.998,
            log_every=50,
            checkpoint_every=400,
            validate_every=1000,
        )
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


def build(widths: tuple[int, int, int], layers: int, vae: AutoencoderTiny, clip: Clip) -> UNet2DConditionModel:
    """The untrained UNet for 16x16 latents, with self-attention and cross-attention at 8x8 and 4x4."""
    first, second = clip.text_encoder.config, clip.text_encoder_2.config
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=vae.config.latent_channels,
        out_channels=vae.config.latent_channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=tuple(width // 32 for width in widths),  # diffusers reads it as the number of heads
        use_linear_projection=True,
        cross_attention_dim=first.hidden_size + second.hidden_size,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_EMBEDDING,
        projection_class_embeddings_input_dim=6 * TIME_EMBEDDING + second.projection_dim,
    )


def as_pipeline(
    unet: UNet2DConditionModel, vae: AutoencoderTiny, clip: Clip, tokenizer: CLIPTokenizer
) -> StableDiffusionXLPipeline:
    """The parts as diffusers' own pipeline."""
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=clip.text_encoder,
        text_encoder_2=clip.text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=scheduler(),
        force_zeros_for_empty_prompt=False,  # guidance starts from the empty prompt that caption dropout trains
        add_watermarker=False,
    )


def start_from(model: UNet2DConditionModel, file: Path) -> None:
    """Load the weights in `file`, also those of a UNet for other latents.

    In all of the miniature's autoencoders, the first latent channels are the small picture, so their weights can be
    used. If the number of channels differs, the weights of the other channels start anew. Raises UserError if anything
    else differs.
    """
    tensors, own = load_tensors(file)[0], model.state_dict()
    for name, axis in (("conv_in.weight", 1), ("conv_out.weight", 0), ("conv_out.bias", 0)):
        if name in tensors and tensors[name].shape != own[name].shape:
            widened = own[name].clone() if axis == 1 else torch.zeros_like(own[name])
            widened.narrow(axis, 0, COLORS).copy_(tensors[name].narrow(axis, 0, COLORS))
            tensors[name] = widened
    copy_into(own, tensors, file)


def load(folder: Path, vae: AutoencoderTiny, clip: Clip) -> UNet2DConditionModel:
    """Load the UNet of a stage folder (averaged weights), frozen and in evaluation mode."""
    settings = recorded_settings(folder)
    model = build(tuple(settings["widths"]), settings["layers"], vae, clip)
    load_stage(model, folder)
    return model
