"""The loss of a fine-tuning step: a term for the drawings, and one for prior preservation.

DreamBooth (Ruiz et al. 2023, eq. 2) binds the identifier to the drawings and keeps the class as it was:

    L = E w_t |f(z_t, t, "UnicornGirl, a girl, ...") - y|^2  +  lambda E w_t |f(z'_t, t, "a girl, ...") - y'|^2

y is the noise or v (see `training.objective`), and w_t the min-SNR weight. The second term is prior preservation. In
the paper, z' are class pictures that the base has drawn before. Otherwise z' = z, and y' is the frozen base's
prediction there; with LoRA the frozen base is the UNet with its adapter switched off, and no class pictures are needed.
With the class prompt this is ai-toolkit's differential output preservation, with the blank prompt its blank-prompt
preservation.

A base may have semantic latent channels, which say where the parts of the figure are. If these are left out of the
drawings' term, or have the base's own prediction as target, they do not learn the drawings' poses.
"""

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from comics_genai.bases.base import Base, Embeddings
from comics_genai.errors import UserError
from comics_genai.finetuning.encoded_data import TrainingData
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.training import objective


class FinetuneLoss:
    """The loss of a step; called as `loop.train` calls its `step_loss`. Nothing in it waits for the device."""

    def __init__(self, base: Base, data: TrainingData, settings: FinetuneSettings, frozen: nn.Module | None = None):
        self.base, self.data, self.settings, self.frozen = base, data, settings, frozen
        self.alpha_bar = objective.alpha_bar(base.pipeline.scheduler).to(base.device)
        self.lora_layers = [module for module in base.unet.modules() if isinstance(module, BaseTunerLayer)]
        self.channel_weights = _channel_weights(base, settings)

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and its parts. All random numbers come from `generator`, on the CPU."""
        settings, data, count = self.settings, self.data, self.settings.batch_size
        # Drawings are taken in turn, so that each is seen as often as it counts, whatever the batch size.
        chosen = data.turns[(torch.arange(count) + step * count) % len(data.turns)]
        variant = torch.randint(data.latents.shape[1], (count,), generator=generator)
        cell_weights = None if data.cell_weights is None else data.cell_weights[chosen, variant]
        time_ids = None if data.time_ids is None else data.time_ids[chosen]
        t, drawn = self._noised(data.latents[chosen, variant], generator)
        dropped = torch.rand(count, generator=generator) < settings.caption_dropout
        prompts = self._prompts(chosen, dropped)
        said = None
        if settings.asks_base:
            said = self._frozen_prediction(drawn.latents, t, self._taught_prompts(chosen), time_ids)
        target = self._target(drawn.target, said)
        weigh = {"channel_weights": self.channel_weights, "cell_weights": cell_weights}
        if not settings.preserves_prior:
            prediction = self.base.predict(drawn.latents, t, prompts, time_ids)
            return objective.weighted_error(prediction, target, drawn.weights, **weigh), {}
        owners, prior_t, prior_time_ids, prior = self._prior(chosen, t, drawn, said, time_ids, generator)
        # Both terms share one pass, because a small batch takes nearly as long as a large one.
        prediction, prior_prediction = self.base.predict(
            torch.cat([drawn.latents, prior.latents]),
            torch.cat([t, prior_t]),
            Embeddings.cat([prompts, self._class_prompts(owners)]),
            None if time_ids is None else torch.cat([time_ids, prior_time_ids]),
        ).chunk(2)
        on_drawings = objective.weighted_error(prediction, target, drawn.weights, **weigh)
        on_class = objective.weighted_error(prior_prediction, prior.target, prior.weights)
        logs = {"loss_drawings": on_drawings.detach(), "loss_prior": on_class.detach()}
        return on_drawings + settings.prior_weight * on_class, logs

    def _target(self, target: Tensor, said: Tensor | None) -> Tensor:
        """The drawings' target; with semantic_loss "prior", the base's prediction in the semantic channels."""
        if self.settings.semantic_loss != "prior":
            return target
        semantic = self.base.semantic_channels
        return torch.cat([target[:, : semantic.start], said[:, semantic]], 1)

    def _prior(
        self,
        chosen: Tensor,
        t: Tensor,
        drawn: objective.Noised,
        said: Tensor | None,
        time_ids: Tensor | None,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor | None, objective.Noised]:
        """The prior term's indices of class prompts, timesteps, micro-conditioning and noised batch."""
        data, count = self.data, len(chosen)
        if self.settings.prior in ("prediction", "blank"):
            return chosen, t, time_ids, drawn._replace(target=said)
        picture = torch.randint(len(data.class_latents), (count,), generator=generator)
        prior_t, prior = self._noised(data.class_latents[picture], generator)
        prior_time_ids = None if time_ids is None else data.class_time_ids.expand(count, -1)
        return data.class_of[picture], prior_t, prior_time_ids, prior

    def _noised(self, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, objective.Noised]:
        """Timesteps, and the noised latents at these with their targets and weights."""
        noise = torch.randn(latents.shape, generator=generator)
        if offset := self.settings.noise_offset:
            noise += offset * torch.randn(*latents.shape[:2], 1, 1, generator=generator)
        first, last = (round(share * len(self.alpha_bar)) for share in self.settings.timesteps)
        first = min(first, len(self.alpha_bar) - 1)  # a range narrower than a step begins within the last
        t = first + objective.spread_timesteps(len(latents), max(last - first, 1), generator)
        t, noise = (x.to(latents.device, non_blocking=True) for x in (t, noise))
        gamma = self.settings.min_snr_gamma
        return t, objective.noised(latents, noise, self.alpha_bar[t], self.base.prediction_type, gamma)

    def _prompts(self, chosen: Tensor, dropped: Tensor) -> Embeddings:
        """The embedded prompts of the drawings `chosen`; the empty prompt where `dropped`.

    They are encoded anew if training changes their embeddings.
    """
        if self.settings.changes_prompts:
            rows = zip(chosen.tolist(), dropped.tolist(), strict=True)
            return self.base.embed(["" if left_out else self.data.texts[i] for i, left_out in rows])
        rows = Embeddings.cat([self.data.prompts, self.data.unconditional])
        return rows[torch.where(dropped, len(self.data.prompts), chosen)]

    def _taught_prompts(self, chosen: Tensor) -> Embeddings:
        """The prompts for the frozen base: the class prompts of the drawings, or the blank prompt."""
        blank = self.settings.preserves_prior and self.settings.prior == "blank"
        return self.data.unconditional[[0] * len(chosen)] if blank else self.data.class_prompts[chosen]

    def _class_prompts(self, chosen: Tensor) -> Embeddings:
        if self.settings.prior == "blank":
            changed = self.settings.changes_prompts
            return self.base.embed([""] * len(chosen)) if changed else self._taught_prompts(chosen)
        if self.settings.train_text_encoders:
            return self.base.embed([self.data.class_texts[i] for i in chosen.tolist()])
        return self.data.class_prompts[chosen]

    @torch.no_grad()
    def _frozen_prediction(self, noised: Tensor, t: Tensor, prompts: Embeddings, time_ids: Tensor | None) -> Tensor:
        """The prediction of the frozen base, which is a copy of the UNet or the UNet with its adapter switched off."""
        if self.frozen is not None:
            return self.base.predict(noised, t, prompts, time_ids, self.frozen).float()
        for layer in self.lora_layers:
            layer.enable_adapters(False)
        try:
            return self.base.predict(noised, t, prompts, time_ids).float()
        finally:
            for layer in self.lora_layers:
                layer.enable_adapters(True)


def _channel_weights(base: Base, settings: FinetuneSettings) -> Tensor | None:
    """Weights (channels,) of the drawings' term, divided by their mean; None = all equal.

    They are 0 for semantic channels that must learn nothing from the drawings. Raises UserError if the base has no
    semantic channels to leave out.
    """
    if settings.semantic_loss == "drawings":
        return None
    if base.semantic_channels is None:
        raise UserError(
            f"semantic_loss is {settings.semantic_loss!r}, but the base {base.name} has no semantic latent channels: "
            "leave it at 'drawings'."
        )
    if settings.semantic_loss == "prior":
        return None
    weights = torch.ones(base.latent_channels, device=base.device)
    weights[base.semantic_channels] = 0
    return weights / weights.mean()
