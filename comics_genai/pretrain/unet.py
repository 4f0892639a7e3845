"""The miniature's UNet: SDXL's class and conditioning, v-prediction with zero terminal SNR, on cached latents."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTokenizer

from comics_genai import environment, world
from comics_genai.files import copy_into, load_tensors, save_tensors
from comics_genai.images import to_pictures, to_tensor
from comics_genai.plotting import figures
from comics_genai.training import attention
from comics_genai.training.loop import LoopSettings, TrainResult, train
from comics_genai.training.objective import add_noise, alpha_bar, min_snr_weight, snr, target

from . import semantics
from .clip import Clip
from .dataset import CAPTIONS_A_PICTURE, HELD_OUT_SEED, captions, draw_scenes
from .stage import load_stage, recorded_settings
from .tokenizer import encode
from .vae import COLORS

TIME_EMBEDDING = 16  # channels for each of the six numbers of the micro-conditioning
HELD_OUT = 64  # scenes whose error is measured; of the first of them samples are drawn
SAMPLES = 8
FACE, ARM = 0.14, 0.07  # around the head, the elbows and the hands: fractions of the picture
PLACED_SNR = 0.05  # from which on a noisy picture shows where the figure stands
SAMPLING = {"num_inference_steps": 25, "guidance_scale": 3.0}


@dataclass(frozen=True)
class UnetSettings:
    """How the UNet is built and trained."""

    widths: tuple[int, int, int] = (64, 128, 192)  # at latents of 16x16, 8x8 and 4x4 cells; multiples of 32
    layers: int = 1  # residual blocks a resolution
    batch_size: int = 32
    caption_dropout: float = 0.1  # share of pictures trained with the empty prompt, for guidance
    min_snr_gamma: float = 5.0  # 0 = off
    figure_weight: float = 3.0  # added to the weight of a face's error, a third of it to an arm's, see `figure_weights`
    semantic_weight: float = 0.4  # of the semantic channels' error, so that the picture's own keep most of the loss
    noise_bias: float = 1.1  # 1 = all timesteps alike; above, more of the noisy ones, which alone have to read captions
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
    """The untrained UNet for 16x16 latents; attention, to itself and to the text, at 8x8 and 4x4."""
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


@torch.no_grad()
def encode_latents(vae: AutoencoderTiny, images: np.ndarray, batch_size: int = 64) -> Tensor:
    """Latents fp16 (N, C, H/8, W/8) of uint8 pictures (N, H, W, 3), as the UNet is to see them; on the CPU."""
    parts = []
    with torch.autocast(vae.device.type, torch.bfloat16, enabled=environment.precision(vae.device) == "bf16"):
        for start in range(0, len(images), batch_size):
            pictures = to_tensor(images[start : start + batch_size])
            latents = vae.encode(pictures.to(vae.device, memory_format=torch.channels_last)).latents
            parts.append((latents.float() * vae.config.scaling_factor).half().cpu())
    return torch.cat(parts).contiguous()


def cached_latents(vae: AutoencoderTiny, images: np.ndarray, folder: Path) -> Tensor:
    """`encode_latents` of all pictures, computed once for each VAE and kept in `folder`."""
    digest = hashlib.sha256(f"{images.shape} {vae.config.scaling_factor}".encode())
    for tensor in vae.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    path = folder / f"{digest.hexdigest()[:8]}.safetensors"
    if path.exists():
        return load_tensors(path)[0]["latents"]
    print(f"Encoding {len(images)} pictures ...", flush=True)
    latents = encode_latents(vae, images)
    save_tensors(path, {"latents": latents})
    return latents


class Captions:
    """Conditions of captions, by number; `empty` is the number of the empty prompt.

    With a `folder` they are computed once for each text encoder, kept there, and read into memory.
    """

    def __init__(self, clip: Clip, ids: Tensor, folder: Path | None):
        self.clip, self.ids, self.empty = clip, ids, len(ids) - 1
        self.device = next(clip.parameters()).device
        self.encoded: tuple[Tensor, Tensor] | None = None
        if folder is None:
            return
        digest = hashlib.sha256(ids.numpy().tobytes())
        for tensor in clip.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        path = folder / f"{digest.hexdigest()[:8]}.safetensors"
        if not path.exists():
            print(f"Encoding {len(ids)} captions ...", flush=True)
            parts = [tuple(x.half() for x in clip.conditions(part.long().to(self.device))) for part in ids.split(256)]
            hidden, pooled = zip(*parts, strict=True)
            save_tensors(path, {"hidden": torch.cat(hidden), "pooled": torch.cat(pooled)})
        kept = load_tensors(path)[0]
        self.encoded = kept["hidden"].to(self.device), kept["pooled"].to(self.device)

    def __getitem__(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """`Clip.conditions` of the captions numbered `chosen` (B,)."""
        if self.encoded is None:
            return self.clip.conditions(self.ids[chosen].long().to(self.device))
        hidden, pooled = (part[chosen.to(self.device)].float() for part in self.encoded)
        return hidden, pooled


def stratified_timesteps(count: int, steps: int, generator: torch.Generator, bias: float = 1.0) -> Tensor:
    """(count,) timesteps steps * (1 - u^bias), u being one in each of `count` equal parts of [0, 1), in random order:
    less varies than with independent ones."""
    part = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    return ((1 - (1 - part / count) ** bias) * steps).long().clamp(max=steps - 1)


def figure_weights(joints: Tensor, side: int, weight: float) -> Tensor:
    """Weights (B, 1, side, side) of the errors of latents, at least 1: 1 + `weight` within FACE of the head, a third
    of it within ARM of the elbows and hands. `joints`: (B, 13, 2), see world.joints.

    An expression is a few pixels. In an even mean they are a thousandth of the loss, and go unlearned.
    """
    center = (torch.arange(side) + 0.5) / side
    cells = torch.stack(torch.meshgrid(center, center, indexing="xy"), -1)
    near = (joints[:, :, None, None] - cells).norm(dim=-1)  # (B, 13, side, side)
    arms = [i for i, name in enumerate(world.JOINTS) if name.endswith(("_elbow", "_hand"))]
    face = near[:, world.JOINTS.index("head")] < FACE
    arm = (near[:, arms] < ARM).any(dim=1)
    return (1 + weight * torch.maximum(face.float(), arm.float() / 3))[:, None]


def channel_weights(channels: int, semantic_weight: float) -> Tensor:
    """Weights (channels, 1, 1) of the latent channels' errors: 1 for the picture's own, which come first."""
    own = channels - len(semantics.CHANNELS)
    return torch.cat([torch.ones(own), torch.full((len(semantics.CHANNELS),), semantic_weight)])[:, None, None]


def start_from(model: UNet2DConditionModel, file: Path) -> None:
    """Take over the weights in `file`, also those of a UNet for other latents.

    The first latent channels are the small picture in all of the miniature's autoencoders, so their weights serve on;
    those of other channels start anew where the number of channels differs. UserError where anything else differs.
    """
    tensors, own = load_tensors(file)[0], model.state_dict()
    for name, axis in (("conv_in.weight", 1), ("conv_out.weight", 0), ("conv_out.bias", 0)):
        if name in tensors and tensors[name].shape != own[name].shape:
            widened = own[name].clone() if axis == 1 else torch.zeros_like(own[name])
            widened.narrow(axis, 0, COLORS).copy_(tensors[name].narrow(axis, 0, COLORS))
            tensors[name] = widened
    copy_into(own, tensors, file)


def _memory_format(device: torch.device | str) -> torch.memory_format:
    """The faster one of a device; on CPUs the UNet's steps took 6 % longer with channels last."""
    return torch.channels_last if torch.device(device).type == "cuda" else torch.contiguous_format


def train_unet(
    settings: UnetSettings,
    vae: AutoencoderTiny,
    clip: Clip,
    tokenizer: CLIPTokenizer,
    images: np.ndarray,
    folder: Path,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    start: Path | None = None,
) -> TrainResult:
    """Train on uint8 pictures (N, size, size, 3), number i being scene i, in `folder`; from the weights in
    the file `start` (see `start_from`), or else from random ones.

    Validation: the error of v on held-out scenes with fixed noise; samples_STEP.png, eight held-out scenes above what
    the pipeline draws of their captions, always from the same noise; paper_error, how far (in 0 to 1) the paper at
    the top of a sheet is from its true white.
    """
    vae.to(device), clip.to(device)
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)
        model = build(settings.widths, settings.layers, vae, clip).to(device, memory_format=_memory_format(device))
    if start:
        start_from(model, start)
    attention.write_out(model)
    if compiled:
        model.compile()
    latents = cached_latents(vae, images, folder / "latents").to(device)
    texts = [text for variants in captions(range(len(images))) for text in variants]
    kept = folder / "captions" if settings.captions_in_memory else None
    conditions = Captions(clip, encode(tokenizer, [*texts, ""]).to(torch.int16), kept)
    joints = torch.from_numpy(np.stack([world.joints(world.sample_scene(seed)) for seed in range(len(images))]))
    alphas = alpha_bar(scheduler())
    channels = channel_weights(vae.config.latent_channels, settings.semantic_weight).to(device)
    size = images.shape[1]
    time_ids = torch.tensor([[size, size, 0, 0, size, size]], dtype=torch.float32, device=device)

    def errors(z: Tensor, noise: Tensor, t: Tensor, hidden: Tensor, pooled: Tensor) -> Tensor:
        """Squared error of v, (B, C, h, w), for latents at timesteps t (B,)."""
        alpha_bar_t = alphas[t].to(device)
        noisy = add_noise(z, noise, alpha_bar_t).contiguous(memory_format=_memory_format(device))
        added = {"text_embeds": pooled, "time_ids": time_ids.expand(len(z), 6)}
        predicted = model(noisy, t.to(device), hidden, added_cond_kwargs=added).sample.float()
        return (predicted - target(noise, z, alpha_bar_t, "v_prediction")).square()

    def step_loss(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        n = settings.batch_size
        chosen = torch.randint(len(latents), (n,), generator=generator)
        variant = torch.randint(CAPTIONS_A_PICTURE, (n,), generator=generator)
        dropped = torch.rand(n, generator=generator) < settings.caption_dropout
        text = torch.where(dropped, conditions.empty, chosen * CAPTIONS_A_PICTURE + variant)
        z = latents[chosen.to(device)].float()
        noise = torch.randn(z.shape, generator=generator).to(device)
        t = stratified_timesteps(n, len(alphas), generator, settings.noise_bias)
        error = errors(z, noise, t, *conditions[text])
        weight = min_snr_weight(snr(alphas[t]), settings.min_snr_gamma, "v_prediction")[:, None, None, None]
        # While the noise hides where the figure is, a heavier face would be drawn wherever it may be.
        placed = (snr(alphas[t]) > PLACED_SNR).float()[:, None, None, None]
        weight = weight * (1 + placed * (figure_weights(joints[chosen], z.shape[-1], settings.figure_weight) - 1))
        own = error[:, : -len(semantics.CHANNELS)].mean().detach()
        return (weight.to(device) * channels * error).mean(), {"v_error": own, "semantic_error": error.mean().detach()}

    pipeline = as_pipeline(model, vae, clip, tokenizer)
    pipeline.set_progress_bar_config(disable=True)
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT)
    true = draw_scenes(seeds, size)
    held_out_latents = encode_latents(vae, true).float().to(device)
    held_out_captions = [world.caption(world.sample_scene(seed)) for seed in seeds]
    held_out_conditions = clip.conditions(encode(tokenizer, held_out_captions).to(device))
    on_paper = [i for i, seed in enumerate(seeds) if world.sample_scene(seed).setting.background == "paper"][:2]
    shown = [i for i in range(HELD_OUT) if i not in on_paper][: SAMPLES - len(on_paper)] + on_paper

    def validate(step: int, model: UNet2DConditionModel) -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(held_out_latents.shape, generator=generator).to(device)
        t = stratified_timesteps(HELD_OUT, len(alphas), generator)
        measured = {"v_error": errors(held_out_latents, noise, t, *held_out_conditions).mean().item()}
        drawn = pipeline(
            [held_out_captions[i] for i in shown],
            height=size,
            width=size,
            generator=[torch.Generator().manual_seed(i) for i in shown],
            output_type="pt",
            **SAMPLING,
        ).images.float()
        originals = to_tensor(true[shown])
        pictures = to_pictures(originals) + to_pictures(drawn * 2 - 1)
        figures.save_grid(pictures, folder / f"samples_{step:06d}.png", columns=len(shown))
        if on_paper:
            top = slice(-len(on_paper), None), slice(None), slice(0, size // 32)
            measured["paper_error"] = (drawn.cpu()[top] - (originals[top] + 1) / 2).abs().mean().item()
        return measured

    return train(
        model, step_loss, settings.loop, folder, validate=validate, describe="UNet", all_settings=asdict(settings)
    )


def load(folder: Path, vae: AutoencoderTiny, clip: Clip) -> UNet2DConditionModel:
    """The UNet of a stage folder (averaged weights), frozen, in evaluation mode."""
    settings = recorded_settings(folder)
    model = build(tuple(settings["widths"]), settings["layers"], vae, clip)
    load_stage(model, folder)
    return model
