"""Train the miniature's UNet on cached latents, and draw held-out captions with it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTokenizer

from comics_genai import world
from comics_genai.images import to_pictures, to_tensor
from comics_genai.plotting import figures
from comics_genai.training import attention, objective
from comics_genai.training.loop import TrainResult, train
from comics_genai.training.objective import Noised

from . import semantics
from .clip import Clip
from .dataset import CAPTIONS_A_PICTURE, HELD_OUT_SEED, captions, draw_scenes
from .tokenizer import encode
from .unet import UnetSettings, as_pipeline, build, scheduler, start_from
from .unet_inputs import Captions, cached_latents, encode_latents

HELD_OUT = 64  # scenes whose error is measured; for the first of them samples are drawn
SAMPLES = 8
FACE, ARM = 0.14, 0.07  # around the head, the elbows and the hands: fractions of the picture
PLACED_SNR = 0.05  # least alpha_bar at which a noisy picture shows where the figure stands
SAMPLING = {"num_inference_steps": 25, "guidance_scale": 3.0}


def figure_weights(joints: Tensor, side: int, weight: float) -> Tensor:
    """Weights (B, 1, side, side) of the errors of latents, at least 1: 1 + `weight` within FACE of the head, a third
    of it within ARM of the elbows and hands. `joints`: (B, 13, 2), see world.joints.

    An expression is a few pixels. In a plain mean they are a thousandth of the loss, and the UNet would not learn them.
    """
    center = (torch.arange(side) + 0.5) / side
    cells = torch.stack(torch.meshgrid(center, center, indexing="xy"), -1)
    near = (joints[:, :, None, None] - cells).norm(dim=-1)  # (B, 13, side, side)
    arms = [i for i, name in enumerate(world.JOINTS) if name.endswith(("_elbow", "_hand"))]
    face = near[:, world.JOINTS.index("head")] < FACE
    arm = (near[:, arms] < ARM).any(dim=1)
    return (1 + weight * torch.maximum(face.float(), arm.float() / 3))[:, None]


def channel_weights(channels: int, semantic_weight: float) -> Tensor:
    """Weights (channels,) of the errors of the latent channels: 1 for the picture's own, which come first."""
    own = channels - len(semantics.CHANNELS)
    return torch.cat([torch.ones(own), torch.full((len(semantics.CHANNELS),), semantic_weight)])


def _memory_format(device: torch.device | str) -> torch.memory_format:
    """The faster memory format of a device; on CPUs the UNet's steps take 6 % longer with channels last."""
    return torch.channels_last if torch.device(device).type == "cuda" else torch.contiguous_format


class UnetTraining:
    """A UNet with all it learns from; `step_loss` and `validate` are what `training.loop.train` asks for.

    images: uint8 (N, size, size, 3), number i being scene i. `start`: see `unet.start_from`.
    """

    def __init__(
        self,
        settings: UnetSettings,
        vae: AutoencoderTiny,
        clip: Clip,
        tokenizer: CLIPTokenizer,
        images: np.ndarray,
        folder: Path,
        device: torch.device | str,
        start: Path | None = None,
    ):
        self.settings, self.vae, self.folder, self.device = settings, vae.to(device), folder, device
        self.size = images.shape[1]
        clip.to(device)
        with torch.random.fork_rng():
            torch.manual_seed(settings.loop.seed)
            model = build(settings.widths, settings.layers, vae, clip)
        self.model = model.to(device, memory_format=_memory_format(device))
        if start:
            start_from(model, start)
        attention.write_out(model)
        self.latents = cached_latents(vae, images, folder / "latents").to(device)
        texts = [text for variants in captions(range(len(images))) for text in variants]
        kept = folder / "captions" if settings.captions_in_memory else None
        self.conditions = Captions(clip, encode(tokenizer, [*texts, ""]).to(torch.int16), kept)
        joints = [world.joints(world.sample_scene(seed)) for seed in range(len(images))]
        self.joints = torch.from_numpy(np.stack(joints))
        self.alpha_bar = objective.alpha_bar(scheduler())
        self.channels = channel_weights(vae.config.latent_channels, settings.semantic_weight).to(device)
        self.time_ids = torch.tensor([[self.size, self.size, 0, 0, self.size, self.size]]).float().to(device)
        self.pipeline = as_pipeline(model, vae, clip, tokenizer)
        self.pipeline.set_progress_bar_config(disable=True)
        self._hold_out(clip, tokenizer)

    def _hold_out(self, clip: Clip, tokenizer: CLIPTokenizer) -> None:
        """Prepare the validation: latents, captions and conditions of its scenes, and which scenes are shown.

    Two of the shown scenes are on paper.
    """
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT)
        self.true = draw_scenes(seeds, self.size)
        self.held_out_latents = encode_latents(self.vae, self.true).float().to(self.device)
        self.held_out_captions = [world.caption(world.sample_scene(seed)) for seed in seeds]
        self.held_out_conditions = clip.conditions(encode(tokenizer, self.held_out_captions).to(self.device))
        on_paper = [i for i, seed in enumerate(seeds) if world.sample_scene(seed).setting.background == "paper"]
        self.on_paper = on_paper[:2]
        others = [i for i in range(HELD_OUT) if i not in self.on_paper]
        self.shown = others[: SAMPLES - len(self.on_paper)] + self.on_paper

    def noised(self, z: Tensor, generator: torch.Generator, noise_bias: float = 1.0) -> tuple[Noised, Tensor]:
        """Latents z (B, C, h, w) noised for one step, and their timesteps (B,)."""
        noise = torch.randn(z.shape, generator=generator).to(self.device)
        t = objective.spread_timesteps(len(z), len(self.alpha_bar), generator, noise_bias)
        alpha_bar_t, gamma = self.alpha_bar[t].to(self.device), self.settings.min_snr_gamma
        return objective.noised(z, noise, alpha_bar_t, "v_prediction", gamma), t

    def predict(self, noisy: Tensor, t: Tensor, hidden: Tensor, pooled: Tensor) -> Tensor:
        """v of noisy latents (B, C, h, w) at timesteps t (B,), float32."""
        noisy = noisy.contiguous(memory_format=_memory_format(self.device))
        added = {"text_embeds": pooled, "time_ids": self.time_ids.expand(len(noisy), 6)}
        return self.model(noisy, t.to(self.device), hidden, added_cond_kwargs=added).sample.float()

    def cell_weights(self, scenes: Tensor, t: Tensor, side: int) -> Tensor:
        """Weights (B, 1, side, side) of the cells of latents: `figure_weights` if the noise does not hide the figure.

        At higher noise the position of the figure is unknown. Weighting faces there would teach the UNet to draw them
        everywhere.
        """
        placed = (objective.snr(self.alpha_bar[t]) > PLACED_SNR).float()[:, None, None, None]
        figure = figure_weights(self.joints[scenes], side, self.settings.figure_weight)
        return 1 + placed * (figure - 1)

    def step_loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted error of a batch. The log has unweighted errors of the picture's own channels and of all."""
        settings, n = self.settings, self.settings.batch_size
        chosen = torch.randint(len(self.latents), (n,), generator=generator)
        variant = torch.randint(CAPTIONS_A_PICTURE, (n,), generator=generator)
        dropped = torch.rand(n, generator=generator) < settings.caption_dropout
        text = torch.where(dropped, self.conditions.empty, chosen * CAPTIONS_A_PICTURE + variant)
        z = self.latents[chosen.to(self.device)].float()
        batch, t = self.noised(z, generator, settings.noise_bias)
        v = self.predict(batch.latents, t, *self.conditions[text])
        cells = self.cell_weights(chosen, t, z.shape[-1]).to(self.device)
        loss = objective.weighted_error(v, batch.target, batch.weights, self.channels, cells)
        return loss, _unweighted(v.detach(), batch.target)

    def validate(self, step: int, model: UNet2DConditionModel) -> dict[str, float]:
        """The error of v on held-out scenes with fixed noise, and paper_error.

        paper_error is the distance, in 0 to 1, of the drawn paper from its true white. Also writes samples_STEP.png:
        eight held-out scenes above the pipeline's drawings of their captions, always from the same noise.
        """
        generator = torch.Generator().manual_seed(0)
        batch, t = self.noised(self.held_out_latents, generator)
        v = self.predict(batch.latents, t, *self.held_out_conditions)
        measured = {"v_error": _unweighted(v, batch.target)["v_error"].item()}
        drawn = self.pipeline(
            [self.held_out_captions[i] for i in self.shown],
            height=self.size,
            width=self.size,
            generator=[torch.Generator().manual_seed(i) for i in self.shown],
            output_type="pt",
            **SAMPLING,
        ).images.float()
        originals = to_tensor(self.true[self.shown])
        pictures = to_pictures(originals) + to_pictures(drawn * 2 - 1)
        figures.save_grid(pictures, self.folder / f"samples_{step:06d}.png", columns=len(self.shown))
        if self.on_paper:
            top = slice(-len(self.on_paper), None), slice(None), slice(0, self.size // 32)
            measured["paper_error"] = (drawn.cpu()[top] - (originals[top] + 1) / 2).abs().mean().item()
        return measured


def _unweighted(v: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Mean squared errors of v (B, C, h, w), of the picture's own channels and of all channels."""
    error = (v - target).square()
    return {"v_error": error[:, : -len(semantics.CHANNELS)].mean(), "semantic_error": error.mean()}


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
    """Train on uint8 pictures (N, size, size, 3), number i being scene i, in `folder`, from the weights in the file
    `start` (see `unet.start_from`), or else from random ones."""
    training = UnetTraining(settings, vae, clip, tokenizer, images, folder, device, start)
    if compiled:
        training.model.compile()
    return train(
        training.model,
        training.step_loss,
        settings.loop,
        folder,
        validate=training.validate,
        describe="UNet",
        all_settings=asdict(settings),
    )
