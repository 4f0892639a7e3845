"""Export a trained adapter for ComfyUI, A1111 and kohya's own tools, and check the file by loading it again.

    export(Path("runs/unicorn_girl"))  ->  runs/unicorn_girl/unicorn_girl.safetensors

Full weights become a whole diffusers pipeline, runs/unicorn_girl/pipeline. The other tools read kohya's names for
adapters: lora_unet_<module>.lora_down.weight, .lora_up.weight and .alpha, with underscores in the module's name. Text
encoders have lora_te_, or lora_te1_ and lora_te2_ with SDXL. With SD 1.5 the modules of the UNet are named as in
diffusers; with SDXL as in Stability's own code, which numbers all layers: input_blocks, middle_block, output_blocks.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from comics_genai import environment
from comics_genai.bases.adapters import load_adapter, run_settings, weights_of
from comics_genai.bases.base import Base
from comics_genai.drawings.captions import instance_prompt
from comics_genai.errors import UserError
from comics_genai.files import OLD, cannot_write, load_tensors, safetensors_bytes, write_atomic
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.run import BEST, CHECKPOINTS, EMA_FILE, EMBEDS_FILE, FULL_FILE, LORA_FILE, VALIDATION

HALVES = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}
# Parts of a residual block by diffusers' names and by Stability's.
RESNET_PARTS = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
# Older versions expect another layout of text encoders and fill missing weights at random.
PIPELINE_NOTE = (
    "Load it with diffusers 0.40 and transformers 5.6, or newer: older ones read its text encoders wrongly.\n"
)
LARGEST_DIFFERENCE = 0.02  # largest error, as a share of the adapter's effect; rounding to fp16 causes about 0.001


def export(run: Path, target: Path | None = None, device: str | torch.device = "cpu") -> Path:
    """Write the adapter of a finished LoRA run with kohya's keys, fp16, and return the file.

    target: by default RUN/NAME OF THE RUN.safetensors. The file is loaded again and must change the base's prediction
    as the run's own adapter does; otherwise it is deleted. A token that the run learnt is written beside it, into
    embeddings/IDENTIFIER.safetensors, which both programs read. For full weights, see `export_pipeline`. Raises
    UserError if the file has another effect, and for an unfinished run.
    """
    run = Path(run)
    settings = FinetuneSettings.checked(run_settings(run))
    if settings["method"] == "dreambooth":
        return export_pipeline(run, settings, Path(target) if target else run / "pipeline", device)
    weights = weights_of(run)
    target = _checked(run, Path(target) if target else run / f"{run.resolve().name}.safetensors")
    base = Base.load(settings["base"], device)
    layers = base.unet.config.layers_per_block
    if base.micro_conditioned and not isinstance(layers, int):
        raise UserError(f"The base {base.name} has unequal blocks, which kohya's names cannot express: it is not SDXL.")
    trained = load_tensors(weights)[0]
    tensors = kohya_tensors(trained, settings["alpha"], layers if base.micro_conditioned else 0)
    content = safetensors_bytes(tensors, _metadata(base.micro_conditioned, settings))
    with _beside(target) as folder:
        written = folder / target.name
        write_atomic(written, content)
        difference = _difference(base, run, written, settings)
        if not difference <= LARGEST_DIFFERENCE:
            raise UserError(
                f"The exported adapter does not do what that of {run} does (it differs by {difference:.0%}): not kept."
            )
        os.replace(written, target)
    if base.learned_token is not None:
        base.learned_token.save(target.parent / "embeddings" / f"{file_stem(settings['identifier'])}.safetensors")
    return target


def _difference(base: Base, run: Path, written: Path, settings: dict) -> float:
    """The difference between the predictions with the written and the run's own adapter, as a share of its effect."""
    bare = _prediction(base, settings)
    load_adapter(base, run)
    own = _prediction(base, settings)
    base.pipeline.unload_lora_weights()
    base.pipeline.load_lora_weights(
        written.parent, weight_name=written.name, adapter_name="adapter", use_safetensors=True
    )
    base.unet.to(base.device)
    return float((_prediction(base, settings) - own).norm() / (own - bare).norm())


def _checked(run: Path, target: Path) -> Path:
    """The file to write, with its suffix.

    Raises UserError if it is a folder, a file that the run itself needs, or a file that is not an earlier export.
    """
    named = target if target.suffix == ".safetensors" else target.with_name(f"{target.name}.safetensors")
    for place in (target, named):
        if place.is_dir():
            raise UserError(f"{place} is a folder: give a file with --target, such as {place / run.resolve().name}.")
    target = named
    own = {LORA_FILE, FULL_FILE, EMA_FILE, EMBEDS_FILE}
    place = target.resolve()
    inside = place.parent == run.resolve() and target.name in own
    if inside or any(place.is_relative_to((run / name).resolve()) for name in (BEST, CHECKPOINTS, VALIDATION)):
        raise UserError(f"{target} is a file of the run itself, which the export would replace: choose another.")
    if target.exists() and not _exported(target):
        raise UserError(f"{target} is there already and no adapter that `export` wrote: choose another --target.")
    return target


def _exported(file: Path) -> bool:
    """Whether the file's metadata are those of an export, and no others."""
    try:
        with safetensors.safe_open(file, framework="pt") as written:
            return set(written.metadata() or {}) == set(_metadata(False, {"alpha": 0, "rank": 0}))
    except (OSError, safetensors.SafetensorError):
        return False


def _metadata(is_xl: bool, settings: Mapping[str, Any]) -> dict[str, str]:
    """What kohya's tools and those that read their files ask of an adapter's header."""
    return {
        "ss_base_model_version": "sdxl_base_v1-0" if is_xl else "sd_v1",
        "ss_network_alpha": str(settings["alpha"]),
        "ss_network_dim": str(settings["rank"]),
        "ss_network_module": "networks.lora",
    }


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder beside the target, on the same drive, for a result that is checked before it replaces the target."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for left_over in target.parent.glob(".export.*"):
            # Of an export that was killed; another that is at work has touched its own lately.
            if time.time() - left_over.stat().st_mtime > OLD:
                shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export.") as folder:
            yield Path(folder)
    except OSError as error:
        raise cannot_write(target, error) from error


def export_pipeline(run: Path, settings: dict, target: Path, device: str | torch.device) -> Path:
    """Write the base with the run's full weights as a diffusers pipeline, float32, into the folder `target`.

    A token that the run learnt becomes part of the pipeline's tokenizers. The folder is loaded again and must give the
    run's prediction. Raises UserError if it does not, and if the folder holds anything else.
    """
    _check_pipeline_target(run, target)
    base = Base.load(settings["base"], device)
    load_adapter(base, run)
    own = _prediction(base, settings)
    if base.learned_token is not None:
        base.learned_token.settle()
    with _beside(target) as folder:
        written = folder / "pipeline"
        base.pipeline.save_pretrained(written, safe_serialization=True)
        (written / "README.md").write_text(PIPELINE_NOTE, encoding="utf-8")
        del base
        if not torch.equal(_prediction(Base.load(written, device), settings), own):
            raise UserError(f"The exported pipeline does not do what the run {run} does: not kept.")
        if target.exists():
            os.replace(target, folder / "before")  # and goes with the folder
        os.replace(written, target)
    return target


def _check_pipeline_target(run: Path, target: Path) -> None:
    """UserError unless the target is free, or holds what an export to it may replace."""
    place = target.resolve()
    if place == run.resolve() or run.resolve().is_relative_to(place):
        raise UserError(f"{target} holds the run itself, which the export would replace: choose another --target.")
    if place == (environment.data() / "mini_sdxl").resolve():
        raise UserError(f"{target} is the miniature base: choose another --target.")
    if not target.exists():
        return
    note = target / "README.md"
    ours = target.is_dir() and note.is_file() and note.read_text("utf-8", errors="replace") == PIPELINE_NOTE
    if not ours and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} holds something else than an exported pipeline: give another folder with --target.")


def file_stem(word: str) -> str:
    """The word as a file name that every system allows."""
    return re.sub(r"[^\w-]+", "_", word)


def kohya_tensors(layers: dict[str, Tensor], alpha: float, layers_per_block: int) -> dict[str, Tensor]:
    """The tensors of a diffusers LoRA file under kohya's names, in fp16, with an alpha for each pair.

    layers_per_block: that of an SDXL-like UNet; 0 keeps diffusers' names of modules, as for SD 1.5.
    """
    found: dict[str, Tensor] = {}
    for key, tensor in layers.items():
        part, _, rest = key.partition(".")
        half = next((half for half in HALVES if rest.endswith("." + half)), None)
        if half is None or part not in ("unet", "text_encoder", "text_encoder_2"):
            raise UserError(f"The adapter holds {key}, which is not a low-rank layer that kohya's files can hold.")
        module = rest.removesuffix("." + half)
        if part == "unet":
            place = "lora_unet." + (stability_name(module, layers_per_block) if layers_per_block else module)
        else:
            encoder = (
                {"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[part] if layers_per_block else "lora_te"
            )
            place = f"{encoder}.text_model." + module.removeprefix("text_model.")
        name = place.replace(".", "_")
        found[f"{name}.{HALVES[half]}"] = tensor.half().contiguous()
        found[f"{name}.alpha"] = torch.tensor(float(alpha), dtype=torch.float16)
    return dict(sorted(found.items()))


def stability_name(module: str, layers_per_block: int) -> str:
    """The name in Stability's UNet of a module in diffusers' UNet, both with dots.

    Level n starts at n (layers_per_block + 1). On the way down it has its layers and then the downsampling; on the way
    up it has one layer more.
    """
    place = re.fullmatch(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions)\.(\d+)\.(.+)", module)
    if place is None:
        raise UserError(f"The adapter changes {module}, for which kohya's SDXL files have no known name.")
    way, level, kind, layer, rest = place.groups()
    layer, attends = int(layer), kind == "attentions"
    if kind == "resnets":
        rest = RESNET_PARTS.get(rest, rest)
    if way is None:
        return f"middle_block.{1 if attends else 2 * layer}.{rest}"
    first = int(level) * (layers_per_block + 1)
    if way == "down":
        return f"input_blocks.{first + layer + 1}.{int(attends)}.{rest}"
    return f"output_blocks.{first + layer}.{int(attends)}.{rest}"


@torch.no_grad()
def _prediction(base: Base, settings: dict) -> Tensor:
    """The prediction for fixed noise and the character's prompt, with the adapter that the base has now."""
    prompt = base.encode_prompts([instance_prompt(None, settings["identifier"], settings["class_name"])])
    side = base.unet.config.sample_size
    noise = torch.randn(1, base.latent_channels, side, side, generator=torch.Generator().manual_seed(0))
    ids = base.time_ids(base.size, base.size) if base.micro_conditioned else None
    return base.predict(noise.to(base.device), torch.tensor([500], device=base.device), prompt, ids).float()
