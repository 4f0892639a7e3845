"""Train both GANs on a few drawings, with the common loop.

    train_gan(VERSION_2, prepare(images, 64), Path("runs/gan_v2"))
    pictures = generate(load(Path("runs/gan_v2")), latents(36, VERSION_2.latent, seed=0))

Non-saturating loss (Goodfellow et al. 2014, sec. 3; it is what the DCGAN paper trains with too):

    L_D = E softplus(-D(x)) + E softplus(D(G(z))) + gamma/2 E |grad_x D(x)|^2        L_G = E softplus(-D(G(z)))

The last term of L_D is R1 (Mescheder et al. 2018, eq. 9), computed every 16 steps with 16 times the weight (Karras et
al. 2020b, sec. 3.1). One backward pass serves both networks: in L_D the pictures are detached from the generator, and
in L_G the discriminator's weights are held constant, so that neither loss changes the other network's gradient.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import PIL.Image
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from comics_genai.errors import UserError
from comics_genai.images import to_pictures
from comics_genai.ranges import check
from comics_genai.training.loop import LoopSettings, TrainResult, train

from . import dcgan, lite_gan
from .augment import AdaController, diff_augment
from .data import check_fits, digest, in_turn
from .runs import load_weights_of, settings_of
from .samples import NOISE_SEED, Measure, Samples

JUDGED = 256  # the most pictures of a kind over which D's output is averaged


@dataclass(frozen=True)
class GanSettings:
    """The networks, their balance and their training. Raises UserError for a value out of its range."""

    model: Literal["dcgan", "lite"] = "lite"
    size: int = 64  # pixels each way: 32, 64 or 128
    latent: int = 128  # dimensions of z
    generator_width: int = 40  # channels at 32 px; with a DCGAN at half its size, as in the paper
    discriminator_width: int = 24  # channels of the first layer
    batch_size: int = 8
    r1_gamma: float = 1.0  # 0 = off
    r1_every: int = 16  # steps
    augment: bool = True  # DiffAugment, with the probability of ADA's controller
    ada_target: float = 0.6  # of E[sign D(real)]
    ada_pictures: int = 8_000  # real pictures until p can rise from 0 to 1 (500,000 in the paper, of 25 million)
    samples: int = 36  # pictures of a validation
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=1))

    def __post_init__(self) -> None:
        ranges = {
            "model": (self.model in ("dcgan", "lite"), "dcgan or lite"),
            "size": (self.size in (32, 64, 128), "32, 64 or 128"),
            "latent": (self.latent >= 1, "at least 1"),
            "generator_width": (self.generator_width >= 1, "at least 1"),
            "discriminator_width": (self.discriminator_width >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 2, "at least 2 (batch statistics need two pictures)"),
            "r1_gamma": (0 <= self.r1_gamma < math.inf, "0 (off) or more"),
            "r1_every": (self.r1_every >= 1, "at least 1"),
            "ada_target": (-1 <= self.ada_target <= 1, "in [-1, 1]"),
            "ada_pictures": (self.ada_pictures >= 1, "at least 1"),
            "samples": (self.samples >= 2, "at least 2 (diversity needs two pictures)"),
        }
        check(self, ranges)
        if self.loop.precision == "fp16":
            raise UserError(
                "loop.precision is 'fp16', in which R1's second derivatives overflow: use 'bf16' or 'fp32'."
            )


# The paper's learning rate, beta1 and latent size; half of its width is enough for six drawings.
VERSION_1 = GanSettings(
    model="dcgan",
    latent=100,
    generator_width=64,
    discriminator_width=64,
    r1_gamma=0.0,
    augment=False,
    loop=LoopSettings(
        steps=1200,
        learning_rate=2e-4,
        beta1=0.5,
        beta2=0.999,
        clip_norm=0.0,
        log_every=10,
        checkpoint_every=250,
        validate_every=100,
    ),
)
VERSION_2 = GanSettings(
    loop=LoopSettings(
        steps=1400,
        learning_rate=5e-4,
        beta1=0.0,
        beta2=0.99,
        clip_norm=0.0,
        ema_decay=0.998,
        log_every=10,
        checkpoint_every=250,
        validate_every=200,
    ),
)


class Gan(nn.Module):
    """Generator, discriminator and augmentation controller: everything that training changes."""

    def __init__(self, settings: GanSettings):
        super().__init__()
        networks = dcgan if settings.model == "dcgan" else lite_gan
        self.generator = networks.Generator(settings.size, settings.latent, settings.generator_width)
        self.discriminator = networks.Discriminator(settings.size, settings.discriminator_width)
        self.controller = AdaController(settings.ada_target, settings.ada_pictures)


def build(settings: GanSettings) -> Gan:
    """The untrained networks, initialised by the run's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.loop.seed)
        return Gan(settings)


def load(folder: Path) -> Gan:
    """Load the networks of a run (their averaged weights if it has them), frozen and in evaluation mode."""
    gan = build(settings_of(folder, GanSettings))
    load_weights_of(folder, gan)
    return gan


def latents(count: int, latent: int, seed: int) -> Tensor:
    """z (count, latent), standard normal, on the CPU."""
    return torch.randn(count, latent, generator=torch.Generator().manual_seed(seed))


def interpolate(start: Tensor, end: Tensor, count: int) -> Tensor:
    """z (count, latent) from `start` to `end`, both (latent,), along the great circle (slerp, White 2016)."""
    cosine = F.cosine_similarity(start, end, dim=0).clamp(-1, 1)
    angle, t = cosine.acos(), torch.linspace(0, 1, count)[:, None]
    if angle < 1e-4:  # both have the same direction, so there is no arc
        return torch.lerp(start.expand(count, -1), end.expand(count, -1), t)
    return (((1 - t) * angle).sin() * start + (t * angle).sin() * end) / angle.sin()


@torch.no_grad()
def generate(gan: Gan, z: Tensor, batch_size: int = 64) -> list[PIL.Image.Image]:
    """The pictures of z (N, latent)."""
    device = next(gan.parameters()).device
    return to_pictures(torch.cat([gan.generator(part.to(device)) for part in z.split(batch_size)]))


def r1_penalty(logits: Tensor, real: Tensor) -> Tensor:
    """E |grad_x D(x)|^2 of logits (N,) computed from real (N, 3, H, W), which requires gradients (Mescheder 2018)."""
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


class GanLoss:
    """The loss of both networks in a step; called as `loop.train` calls its `step_loss`.

    outputs: D's mean output on the drawings, on held-out ones and on generated ones, and its accuracy on each kind.
    They are measured without augmentation, in evaluation mode, in the step before the newest validation.
    """

    def __init__(self, gan: Gan, settings: GanSettings, drawings: Tensor, held_out: Tensor | None = None):
        self.gan, self.settings, self.drawings, self.held_out = gan, settings, drawings, held_out
        self.noise = latents(settings.samples, settings.latent, NOISE_SEED).to(drawings.device)
        self.outputs: dict[str, float] = {}

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        gan, settings, drawings = self.gan, self.settings, self.drawings
        if self._validated_after(step):
            # This is not done in validation, which has averaged weights: no averaged discriminator was ever trained
            # against.
            self.outputs = self._mean_outputs()
        real = drawings[in_turn(len(drawings), step, settings.batch_size).to(drawings.device)]
        z = torch.randn(settings.batch_size, settings.latent, generator=generator).to(drawings.device)
        fake = gan.generator(z)
        regularised = settings.r1_gamma > 0 and step % settings.r1_every == 0
        real_logits = gan.discriminator(self._augmented(real.requires_grad_(regularised), generator))
        augmented_fake = self._augmented(fake, generator)
        fake_logits = gan.discriminator(augmented_fake.detach())
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        loss_g = F.softplus(-self._constant_discriminator(augmented_fake)).mean()
        signal = torch.zeros((), device=fake.device)

        def note(gradient: Tensor) -> None:
            signal.copy_(gradient.detach().flatten(1).norm(dim=1).sum())

        fake.register_hook(note)
        logs = {
            "loss_discriminator": loss_d.detach(),
            "loss_generator": loss_g.detach(),
            "accuracy_real": (real_logits > 0).float().mean(),
            "accuracy_fake": (fake_logits < 0).float().mean(),
            "p": gan.controller.p.clone(),
            # Norm of dL_G/dx for each generated x, meaned (L_G is a mean, so its gradients are N times smaller): what
            # the generator is told. The backward pass fills it in.
            "gradient_at_fakes": signal,
        }
        if regularised:
            logs["r1"] = penalty = r1_penalty(real_logits, real)
            loss_d = loss_d + settings.r1_gamma / 2 * settings.r1_every * penalty
        if settings.augment:
            gan.controller.update(step, real_logits.detach())
        return loss_d + loss_g, logs

    def _augmented(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        return diff_augment(pictures, self.gan.controller.p, generator) if self.settings.augment else pictures

    def _constant_discriminator(self, pictures: Tensor) -> Tensor:
        """D(pictures) with gradients for the pictures only, and without updates of D's running statistics."""
        discriminator = self.gan.discriminator
        weights = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
        statistics = {name: buffer.clone() for name, buffer in discriminator.named_buffers()}
        return functional_call(discriminator, weights | statistics, (pictures,))

    def _validated_after(self, step: int) -> bool:
        loop = self.settings.loop
        done = step // loop.accumulate + 1
        return loop.validate_every > 0 and (done % loop.validate_every == 0 or done == loop.steps)

    @torch.no_grad()
    def _mean_outputs(self) -> dict[str, float]:
        """The mean of D and its accuracy on each kind of picture, and the overfitting measure r_v.

        r_v (Karras et al. 2020, eq. 1) is 0 if held-out pictures look as real as the drawings, and 1 if they look as
        false as generated ones.
        """
        self.gan.eval()
        sets = {"drawings": self.drawings, "generated": self.gan.generator(self.noise)}
        sets |= {} if self.held_out is None else {"held_out": self.held_out}
        # The batches have equal sizes, because the minibatch standard deviation depends on the size.
        n = min(self.settings.batch_size, *map(len, sets.values()))
        means = {}
        for name, pictures in sets.items():
            batches = pictures[: min(len(pictures), JUDGED) // n * n].split(n)
            logits = torch.cat([self.gan.discriminator(batch) for batch in batches])
            means[f"d_{name}"] = logits.mean().item()
            means[f"accuracy_{name}"] = (logits < 0 if name == "generated" else logits > 0).float().mean().item()
        self.gan.train()
        if self.held_out is not None:
            means["gap"] = means["d_drawings"] - means["d_held_out"]
            means["r_v"] = means["gap"] / (means["d_drawings"] - means["d_generated"] or math.nan)
        return means


def train_gan(
    settings: GanSettings,
    drawings: Tensor,
    folder: Path,
    *,
    held_out: Tensor | None = None,
    threshold: float | None = None,
    measure: Measure | None = None,
    device: torch.device | str = "cpu",
) -> TrainResult:
    """Train on drawings (N, 3, size, size) in [-1, 1] (see `data.prepare`) until done, stopped or out of time.

    The log has the losses, the discriminator's accuracy on real and generated pictures, p, and the gradient that
    reaches generated pictures. Validation adds the figures of `samples.Samples` and D's mean outputs; with held_out (M,
    3, size, size), the same character in other poses, also its overfitting `gap` and `r_v`. threshold: see
    `metrics.copy_threshold`. Raises UserError for drawings of another size, and for a folder that was started with
    other settings or drawings.
    """
    check_fits(drawings, settings.size)
    if held_out is not None:
        check_fits(held_out, settings.size)
        held_out = held_out.to(device)
    gan = build(settings).to(device, memory_format=torch.channels_last).train()  # a sixth faster on a CPU
    objective = GanLoss(gan, settings, drawings.to(device), held_out)

    def outputs_and_measure(step: int, pictures: list[PIL.Image.Image]) -> dict[str, float]:
        return objective.outputs | (measure(step, pictures) if measure else {})

    samples = Samples(
        lambda gan: generate(gan, objective.noise), drawings, Path(folder), threshold, outputs_and_measure
    )
    return train(
        gan,
        objective,
        settings.loop,
        Path(folder),
        validate=samples,
        describe=settings.model,
        all_settings={**asdict(settings), "drawings_digest": digest(drawings)},
    )
