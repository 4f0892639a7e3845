"""Named presets: settings for a base on a kind of GPU, read by the command line, the notebooks and `plan`.

    python -m comics_genai finetune --preset sdxl-t4 --method lora --print
    settings = FinetuneSettings(**preset("sdxl-t4").values("lora"))

What fits a GPU was planned by `planning.plan`, and a test plans it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from comics_genai.errors import UserError
from comics_genai.sampling.generate import Sampling


@dataclass(frozen=True)
class Preset:
    """Settings for one base on one kind of machine, by the names of FinetuneSettings."""

    about: str
    base: str
    gpu: str  # the smallest GPU that it fits, a name in planning.gpus; "" = any machine, also one without a GPU
    common: Mapping[str, Any]  # of all methods
    methods: Mapping[str, Mapping[str, Any]]  # of each method that fits

    def values(self, method: str) -> dict[str, Any]:
        """The settings of a method, as arguments of FinetuneSettings.

        Raises UserError for a method that does not fit.
        """
        if method not in self.methods:
            others = ", ".join(name for name, preset in PRESETS.items() if method in preset.methods)
            raise UserError(
                f"The preset for {self.about} has no method {method!r}: choose {' or '.join(self.methods)}, or one of "
                f"the presets {others}."
            )
        return {"base": self.base, "method": method, **self.common, **self.methods[method]}


# Stable Diffusion is usually sampled with a guidance of 7.5. The batch size is the number of pictures at once.
_STABLE_DIFFUSION = {"batch_size": 1, "steps": 500, "sampling": Sampling(guidance=7.5, batch_size=8)}
_ON_T4 = _STABLE_DIFFUSION | {"precision": "fp16", "validate_every": 125, "checkpoint_every": 125}
_ON_AMPERE = _ON_T4 | {"precision": "bf16"}  # and newer
# This base predicts v and starts from pure noise, so a strong guidance saturates colours (Lin et al. 2024, sec. 3.4).
_NOOBAI = Sampling(guidance=5.0, guidance_rescale=0.7, batch_size=8)
_LORA = {"learning_rate": 1e-4}
_FULL = {"learning_rate": 5e-6, "steps": 800, "validate_every": 200, "checkpoint_every": 400}

# More steps gain nothing and a stronger guidance loses identity, as seen on validation poses of two companions.
_MINIATURE = Sampling(steps=10, guidance=2.5)

PRESETS = {
    "mini": Preset(
        "the miniature on any machine",
        base="mini",
        gpu="",
        common={
            "steps": 300, "batch_size": 6, "validate_every": 75, "checkpoint_every": 100, "sampling": _MINIATURE
        },
        methods={
            "dreambooth": {"learning_rate": 2e-4},
            "lora": {"learning_rate": 1e-3, "lora_targets": "attention"},
            "dreambooth-lora": {"learning_rate": 1e-3, "lora_targets": "all"},
        },
    ),
    "sd15-t4": Preset(
        "Stable Diffusion 1.5 on a T4 (Colab, Kaggle)",
        base="sd15",
        gpu="t4",
        common=_ON_T4,
        methods={"dreambooth": _FULL | {"optimizer": "adamw8bit"}, "lora": _LORA, "dreambooth-lora": _LORA},
    ),
    "sdxl-t4": Preset(
        "Stable Diffusion XL on a T4 (Colab, Kaggle)",
        base="sdxl",
        gpu="t4",
        common=_ON_T4 | {"gradient_checkpointing": True},
        methods={"lora": _LORA, "dreambooth-lora": _LORA},
    ),
    "noobai-t4": Preset(
        "NoobAI XL, SDXL fine-tuned on drawings, on a T4 (Colab, Kaggle)",
        base="noobai",
        gpu="t4",
        common=_ON_T4 | {"gradient_checkpointing": True, "sampling": _NOOBAI},
        methods={"lora": _LORA, "dreambooth-lora": _LORA},
    ),
    "sd15-24gb": Preset(
        "Stable Diffusion 1.5 on a GPU of 24 GB (L4, RTX 3090, RTX 4090)",
        base="sd15",
        gpu="l4",
        common=_ON_AMPERE,
        methods={"dreambooth": _FULL, "lora": _LORA, "dreambooth-lora": _LORA},
    ),
    "sdxl-24gb": Preset(
        "Stable Diffusion XL on a GPU of 24 GB (L4, RTX 3090, RTX 4090)",
        base="sdxl",
        gpu="l4",
        common=_ON_AMPERE | {"gradient_checkpointing": True},
        methods={"lora": _LORA, "dreambooth-lora": _LORA},
    ),
    "noobai-24gb": Preset(
        "NoobAI XL, SDXL fine-tuned on drawings, on a GPU of 24 GB (L4, RTX 3090, RTX 4090)",
        base="noobai",
        gpu="l4",
        common=_ON_AMPERE | {"gradient_checkpointing": True, "sampling": _NOOBAI},
        methods={"lora": _LORA, "dreambooth-lora": _LORA},
    ),
    "sdxl-80gb": Preset(
        "Stable Diffusion XL on a GPU of 80 GB (A100, H100)",
        base="sdxl",
        gpu="a100-80gb",
        common=_ON_AMPERE,
        methods={"dreambooth": _FULL | {"gradient_checkpointing": True}, "lora": _LORA, "dreambooth-lora": _LORA},
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name. Raises UserError, which lists the names, if there is none."""
    if name not in PRESETS:
        raise UserError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def preset_for(base: str, method: str) -> Preset:
    """The preset of the base and the method for the smallest GPU, which is the first one.

    A base that is not in the table, such as a folder or a Hub id, gets the preset of SDXL, which needs the least
    memory.
    """
    fitting = [one for one in PRESETS.values() if one.base == base and method in one.methods]
    return fitting[0] if fitting else PRESETS["sdxl-80gb"]


def usual_sampling(base: str, steps: int = 0) -> Sampling:
    """How pictures of a base are drawn unless something else is asked for. steps: instead of the usual number, if any.

    Raises UserError if the number of steps is out of its range.
    """
    sampling = preset_for(base, "lora").common.get("sampling", Sampling())
    return replace(sampling, steps=steps or sampling.steps)
