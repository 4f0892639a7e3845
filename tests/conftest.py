"""Tiny random bases, complete diffusers pipelines of a few ten thousand weights, and drawings; made once a session."""

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from comics_genai import world
from comics_genai.evaluation.attribute_reader import AttributeReader, AttributeReaderConfig
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune

WORDS = "a drawing of girl standing jumping left right arm raised down looking ahead smiling in meadow on beach".split()


@pytest.fixture(scope="session")
def character_folder(tmp_path_factory) -> Path:
    """Three drawings, 96 px, in imagefolder layout."""
    folder = tmp_path_factory.mktemp("character")
    (folder / "train").mkdir()
    rng, rows = np.random.default_rng(0), []
    for i, pose in enumerate(("standing", "jumping", "smiling")):
        image = np.full((96, 96, 3), 255, np.uint8)
        image[20:80, 24 + 8 * i : 60 + 8 * i] = rng.integers(0, 255, 3)
        PIL.Image.fromarray(image).save(folder / "train" / f"0{i}.png")
        rows.append({"file_name": f"0{i}.png", "text": f"a drawing of UnicornGirl, a girl, {pose}"})
    (folder / "train" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory) -> Path:
    """Folder of an SDXL-like base: two text encoders, micro-conditioning, AutoencoderTiny, v-prediction; 32 px."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderTiny(
            latent_channels=6,
            encoder_block_out_channels=(16, 16, 16),
            decoder_block_out_channels=(16, 16, 16),
            num_encoder_blocks=(1, 1, 1),
            num_decoder_blocks=(1, 1, 1),
            upsampling_scaling_factor=2,
            scaling_factor=1.5,
        ),
        text_encoder=CLIPTextModel(_text_config(tokenizer, width=16)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, width=24)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            in_channels=6,
            out_channels=6,
            cross_attention_dim=40,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 24,
        ),
        scheduler=DDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    return _saved(pipeline, tmp_path_factory.mktemp("tiny_sdxl"))


@pytest.fixture(scope="session")
def legacy_sdxl(tiny_sdxl, tmp_path_factory) -> Path:
    """The same with the end-of-prompt id of SDXL's own configuration, 2, by which CLIP takes the largest id for it."""
    folder = tmp_path_factory.mktemp("legacy") / "sdxl"
    shutil.copytree(tiny_sdxl, folder)
    for path in folder.glob("text_encoder*/config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 2}))
    return folder


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory) -> Path:
    """Folder of an SD 1.5-like base: one text encoder, AutoencoderKL, epsilon prediction; 32 px."""
    torch.manual_seed(1)
    tokenizer = _tokenizer()
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
        ),
        text_encoder=CLIPTextModel(_text_config(tokenizer, width=24)),
        tokenizer=tokenizer,
        unet=_unet(in_channels=4, out_channels=4, cross_attention_dim=24),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _saved(pipeline, tmp_path_factory.mktemp("tiny_sd"))


@pytest.fixture(scope="session")
def girl(tmp_path_factory) -> Path:
    """Folder of UnicornGirl's six drawings, 64 px."""
    return world.write_album(world.UNICORN_GIRL, world.TOKEN, tmp_path_factory.mktemp("girl"), 64)


@pytest.fixture(scope="session")
def girl_run(girl, tiny_sdxl, tmp_path_factory) -> Path:
    """A finished fine-tuning of a tiny base on her."""
    folder = tmp_path_factory.mktemp("runs") / "girl"
    settings = FinetuneSettings(
        drawings=str(girl), base=str(tiny_sdxl), steps=2, batch_size=2, rank=4, variants=1, warmup_steps=0
    )
    finetune(settings, folder)
    return folder


@pytest.fixture(scope="session")
def networks(tmp_path_factory) -> dict[str, str]:
    """Folders of a tiny CLIP and a tiny DINO."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("clip", "dino")}
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    layer = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sight = layer | {"image_size": 32, "patch_size": 8}
    config = CLIPConfig(
        text_config=layer | {"vocab_size": len(tokenizer)} | ids, vision_config=sight, projection_dim=12
    )
    for part in (CLIPModel(config), tokenizer, CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)):
        part.save_pretrained(folders["clip"])
    for part in (
        ViTModel(ViTConfig(**sight), add_pooling_layer=False),
        ViTImageProcessor(size={"height": 32, "width": 32}),
    ):
        part.save_pretrained(folders["dino"])
    return {name: str(folder) for name, folder in folders.items()}


@pytest.fixture(scope="session")
def tiny_reader() -> AttributeReader:
    """An attribute reader that nobody trained."""
    return AttributeReader(AttributeReaderConfig(64, (8, 8, 8, 8), (1, 1, 1, 1), 8, (8, 8, 8, 8), 8, 8)).eval()


def _saved(pipeline, folder: Path) -> Path:
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _unet(**options) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=4,
        **options,
    )


def _text_config(tokenizer: CLIPTokenizer, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        projection_dim=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _tokenizer() -> CLIPTokenizer:
    """A byte-level BPE tokenizer as CLIP's: a token for each of WORDS, and for any other text its letters."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for word in WORDS:
        for i in range(1, len(word)):
            merges.append((word[:i], word[i] + ("</w>" if i == len(word) - 1 else "")))
    merges = list(dict.fromkeys(merges))
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
