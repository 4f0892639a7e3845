"""The settings of pretraining, and the presets for two CPU cores, a GPU, and a test."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import tyro

from comics_genai.evaluation.attribute_reader import AttributeReaderConfig
from comics_genai.sampling.generate import Sampling

from .attribute_reader import ReaderSettings
from .clip import ClipSettings
from .dataset import DatasetSettings
from .legibility import LegibilitySettings
from .redrawn import RedrawnSettings
from .tokenizer import TokenizerSettings
from .unet import UnetSettings
from .vae import VaeSettings

Stage = Literal["dataset", "tokenizer", "clip", "vae", "reader", "unet", "decoder", "assemble", "legibility"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# The decoder goes on alone, against a discriminator, with the momentum that adversarial training takes (Radford 2016).
DECODER = VaeSettings(
    decoder_only=True,
    adversarial=0.7,
    redrawn_detail=0.3,
    at_joints=0.85,
    strong_noise=0.1,
    pooled_share=0.0,
    loop=replace(VaeSettings().loop, steps=6000, learning_rate=6e-4, beta1=0.5),
)


@dataclass(frozen=True)
class PretrainSettings:
    """Train the miniature base from nothing; what is finished is skipped, what was interrupted goes on."""

    stages: tyro.conf.Positional[tuple[Stage | Literal["all"], ...]] = ("all",)
    """which, whatever their order here"""
    preset: Literal["cpu2", "gpu", "smoke"] = "cpu2"
    """all numbers below: for two CPU cores (about five hours, 10 GB of memory), for a GPU (wider, more of all), or
    tiny ones that only show that it runs"""
    minutes: float = 0.0
    """stop a stage, and what would follow it, after so many; 0 = train to the end"""
    folder: Path | None = None
    """of the stages; by default runs/pretrain"""
    base: Path | None = None
    """where the assembled base goes; by default 1_data/mini_sdxl"""
    start: Path | None = None
    """an assembled base: its tokenizer, CLIP, VAE and attribute reader are kept, the UNet goes on from its weights"""
    device: str = ""
    """cpu, cuda; by default the best there is"""
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    """of every stage's arithmetic; by default the fastest that the device computes in hardware"""
    compile: bool = False
    """compile the networks: a minute or two before the first step, then faster steps"""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    clip: ClipSettings = field(default_factory=ClipSettings)
    vae: VaeSettings = field(default_factory=VaeSettings)
    decoder: VaeSettings = field(default_factory=lambda: DECODER)
    redrawn: RedrawnSettings = RedrawnSettings()
    reader: ReaderSettings = field(default_factory=ReaderSettings)
    legibility: LegibilitySettings = LegibilitySettings()
    unet: UnetSettings = field(default_factory=UnetSettings)


def _presets() -> dict[str, PretrainSettings]:
    cpu2 = PretrainSettings()

    def longer(settings: Any, steps: int, **changes: Any) -> Any:
        return replace(settings, loop=replace(settings.loop, steps=steps), **changes)

    def tiny(settings: Any, **changes: Any) -> Any:
        loop = replace(settings.loop, steps=4, warmup_steps=1, log_every=2, checkpoint_every=0, validate_every=4)
        return replace(settings, loop=loop, **changes)

    gpu = replace(
        cpu2,
        preset="gpu",
        compile=True,
        dataset=DatasetSettings(pictures=100_000, workers=8),
        clip=longer(cpu2.clip, 4000, size=128, widths=(128, 192), tower=48, batch_pairs=256),
        vae=longer(cpu2.vae, 30_000, batch_size=64),
        decoder=longer(cpu2.decoder, 30_000, batch_size=64),
        reader=longer(
            cpu2.reader,
            15_000,
            network=AttributeReaderConfig(128, (32, 64, 128, 192), (0, 2, 2, 1), 64, (48, 96, 192, 256), 256),
            batch_size=128,
        ),
        unet=longer(cpu2.unet, 40_000, widths=(128, 192, 256), batch_size=256, captions_in_memory=False),
    )
    smoke = replace(
        cpu2,
        preset="smoke",
        dataset=DatasetSettings(pictures=32),
        tokenizer=TokenizerSettings(scenes=32, pieces=256),
        clip=tiny(cpu2.clip, widths=(32, 64), layers=2, dimension=32, batch_pairs=4),
        vae=tiny(cpu2.vae, channels=8, batch_size=4),
        reader=tiny(
            cpu2.reader,
            network=AttributeReaderConfig(128, (8, 8, 8, 8), (1, 1, 1, 1), 8, (8, 8, 8, 8), 8, 8),
            batch_size=8,
            illegible_pictures=8,
            held_out=4,
        ),
        decoder=tiny(cpu2.decoder, channels=8, batch_size=4),
        redrawn=RedrawnSettings(pictures=4, steps=2),
        legibility=LegibilitySettings(
            drawings=6, drawn=6, samplings=(Sampling(steps=2),), dcgan_steps=(2,), samples=6, steps=2
        ),
        unet=tiny(cpu2.unet, widths=(32, 32, 64), batch_size=4),
    )
    return {"cpu2": cpu2, "gpu": gpu, "smoke": smoke}


PRESETS = _presets()
