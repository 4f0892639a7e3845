"""The settings of a fine-tuning: the drawings, the base, the method and every number, as one typed record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from comics_genai.drawings.captions import MAXIMUM_CAPTION
from comics_genai.drawings.preparation import paper_of
from comics_genai.errors import UserError
from comics_genai.paths import plain_name
from comics_genai.ranges import LARGEST_SEED, LARGEST_SIDE, check, number, one_of, text, whole
from comics_genai.sampling.generate import Sampling, renamed_sampling
from comics_genai.training import optimizers
from comics_genai.training.loop import LoopSettings

LORA_TARGETS = {
    "attention": ["to_q", "to_k", "to_v", "to_out.0"],
    "all": ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
    + ["conv1", "conv2", "conv_shortcut", "time_emb_proj"],
}

TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]


# Settings that had other names in an earlier version.
EARLIER_NAMES = {"judge_clip": "validation_clip", "judge_dino": "validation_dino"}


def renamed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a fine-tuning, those of its sampling included, under today's names."""
    new = {EARLIER_NAMES.get(name, name): value for name, value in settings.items()}
    if isinstance(new.get("sampling"), dict):
        new["sampling"] = renamed_sampling(new["sampling"])
    return new


def renamed(record: dict[str, Any]) -> dict[str, Any]:
    """The content of a fine-tuning's settings.json, under today's names."""
    settings = record.get("finetune")
    return record | {"finetune": renamed_settings(settings)} if isinstance(settings, dict) else record


@dataclass(frozen=True)
class FinetuneSettings:
    """What to learn, on what, and how; the defaults suit the miniature. Raises UserError for a value out of range."""

    drawings: str = "1_data/unicorn_girl"  # folder or Hub dataset id
    caption_column: str = ""  # in metadata.jsonl, metadata.csv or the dataset; by default text, caption or prompt
    picked: tuple[str, ...] = ()  # generated pictures, by path in `gallery`, that join the drawings with their prompts
    gallery: str = "6_generated"  # folder of the page on which they were picked
    paper: str = "auto"  # fills transparency: a colour, or auto for white or a colour on which pale strokes show
    identifier: str = "UnicornGirl"  # the word that comes to mean the character
    class_name: str = "girl"  # what kind of thing it is, a noun
    base: str = "mini"  # see Base.load
    method: Literal["dreambooth-lora", "lora", "dreambooth"] = "dreambooth-lora"
    steps: int = 300
    batch_size: int = 6  # drawings in each step; prior preservation doubles it
    learning_rate: float = 1e-3  # SDXL's LoRA takes 1e-4, full weights 2e-6 to 5e-6
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_steps: int = 10
    decay_from: float = 0.5  # fraction of steps after which the schedule falls to 0
    optimizer: optimizers.Name = "adamw"  # prodigy wants a rate of 1; why not schedule-free: optimizers.build
    accumulate: int = 1  # batches for each optimizer step, for a larger batch than memory holds
    fused_backward: bool = False  # each weight is updated during the backward pass, and its gradient freed
    weight_decay: float = 1e-2
    ema_decay: float = 0.0  # 0 = off
    rank: int = 16
    alpha: float = 16.0  # the adapter's output is scaled by alpha / rank
    least_rank: int = 0  # rank at full noise, which grows as the noise falls (T-LoRA); 0 = the whole rank always
    start: Literal["gaussian", "orthogonal"] = "gaussian"  # initial rows of A; B starts at 0
    lora_targets: Literal["attention", "all"] = "attention"
    train_text_encoders: bool = False  # adapters in their attention, or all weights with method dreambooth
    learn_token: bool = False  # the identifier becomes a token whose vector is trained too (pivotal tuning)
    lora_dropout: float = 0.0  # share of the adapter's inputs that are dropped in a step
    dora: bool = False  # weight-decomposed adapters: direction and magnitude separate (Liu et al. 2024)
    # Prior preservation by the frozen base's prediction on the same noised drawings, with the class prompt or the blank
    # prompt; or by class pictures that the base has drawn before.
    prior: Literal["prediction", "blank", "images", "none"] = "prediction"
    prior_weight: float = 1.0  # lambda
    class_images: int = 24  # drawn by the base for prior "images"
    min_snr_gamma: float = 5.0  # 0 = off
    noise_offset: float = 0.0  # standard deviation of noise that is equal in a whole channel; lets brightness change
    # A base's semantic latent channels, which hold the pose, learn from the drawings, not at all, or from the base.
    semantic_loss: Literal["drawings", "none", "prior"] = "drawings"
    timesteps: tuple[float, float] = (0.0, 1.0)  # the trained part of the schedule, from clean (0) to noise (1)
    background_weight: float = 1.0  # loss weight beside the figure (found by transparency or flat paper)
    left_out: tuple[int, ...] = ()  # numbers of drawings, from 0, that are not trained on
    caption_dropout: float = 0.05  # share of drawings trained without a prompt, which guidance needs
    variants: int = 8  # of each drawing: itself, and slightly smaller, shifted ones
    mirror: bool = False  # mirrored drawings too: only for a character that looks the same from both sides
    size: int = 0  # pixels each way; 0 = the base's own
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # the command line's default on a GPU: what it has in hardware
    gradient_checkpointing: bool = False  # less memory, more time
    compile: bool = False  # the first step takes a minute or more longer, all others are faster
    max_minutes: float = 0.0  # 0 = no budget
    checkpoint_every: int = 100  # steps; a crash loses no more than these; 0 = only when stopped and at the end
    validate_every: int = 0  # steps; 0 = never
    validation_prompts: tuple[str, ...] = ()
    validation_seed: int = 1000
    # Networks that score validation pictures of a character from outside the comic world, by name or folder.
    validation_clip: str = "openai/clip-vit-base-patch32"
    validation_dino: str = "facebook/dino-vits16"
    sampling: Sampling = field(default_factory=Sampling)  # of validation and class pictures

    def __post_init__(self) -> None:
        ranges = {
            "class_name": text(self.class_name, 200, least=1),
            "validation_prompts": (
                all(text(prompt, MAXIMUM_CAPTION)[0] for prompt in self.validation_prompts),
                f"texts of at most {MAXIMUM_CAPTION:,} whole characters each",
            ),
            "method": one_of(self.method, ("dreambooth-lora", "lora", "dreambooth")),
            "batch_size": whole(self.batch_size, 1, 1024),
            "rank": whole(self.rank, 1, 1024),
            "alpha": number(self.alpha, 0, 1e5, above=True),
            "lora_targets": one_of(self.lora_targets, tuple(LORA_TARGETS)),
            "least_rank": whole(self.least_rank, 0, self.rank, "0 = all at any noise"),
            "start": one_of(self.start, ("gaussian", "orthogonal")),
            "prior": one_of(self.prior, ("prediction", "blank", "images", "none")),
            "semantic_loss": one_of(self.semantic_loss, ("drawings", "none", "prior")),
            "timesteps": (
                len(self.timesteps) == 2 and 0 <= self.timesteps[0] < self.timesteps[1] <= 1,
                "two shares of the schedule in [0, 1], the second above the first",
            ),
            "picked": (all(isinstance(name, str) and name for name in self.picked), "paths in the gallery"),
            "left_out": (all(isinstance(i, int) and i >= 0 for i in self.left_out), "numbers of drawings, from 0"),
            "prior_weight": number(self.prior_weight, 0, 1e5),
            "class_images": whole(self.class_images, 1, 10_000),
            "min_snr_gamma": number(self.min_snr_gamma, 0, 1e5, "0 = off"),
            "caption_dropout": number(self.caption_dropout, 0, 1, below=True),
            "lora_dropout": number(self.lora_dropout, 0, 1, below=True),
            "noise_offset": number(self.noise_offset, 0, 10, "0 = off"),
            "background_weight": number(self.background_weight, 0, 1),
            "variants": whole(self.variants, 1, 1000, "1 = the drawing itself"),
            "size": whole(self.size, 0, LARGEST_SIDE, "pixels; 0 = the base's own"),
            "validation_seed": whole(self.validation_seed, 0, LARGEST_SEED - 10_000),
        }
        self.loop()  # the loop's settings have ranges of their own
        check(self, ranges)
        plain_name(self.identifier, "The identifier")
        paper_of(self.paper)

    @classmethod
    def of_run(cls, record: Mapping[str, Any]) -> "FinetuneSettings":
        """Read the settings from "finetune" in a run's settings.json. Raises UserError if they are damaged."""
        names = ("validation_prompts", "timesteps", "left_out", "picked")
        try:
            today = renamed_settings(record)
            tuples = {name: tuple(today[name]) for name in names if name in today}
            return cls(**{**today, **tuples, "sampling": Sampling.of_record(today.get("sampling", {}))})
        except UserError as error:
            raise UserError(f"In the run's settings: {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"The run's settings are damaged, or of another version ({error}): restore its settings.json."
            ) from error

    @classmethod
    def checked(cls, record: Mapping[str, Any]) -> dict[str, Any]:
        """A run's record with all settings, after `of_run` has checked their types and ranges."""
        return asdict(cls.of_run(record))

    @property
    def weights_precision(self) -> Literal["fp32", "bf16", "fp16"]:
        """The precision of the UNet's weights: fp32 if they are trained, `precision` if they are frozen."""
        return "fp32" if self.method == "dreambooth" else self.precision

    @property
    def changes_prompts(self) -> bool:
        """Whether training changes the embeddings of prompts, so that every step has to encode them anew."""
        return self.train_text_encoders or self.learn_token

    @property
    def asks_base(self) -> bool:
        """Whether a step needs the frozen base's prediction on its noised drawings."""
        return (self.preserves_prior and self.prior in ("prediction", "blank")) or self.semantic_loss == "prior"

    @property
    def preserves_prior(self) -> bool:
        return self.method != "lora" and self.prior != "none" and self.prior_weight > 0

    def loop(self) -> LoopSettings:
        """The settings of the training loop."""
        names = ("steps", "learning_rate", "schedule", "warmup_steps", "decay_from", "weight_decay", "ema_decay")
        names += ("seed", "precision", "max_minutes", "checkpoint_every", "validate_every")
        names += ("optimizer", "accumulate", "fused_backward")
        # The fused backward pass never has all gradients at once, so it cannot clip their common norm.
        clip = {"clip_norm": 0.0} if self.fused_backward else {}
        return LoopSettings(**{name: getattr(self, name) for name in names}, **clip)
