"""A picture is a function of its record: batches, restarts and file names change nothing."""

import json
import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

from comics_genai.bases.adapters import load_adapter, run_settings
from comics_genai.bases.base import Base
from comics_genai.drawings import Drawing
from comics_genai.errors import UserError
from comics_genai.pretrain.unet import scheduler
from comics_genai.sampling.generate import Sampling, generate, guided, sample
from comics_genai.sampling.records import read_metadata, read_record, renamed_back, with_file_name, write_picture
from comics_genai.sampling.schedulers import SCHEDULERS, scheduler_of
from tests.hub_server import serving

FAST = Sampling(steps=3, guidance=3.0)
PROMPTS = ["a drawing of a girl, jumping", "a drawing of a girl, smiling"]


@pytest.fixture
def base(tiny_sdxl) -> Base:
    return Base.load(tiny_sdxl)


def pixels(pictures) -> np.ndarray:
    return np.stack([np.asarray(picture.image) for picture in pictures])


@pytest.mark.parametrize(
    ("fixture", "pipeline_class"), [("tiny_sdxl", StableDiffusionXLPipeline), ("tiny_sd", StableDiffusionPipeline)]
)
def test_pictures_are_those_of_the_diffusers_pipeline(request, fixture, pipeline_class):
    folder = request.getfixturevalue(fixture)
    base = Base.load(folder)
    ours = sample(base, base.encode_prompts(PROMPTS), base.encode_prompts(["standing"]), [5, 6], FAST)
    pipeline = pipeline_class.from_pretrained(folder)
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    theirs = pipeline(
        PROMPTS,
        negative_prompt=["standing"] * 2,
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=generators,
        output_type="np",
    ).images
    assert np.abs(ours - theirs * 255).max() <= 1.01


@pytest.mark.parametrize(
    ("fixture", "pipeline_class"),
    [("tiny_sdxl", StableDiffusionXLImg2ImgPipeline), ("tiny_sd", StableDiffusionImg2ImgPipeline)],
)
@pytest.mark.parametrize("scheduler", ["default", "dpm++", "euler-a"])
def test_pictures_begun_from_a_drawing_are_those_of_the_diffusers_pipeline(request, fixture, pipeline_class, scheduler):
    folder = request.getfixturevalue(fixture)
    base, sampling = Base.load(folder), Sampling(steps=5, guidance=3.0, strength=0.6, scheduler=scheduler)
    drawing = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    latents = base.encode_images(drawing)
    ours = sample(base, base.encode_prompts(PROMPTS[:1]), base.unconditional(), [5], sampling, start=latents)
    pipeline = pipeline_class.from_pretrained(folder)
    pipeline.scheduler = scheduler_of(base, scheduler)
    theirs = pipeline(
        PROMPTS[:1],
        negative_prompt=[""],
        # In place of a picture they take four channels of latents, and so need not draw from the VAE's distribution.
        image=latents if base.latent_channels == 4 else PIL.Image.fromarray(drawing[0]),
        strength=0.6,
        num_inference_steps=5,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(5)],
        output_type="np",
    ).images
    assert np.abs(ours - theirs * 255).max() <= 1.01


def test_the_less_noise_hides_a_drawing_the_more_of_it_is_left(base, tmp_path):
    colors = np.zeros((48, 48, 3), np.uint8)
    colors[:, 24:] = (250, 80, 20)
    drawing = Drawing("sketch.png", PIL.Image.fromarray(colors), "")
    seen = base.decode(base.encode_images(np.asarray(drawing.image.resize((32, 32)))[None]))[0].astype(int)
    far = {}
    for strength in (0.1, 0.5, 1.0):
        sampling = Sampling(steps=10, strength=strength)
        picture = generate(base, PROMPTS[:1], [0], tmp_path, sampling, start_image=drawing)[0]
        far[strength] = np.abs(np.asarray(picture.image) - seen).mean()
        assert (picture.record["start_image"], picture.record["strength"]) == ("sketch.png", strength)
        assert len(picture.record["start_image_digest"]) == 8 and read_record(picture.path) == picture.record
    assert far[0.1] < far[0.5] < far[1.0]
    assert "start_image" not in generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=10))[0].record
    usual = generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=5), start_image=drawing)[0]
    assert usual.record["strength"] == 0.8
    with pytest.warns(UserWarning, match="At 1 the noise hides all of sketch.png, which then has no effect"):
        generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=10, strength=1.0), start_image=drawing)
    with pytest.raises(UserError, match="strength is 0.5, but there is no start image"):
        generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=10, strength=0.5))


def test_a_picture_that_an_earlier_version_drew_is_kept_under_its_own_record(base, tmp_path):
    new = generate(base, PROMPTS[:1], [0], tmp_path / "new", Sampling(steps=1))[0]
    older = with_file_name(renamed_back(new.record))
    assert "strength" in older and "adapter_scale" not in older and older["file_name"] != new.path.name
    write_picture(tmp_path / "old" / older["file_name"], new.image, older)
    kept = generate(base, PROMPTS[:1], [0], tmp_path / "old", Sampling(steps=1))[0]
    assert kept.record == older and kept.path.name == older["file_name"]
    assert [path.name for path in (tmp_path / "old").glob("*.png")] == [older["file_name"]]


def test_the_batch_size_does_not_change_a_picture(base, tmp_path):
    one = generate(base, PROMPTS, range(3), tmp_path / "one", Sampling(steps=3, batch_size=1))
    many = generate(base, PROMPTS, range(3), tmp_path / "many", Sampling(steps=3, batch_size=5))
    # Kernels may sum in another order for another batch: at most a rounding of one level.
    assert np.abs(pixels(one).astype(int) - pixels(many)).max() <= 1
    assert [p.record for p in one] == [p.record for p in many]


def test_a_picture_drawn_alone_has_the_bytes_that_it_has_among_others(base, tmp_path):
    among = generate(base, PROMPTS, range(3), tmp_path / "among", FAST)
    (alone,) = generate(base, PROMPTS[1:2], [2], tmp_path / "alone", FAST)
    assert alone.path.read_bytes() == among[-1].path.read_bytes()


def test_the_same_settings_give_the_same_bytes(base, tmp_path):
    first = generate(base, PROMPTS, [0, 1], tmp_path / "first", FAST)
    second = generate(base, PROMPTS, [0, 1], tmp_path / "second", FAST)
    assert [p.path.read_bytes() for p in first] == [p.path.read_bytes() for p in second]
    assert len({p.path.read_bytes() for p in first}) == 4


def test_metadata_and_the_text_chunk_hold_the_full_record(base, tmp_path):
    pictures = generate(base, PROMPTS, [7], tmp_path, FAST)
    assert read_metadata(tmp_path) == [picture.record for picture in pictures]
    record = pictures[0].record
    assert read_record(pictures[0].path) == record
    assert record["file_name"].startswith("a-girl-jumping-7-") and record["file_name"] == pictures[0].path.name
    expected = {"prompt": PROMPTS[0], "negative": "", "seed": 7, "steps": 3, "guidance": 3.0, "size": 32}
    expected |= {"scheduler": "DDIMScheduler", "adapter": None, "adapter_scale": None, "base_digest": base.digest()}
    assert {name: record[name] for name in expected} == expected


def test_no_path_of_this_machine_is_in_a_record(base, tmp_path):
    record = generate(base, PROMPTS[:1], [0], tmp_path, FAST)[0].record
    assert "/" not in json.dumps(record)


def test_pictures_already_there_are_kept_and_missing_ones_drawn(base, tmp_path):
    pictures = generate(base, PROMPTS, [0, 1], tmp_path, FAST)
    contents = [p.path.read_bytes() for p in pictures]
    times = [p.path.stat().st_mtime_ns for p in pictures]
    pictures[1].path.unlink()
    pictures[2].path.write_bytes(contents[2][:200])
    (tmp_path / "metadata.jsonl").unlink()
    again = generate(base, PROMPTS, [0, 1], tmp_path, FAST)
    assert [p.path.read_bytes() for p in again] == contents
    assert [p.path.stat().st_mtime_ns == t for p, t in zip(again, times, strict=True)] == [True, False, False, True]
    assert {row["file_name"] for row in read_metadata(tmp_path)} == {p.path.name for p in pictures}


def test_other_settings_go_beside_earlier_pictures(base, tmp_path):
    weak = generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=3, guidance=1.0))[0]
    strong = generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=3, guidance=6.0))[0]
    assert weak.path != strong.path and len(read_metadata(tmp_path)) == 2
    assert (np.asarray(weak.image) != np.asarray(strong.image)).any()


def test_noise_levels_that_begin_at_one_timestep_are_taken_one_by_one(base, tmp_path):
    base.pipeline.scheduler = scheduler()  # the miniature's
    sampling = Sampling(steps=25, scheduler="dpm++-karras")
    noise_levels = scheduler_of(base, sampling.scheduler)
    noise_levels.set_timesteps(sampling.steps)
    assert noise_levels.timesteps[0] == noise_levels.timesteps[1] != noise_levels.timesteps[-1]
    (picture,) = generate(base, ["a girl"], [0], tmp_path, sampling)
    assert picture.record["scheduler"] == "dpm++-karras"


@pytest.mark.parametrize("scheduler", ["default", *SCHEDULERS])
def test_every_scheduler_draws_repeatably_in_any_batch(base, scheduler):
    sampling = Sampling(steps=4, scheduler=scheduler)
    prompts, negative = base.encode_prompts(PROMPTS), base.unconditional()
    both = sample(base, prompts, negative, [1, 2], sampling)
    alone = sample(base, prompts[[1]], negative, [2], sampling)
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 1
    assert both.std() > 0


def test_guidance_extrapolates_and_rescaling_restores_the_deviation():
    generator = torch.Generator().manual_seed(0)
    conditional, unconditional = torch.randn(2, 2, 3, 4, 4, generator=generator)
    plain = guided(conditional, unconditional, 4.0, 0.0)
    torch.testing.assert_close(plain, 4 * conditional - 3 * unconditional)
    rescaled = guided(conditional, unconditional, 4.0, 1.0)
    torch.testing.assert_close(rescaled.std((1, 2, 3)), conditional.std((1, 2, 3)))
    torch.testing.assert_close(guided(conditional, unconditional, 4.0, 0.5), (plain + rescaled) / 2)


def test_size_is_a_setting(base, tmp_path):
    assert generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=2, size=48))[0].image.size == (48, 48)
    with pytest.raises(UserError, match="size is 50, but must be a multiple of 4"):
        generate(base, PROMPTS[:1], [0], tmp_path, Sampling(steps=2, size=50))


def test_nothing_to_draw_and_no_adapter_are_one_sentence(base, tmp_path):
    with pytest.raises(UserError, match="at least one prompt and one seed"):
        generate(base, [], [0], tmp_path)
    with pytest.raises(UserError, match="A seed is -1, but seeds are 0 to"):
        generate(base, PROMPTS, [0, -1], tmp_path)
    with pytest.raises(UserError, match="2 prompts with 100,000 seeds are more than 100,000 pictures"):
        generate(base, PROMPTS, range(100_000), tmp_path)
    with pytest.raises(UserError, match=r"\(10,000,000 characters\), but must be a text of at most 10,000"):
        generate(base, ["x" * 10_000_000], [0], tmp_path)
    with pytest.raises(UserError, match=r"A prompt is 'a \\udcff girl' \(8 characters\), but must be a text"):
        generate(base, ["a \udcff girl"], [0], tmp_path)
    with pytest.raises(UserError, match="holds neither pytorch_lora_weights.safetensors nor weights.safetensors"):
        load_adapter(base, tmp_path)


def test_images_come_back_as_they_are_on_disk(base, tmp_path):
    picture = generate(base, PROMPTS[:1], [0], tmp_path, FAST)[0]
    with PIL.Image.open(picture.path) as stored:
        np.testing.assert_array_equal(np.asarray(stored), np.asarray(picture.image))


LOADING = """
import sys
from comics_genai.errors import UserError
from comics_genai.bases.adapters import run_settings, weights_of
try:
    path = weights_of(sys.argv[1])
    print(run_settings(sys.argv[1])["identifier"], path.parent.name, path.read_bytes())
except UserError as error:
    print(error)
"""


def load_from_hub(run: str, endpoint: str, home, **secrets) -> str:
    """What a fresh process says of a run on the Hub at `endpoint`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **secrets}
    done = subprocess.run([sys.executable, "-c", LOADING, run], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_run_in_a_private_repository_is_read_with_a_token_and_only_what_is_needed(tmp_path):
    folder = tmp_path / "run"
    for name in ("checkpoints/step_000001.safetensors", "best/pytorch_lora_weights.safetensors"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"best")
    (folder / "pytorch_lora_weights.safetensors").write_bytes(b"last")
    (folder / "settings.json").write_text(json.dumps({"finetune": {"identifier": "Hoo"}}))
    with serving(folder, "someone/hoo", token="hf_secret", kind="models") as endpoint:
        found = load_from_hub("someone/hoo", endpoint, tmp_path / "home", HF_TOKEN="hf_secret")
        refused = load_from_hub("someone/hoo", endpoint, tmp_path / "home2")
    assert found == "Hoo best b'best'"
    assert not list((tmp_path / "home").rglob("step_000001.safetensors"))
    assert refused.startswith("someone/hoo is neither a folder here nor a model on the Hub that you may read")
    assert "hf_secret" not in refused
    with pytest.raises(
        UserError, match="There is no run nothing-here: give the folder of a fine-tuning, or OWNER/NAME"
    ):
        run_settings("nothing-here")
