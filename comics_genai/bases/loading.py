"""Load a base's pipeline by name, from the Hub, a diffusers folder or a single file; an incomplete one is refused."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import diffusers
import safetensors
import torch
import transformers
from diffusers import DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from huggingface_hub import HfApi
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from comics_genai import environment, paths
from comics_genai.bases.contents import check_complete, digest_of_files, files_of, variant_of
from comics_genai.errors import UserError
from comics_genai.hub import access

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
HUB_IDS = {
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "noobai": "Laxhar/noobai-XL-Vpred-1.0",  # SDXL fine-tuned on drawings, by way of Illustrious; v-prediction
}
FEWEST_WORDS = 16  # the least number of tokens; a tokenizer whose files are missing has only special ones
# The errors that libraries raise for unexpected configurations and weights.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ImportError)
UNREADABLE += (AssertionError, ZeroDivisionError, safetensors.SafetensorError)


def load_pipeline(name: str, precision: Precision) -> tuple[DiffusionPipeline, str]:
    """The pipeline of a base and the digest of its content. Raises UserError as `Base.load` does."""
    source = environment.data() / "mini_sdxl" if name == "mini" else Path(name)
    if source.is_dir():
        return _load_folder(name, source, precision)
    if source.is_file():
        return _load_single_file(source, precision)
    if name == "mini":
        raise UserError(
            f"There is no miniature base in {source}: restore the folder with git, or train it anew with "
            "`python -m comics_genai pretrain`."
        )
    if name in HUB_IDS or paths.is_repository(name) and not name.endswith((".safetensors", ".ckpt")):
        return _load_from_hub(name, precision)
    raise UserError(
        f"There is no base {name!r}: give mini, sd15, sdxl, a Hub id (owner/name), a diffusers folder or a "
        ".safetensors file."
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """A context without bars for parts read from disk, and without remarks on a VAE that is an AutoencoderTiny."""
    verbosity = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The `local_dir_use_symlinks`")  # of diffusers' making
            yield
    finally:
        diffusers.utils.logging.set_verbosity(verbosity)
        diffusers.utils.logging.enable_progress_bar()
        transformers.utils.logging.enable_progress_bar()


def _from_pretrained(source: str, precision: Precision, **options: object) -> DiffusionPipeline:
    """The pipeline, of the class that model_index.json names. Raises UserError for any but SD and SDXL."""
    class_name = DiffusionPipeline.load_config(source)["_class_name"]
    if class_name == "StableDiffusionPipeline":
        # A drawing is not checked by a classifier of photographs.
        options |= {"safety_checker": None, "requires_safety_checker": False}
    elif class_name != "StableDiffusionXLPipeline":
        raise UserError(f"The base {source} is a {class_name}: only Stable Diffusion 1.x, 2.x and XL are known here.")
    dtypes = {"unet": DTYPES[precision], "default": torch.float32}
    return DiffusionPipeline.from_pretrained(source, dtype=dtypes, use_safetensors=True, **options)


def _load_folder(name: str, folder: Path, precision: Precision, half: bool = False) -> tuple[DiffusionPipeline, str]:
    """Load a diffusers folder. half: the half-precision files are preferred if both kinds are there."""
    if not (folder / "model_index.json").exists():
        raise UserError(f"The folder {folder} has no model_index.json, so it is not a diffusers base: choose another.")
    try:
        names = [path.relative_to(folder).as_posix() for path in folder.glob("unet/*.safetensors")]
        variant = variant_of(names, half)
        files = files_of(folder, variant)
        pipeline = _from_pretrained(str(folder), precision, local_files_only=True, variant=variant)
        parts = {part: getattr(pipeline, part, None) for part in ("unet", "vae", "text_encoder", "text_encoder_2")}
        check_complete({part: module for part, module in parts.items() if module is not None}, files, name)
        for part in ("tokenizer", "tokenizer_2"):
            if (words := getattr(pipeline, part, None)) is not None and len(words) < FEWEST_WORDS:
                raise UserError(f"The {part} of the base {name} has no words: copy or download its files anew.")
        return pipeline, digest_of_files(files)
    except UNREADABLE as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(f"The base {name!r} in {folder} cannot be read: {first_line(error)}") from error


def _load_from_hub(name: str, precision: Precision) -> tuple[DiffusionPipeline, str]:
    hub_id, half = HUB_IDS.get(name, name), precision != "fp32"
    paths.repository(hub_id)
    try:
        with access.answers(hub_id):
            folder = _downloaded(hub_id, half)
    except UserError as error:
        sentence = str(error).removesuffix(".")
        raise UserError(
            f"The base {hub_id} could not be loaded: {sentence}; or use the base mini, which needs no network."
        ) from error
    return _load_folder(hub_id, folder, precision, half)


def _downloaded(hub_id: str, half: bool) -> Path:
    """The folder of a base on the Hub; its files are downloaded once."""
    token, options = access.token(), {"use_safetensors": True, "safety_checker": None}
    try:
        info = HfApi(token=token).model_info(hub_id, timeout=access.SECONDS)
    except (*access.NETWORK, OfflineModeIsEnabled) as error:
        for variant in ("fp16", None) if half else (None, "fp16"):
            with suppress(OSError, ValueError):
                return Path(DiffusionPipeline.download(hub_id, variant=variant, local_files_only=True, **options))
        raise error
    # The half-precision files are enough if the UNet is in half precision anyway.
    variant = variant_of([file.rfilename for file in info.siblings or []], half)
    return Path(DiffusionPipeline.download(hub_id, variant=variant, revision=info.sha, token=token, **options))


def _load_single_file(path: Path, precision: Precision) -> tuple[DiffusionPipeline, str]:
    if path.suffix != ".safetensors":
        raise UserError(f"{path} is not a .safetensors file; other weight files can run code when they are read.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            # The second text encoder of the original checkpoints' layout.
            is_xl = any(name.startswith("conditioner.embedders.1.") for name in file.keys())
        pipeline_class = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
        # A drawing is not checked by a classifier of photographs.
        unchecked = {} if is_xl else {"safety_checker": None, "requires_safety_checker": False}
        pipeline = pipeline_class.from_single_file(str(path), dtype=DTYPES[precision], **unchecked)
    except (*UNREADABLE, httpx.HTTPError) as error:
        raise UserError(
            f"{path} cannot be loaded as Stable Diffusion or SDXL ({first_line(error)}); its configuration is fetched "
            "from the Hugging Face Hub, so the first time needs the network."
        ) from error
    for name in ("vae", "text_encoder", "text_encoder_2"):
        if (module := getattr(pipeline, name, None)) is not None:
            module.float()
    return pipeline, digest_of_files({"model.safetensors": path})


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
