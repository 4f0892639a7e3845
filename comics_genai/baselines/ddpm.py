"""Diffusion from scratch in pixel space, from a few drawings.

    train_ddpm(SETTINGS_32, prepare(images, 32), Path("runs/ddpm_32"))
    pictures = sample(load(Path("runs/ddpm_32")), 36, seed=0)

The cosine schedule (Nichol & Dhariwal 2021, eq. 17), v-prediction (Salimans & Ho 2022), min-SNR weights (Hang et al.
2023), zero terminal SNR (Lin et al. 2024). Larger pictures are folded into patches before the network. Their schedule
is shifted towards noise, because neighbouring pixels are correlated (Hoogeboom et al. 2023, sec. 3.1).
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import PIL.Image
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from comics_genai.errors import UserError
from comics_genai.images import to_pictures
from comics_genai.ranges import check
from comics_genai.training import objective
from comics_genai.training.loop import LoopSettings, TrainResult, train

from .conditioned_augment import PARAMETERS, sample_parameters, transform
from .data import check_fits, digest, in_turn
from .runs import load_weights_of, settings_of
from .samples import NOISE_SEED, Measure, Samples

HEAD = 32  # channels of an attention head


@dataclass(frozen=True)
class DdpmSampling:
    """How pictures are drawn. Raises UserError for a value out of its range."""

    steps: int = 50  # at most T
    eta: float = 0.0  # 0: DDIM, a function of the noise; 1: DDPM, as random as the forward process (with T steps)
    batch_size: int = 36

    def __post_init__(self) -> None:
        ranges = {
            "steps": (self.steps >= 1, "at least 1"),
            "eta": (0 <= self.eta <= 1, "in [0, 1]"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
        }
        check(self, ranges)


@dataclass(frozen=True)
class DdpmSettings:
    """The network, its schedule, how it is trained. Raises UserError for a value out of its range."""

    size: int = 32  # pixels each way, 8 to 512
    patch: int = 1  # side in pixels of the patches that the network reads as one pixel
    channels: tuple[int, ...] = (64, 128, 160)  # at each resolution, halving; multiples of HEAD
    layers: int = 2  # residual blocks at each resolution
    dropout: float = 0.1
    schedule: Literal["cosine", "scaled_linear"] = "cosine"  # the second is Stable Diffusion's
    schedule_shift: float = 1.0  # the noise-to-signal ratio is multiplied by its square; size / 64 for large pictures
    timesteps: int = 1000  # T
    zero_terminal_snr: bool = True
    min_snr_gamma: float = 5.0  # 0 = off
    augment: float = 0.0  # probability of each kind of non-leaky augmentation; 0 = off, and the network has no input
    batch_size: int = 12
    samples: int = 36  # pictures of a validation
    sampling: DdpmSampling = DdpmSampling()  # of validation
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=1))

    def __post_init__(self) -> None:
        folded = self.patch * 2 ** (len(self.channels) - 1)
        ranges = {
            "patch": (self.patch >= 1, "at least 1"),
            "channels": (
                len(self.channels) > 0 and all(c > 0 and c % HEAD == 0 for c in self.channels),
                f"one or more multiples of {HEAD}",
            ),
            "size": (
                8 <= self.size <= 512 and self.size % folded == 0,
                f"in 8 to 512 and a multiple of {folded} (patch times the halvings)",
            ),
            "layers": (self.layers >= 1, "at least 1"),
            "dropout": (0 <= self.dropout < 1, "in [0, 1)"),
            "schedule": (self.schedule in ("cosine", "scaled_linear"), "cosine or scaled_linear"),
            "schedule_shift": (0 < self.schedule_shift < math.inf, "above 0"),
            "timesteps": (self.timesteps >= 2, "at least 2"),
            "min_snr_gamma": (self.min_snr_gamma >= 0, "0 (off) or more"),
            "augment": (0 <= self.augment <= 1, "in [0, 1]"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "samples": (self.samples >= 2, "at least 2 (diversity needs two pictures)"),
            "sampling": (self.sampling.steps <= self.timesteps, f"of at most {self.timesteps} steps (timesteps)"),
        }
        check(self, ranges)


_LOOP = LoopSettings(
    steps=10_000,
    learning_rate=2e-4,
    warmup_steps=100,
    beta2=0.99,
    ema_decay=0.999,
    checkpoint_every=250,
    validate_every=500,
)
# On a CPU there is time for few steps, so they are larger, and the average covers fewer of them.
_LOOP_CPU = replace(_LOOP, learning_rate=5e-4, ema_decay=0.995)
# 5 to 10 million parameters each. The narrow ones have most at coarse resolutions, which cost little on a CPU.
SETTINGS_32 = DdpmSettings(loop=_LOOP)
SETTINGS_32_CPU = replace(
    SETTINGS_32,
    channels=(32, 64, 192),
    layers=1,
    batch_size=6,
    sampling=DdpmSampling(steps=25),
    loop=replace(_LOOP_CPU, steps=1800, validate_every=200),
)
SETTINGS_256 = DdpmSettings(
    size=256,
    patch=4,
    channels=(64, 96, 128, 160),
    schedule_shift=4.0,
    augment=0.12,  # the smallest of the paper's
    batch_size=6,
    samples=6,
    sampling=DdpmSampling(steps=25),
    loop=replace(_LOOP, steps=20_000),
)
SETTINGS_256_CPU = replace(
    SETTINGS_256,
    channels=(64, 64, 128, 192),
    layers=1,
    batch_size=3,
    loop=replace(_LOOP_CPU, steps=500, validate_every=100),
)


def cosine_alpha_bar(timesteps: int, shift: float = 1.0) -> Tensor:
    """alpha_bar_t for t = 0 ... T, (T + 1,) float64: f(t)/f(0), f(t) = cos^2((t/T + s)/(1 + s) pi/2), s = 0.008.

    shift: its square multiplies the noise-to-signal ratio (1 - alpha_bar)/alpha_bar.
    """
    f = torch.cos((torch.arange(timesteps + 1, dtype=torch.float64) / timesteps + 0.008) / 1.008 * math.pi / 2) ** 2
    return _shifted(f / f[0], shift)


def _shifted(alpha_bar: Tensor, shift: float) -> Tensor:
    return alpha_bar / (alpha_bar + shift**2 * (1 - alpha_bar))


def schedule(settings: DdpmSettings) -> Tensor:
    """alpha_bar_t of the training's timesteps, (T,) float32, falling; index 0 is the paper's t = 1.

    Without zero terminal SNR, betas are capped at 0.999 as in the paper. The cosine schedule then ends at 2e-9, which
    is next to nothing, and scaled_linear at 0.005. That leaves enough of a picture's mean to tell white paper from grey
    in training, but the pure noise at the start of sampling does not have it.
    """
    if settings.schedule == "cosine":
        alpha_bar = cosine_alpha_bar(settings.timesteps, settings.schedule_shift)
    else:
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, settings.timesteps, dtype=torch.float64) ** 2
        alpha_bar = _shifted(torch.cat([torch.ones(1), (1 - betas).cumprod(0)]), settings.schedule_shift)
    betas = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    scheduler = DDPMScheduler(
        settings.timesteps, trained_betas=betas.tolist(), rescale_betas_zero_snr=settings.zero_terminal_snr
    )
    return objective.alpha_bar(scheduler)


class PixelDiffusion(nn.Module):
    """Predict v from noised pictures (N, 3, size, size), timesteps (N,) and parameters of augmentation (N, 6)."""

    def __init__(self, settings: DdpmSettings):
        super().__init__()
        self.settings, n = settings, len(settings.channels)
        self.unet = UNet2DModel(
            sample_size=settings.size // settings.patch,
            in_channels=3 * settings.patch**2,
            out_channels=3 * settings.patch**2,
            down_block_types=("DownBlock2D",) * (n - 1) + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (n - 1),
            block_out_channels=settings.channels,
            layers_per_block=settings.layers,
            attention_head_dim=HEAD,
            norm_num_groups=16,
            dropout=settings.dropout,
            class_embed_type="identity" if settings.augment else None,
        )
        # Without a bias, so that the zeros of an unchanged picture add nothing (Karras et al. 2022).
        self.told = nn.Linear(len(PARAMETERS), 4 * settings.channels[0], bias=False) if settings.augment else None

    def forward(self, x: Tensor, t: Tensor, parameters: Tensor | None = None) -> Tensor:
        told = None
        if self.told is not None:
            told = self.told(x.new_zeros(len(x), len(PARAMETERS)) if parameters is None else parameters)
        patches = F.pixel_unshuffle(x, self.settings.patch)
        return F.pixel_shuffle(self.unet(patches, t, told).sample, self.settings.patch)


def build(settings: DdpmSettings) -> PixelDiffusion:
    """The untrained network, initialised by the run's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.loop.seed)
        return PixelDiffusion(settings)


def load(folder: Path) -> PixelDiffusion:
    """Load the network of a run (its averaged weights if it has them), frozen and in evaluation mode."""
    model = build(settings_of(folder, DdpmSettings))
    load_weights_of(folder, model)
    return model


@torch.no_grad()
def denoise(
    model: PixelDiffusion,
    noise: Tensor,
    sampling: DdpmSampling,
    generator: torch.Generator | None = None,
    parameters: Tensor | None = None,
) -> Tensor:
    """Sample pictures (N, 3, size, size) in [-1, 1] from noise of that shape (Song et al. 2021, eq. 12 and 16).

    generator: on the CPU, needed for eta > 0. parameters: (N, 6) of an augmentation that the pictures should show; by
    default none. Timesteps are trailing, so the first is T, which has no signal. diffusers' DDIM step is not used: with
    eta = 1 and zero terminal SNR it takes the root of a rounding error below 0.
    """
    T = model.settings.timesteps
    if sampling.steps > T:
        raise UserError(f"sampling.steps is {sampling.steps}, but must be at most the {T} timesteps of training.")
    alpha_bar = torch.cat([torch.ones(1), schedule(model.settings)]).tolist()
    times = [round(T * (1 - i / sampling.steps)) for i in range(sampling.steps + 1)]  # T ... 0, the paper's t
    x, told = noise, () if parameters is None else (parameters.to(noise),)
    for t, s in zip(times[:-1], times[1:], strict=True):
        a_t, a_s = alpha_bar[t], alpha_bar[s]
        v = model(x, torch.full((len(x),), t - 1, device=x.device), *told).float()
        picture = (a_t**0.5 * x - (1 - a_t) ** 0.5 * v).clamp(-1, 1)
        # The noise that belongs to the clipped picture; otherwise what was clipped would come back.
        eps = (x - a_t**0.5 * picture) / (1 - a_t) ** 0.5
        sigma = sampling.eta * ((1 - a_s) / (1 - a_t) * (1 - a_t / a_s)) ** 0.5
        x = a_s**0.5 * picture + max(1 - a_s - sigma**2, 0.0) ** 0.5 * eps
        if sigma > 0:
            x = x + sigma * torch.randn(x.shape, generator=generator).to(x.device)
    return x


def sample(
    model: PixelDiffusion,
    count: int,
    seed: int,
    sampling: DdpmSampling | None = None,
    parameters: Tensor | None = None,
) -> list[PIL.Image.Image]:
    """`count` pictures for a seed. sampling: by default that of validation. parameters: see `denoise`."""
    sampling, size = sampling or model.settings.sampling, model.settings.size
    generator, device = torch.Generator().manual_seed(seed), next(model.parameters()).device
    noise = torch.randn(count, 3, size, size, generator=generator).to(device)
    told = torch.zeros(count, len(PARAMETERS)) if parameters is None else parameters
    n = sampling.batch_size
    drawn = [denoise(model, x, sampling, generator, a) for x, a in zip(noise.split(n), told.split(n), strict=True)]
    return to_pictures(torch.cat(drawn))


class DdpmLoss:
    """The loss of a step; called as `loop.train` calls its `step_loss`."""

    def __init__(self, model: PixelDiffusion, drawings: Tensor):
        self.model, self.settings, self.drawings = model, model.settings, drawings
        self.alpha_bar = schedule(self.settings).to(drawings.device)

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        settings, device, n = self.settings, self.drawings.device, self.settings.batch_size
        pictures = self.drawings[in_turn(len(self.drawings), step, n).to(device)]
        parameters = None
        if settings.augment:
            parameters = sample_parameters(n, settings.augment, generator).to(device)
            pictures = transform(pictures, parameters)
        noise = torch.randn(pictures.shape, generator=generator).to(device)
        t = objective.spread_timesteps(n, settings.timesteps, generator).to(device)
        batch = objective.noised(pictures, noise, self.alpha_bar[t], "v_prediction", settings.min_snr_gamma)
        v = self.model(batch.latents, t, parameters)
        error = (v.detach().float() - batch.target).square().mean()
        return objective.weighted_error(v, batch.target, batch.weights), {"error_of_v": error}


def train_ddpm(
    settings: DdpmSettings,
    drawings: Tensor,
    folder: Path,
    *,
    threshold: float | None = None,
    measure: Measure | None = None,
    device: torch.device | str = "cpu",
) -> TrainResult:
    """Train on drawings (N, 3, size, size) in [-1, 1] (see `data.prepare`) until done, stopped or out of time.

    `samples.Samples` validates. threshold: see `metrics.copy_threshold`. Raises UserError for drawings of another size,
    and for a folder that was started with other settings or drawings.
    """
    check_fits(drawings, settings.size)
    model = build(settings).to(device).train()
    return train(
        model,
        DdpmLoss(model, drawings.to(device)),
        settings.loop,
        Path(folder),
        validate=Samples(
            lambda model: sample(model, settings.samples, NOISE_SEED), drawings, Path(folder), threshold, measure
        ),
        describe=f"DDPM {settings.size} px",
        all_settings={**asdict(settings), "drawings_digest": digest(drawings)},
    )
