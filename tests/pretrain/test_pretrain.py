"""Pretraining end to end with tiny numbers, and the arithmetic of every stage."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from comics_genai import pretrain, world
from comics_genai.bases.base import Base
from comics_genai.errors import UserError
from comics_genai.evaluation.attribute_reader import Readings
from comics_genai.evaluation.image_tower import ImageTower
from comics_genai.images import to_tensor
from comics_genai.pretrain import assemble, clip, dataset, evaluate, reading, semantics, tokenizer, unet, vae
from comics_genai.pretrain.dataset import DatasetSettings
from comics_genai.sampling.generate import Sampling
from comics_genai.training.objective import add_noise, alpha_bar, target


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Settings of a finished smoke run."""
    folder = tmp_path_factory.mktemp("pretrain")
    tiny = pretrain.PRESETS["smoke"]
    settings = replace(tiny, folder=folder / "stages", base=folder / "base", device="cpu", precision="fp32")
    assert pretrain.pretrain(settings)
    return settings


@pytest.fixture(scope="module")
def words(smoke):
    return tokenizer.load(smoke.folder / "tokenizer")


def dtypes(file):
    """Of the tensors in a safetensors file, from its header."""
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return [entry["dtype"] for name, entry in header.items() if name != "__metadata__"]


def test_every_stage_leaves_its_result_and_the_base_loads_unchanged(smoke):
    start = time.monotonic()
    pipeline = StableDiffusionXLPipeline.from_pretrained(smoke.base)
    assert time.monotonic() - start < 3
    assert pipeline.config.force_zeros_for_empty_prompt is False and pipeline.watermark is None
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline("a drawing of UnicornGirl", num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 128, 128, 3) and np.isfinite(drawn).all()
    assert pipeline.vae.config.latent_channels == 9 + 17 and pipeline.unet.config.sample_size == 16
    weights = list(smoke.base.rglob("*.safetensors"))
    folders = {"vae", "text_encoder", "text_encoder_2", "unet", "image_tower", "scorer"}
    assert {file.parent.name for file in weights} == folders
    assert all(dtype == "F16" for file in weights for dtype in dtypes(file) if not dtype.startswith("I"))
    half = StableDiffusionXLPipeline.from_pretrained(smoke.base, dtype=torch.float16)
    for part, same in ((pipeline.unet, half.unet), (pipeline.text_encoder_2, half.text_encoder_2)):
        assert (part.dtype, same.dtype) == (torch.float32, torch.float16)
    assert pipeline.vae_scale_factor == 8


def test_finished_stages_are_skipped_and_say_so(smoke, capsys):
    before = {f: f.stat().st_mtime_ns for f in smoke.folder.rglob("*.safetensors")}
    start = time.monotonic()
    assert pretrain.pretrain(replace(smoke, stages=pretrain.STAGES[:-1]))
    assert time.monotonic() - start < 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6 and all("finished before" in line for line in said)
    assert before == {f: f.stat().st_mtime_ns for f in smoke.folder.rglob("*.safetensors")}


def test_a_stage_whose_needs_are_not_met_says_which_to_run(tmp_path):
    settings = replace(pretrain.PRESETS["smoke"], folder=tmp_path, stages=("unet",))
    with pytest.raises(UserError, match="The stage unet needs the stage dataset.*`python -m comics_genai pretrain dat"):
        pretrain.pretrain(settings)
    with pytest.raises(UserError, match="The stage tokenizer was not trained"):
        assemble.assemble(tmp_path, tmp_path / "base")


def test_the_command_line_overrides_any_number_of_a_preset(monkeypatch):
    given = []
    monkeypatch.setattr("comics_genai.pretrain.stages.pretrain", given.append)
    pretrain.main(["vae", "clip", "--preset", "smoke", "--vae.loop.steps", "7", "--minutes", "2"])
    pretrain.main([])
    assert given[0].stages == ("vae", "clip") and given[0].minutes == 2
    assert given[0].vae == replace(
        pretrain.PRESETS["smoke"].vae, loop=replace(pretrain.PRESETS["smoke"].vae.loop, steps=7)
    )
    assert given[1] == pretrain.PRESETS["cpu2"] and given[1].stages == ("all",)


def test_the_pictures_are_the_scenes_in_order_and_whole_parts_are_not_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "CHUNK", 3)
    settings = DatasetSettings(pictures=7, size=64, workers=1)
    part = tmp_path / "parts" / "00000003-00000006-64.npz"
    part.parent.mkdir(parents=True)
    kept = {dataset.IMAGES: np.full((3, 64, 64, 3), 9, np.uint8), dataset.MAPS: np.ones((3, 17, 16, 16), np.float16)}
    np.savez(part, **kept)
    images, maps = (np.load(dataset.build(settings, tmp_path) / name) for name in (dataset.IMAGES, dataset.MAPS))
    assert maps.shape == (7, 17, 16, 16) and (maps[3:6] == 1).all()
    assert np.array_equal(maps[6], semantics.draw(world.sample_scene(6), 64)[1].astype(np.float16))
    assert images.shape == (7, 64, 64, 3) and images.dtype == np.uint8
    assert np.array_equal(images[[0, 1, 2, 6]], dataset.draw_scenes([0, 1, 2, 6], 64))
    assert (images[3:6] == 9).all() and not part.exists()
    assert dataset.is_built(settings, tmp_path) and not dataset.is_built(replace(settings, size=128), tmp_path)


def test_captions_depend_on_the_scene_alone():
    assert dataset.captions([3, 9])[1] == dataset.captions([9])[0]
    assert len(dataset.captions([3])[0]) == dataset.CAPTIONS_A_PICTURE


def test_her_name_is_no_word_of_the_tokenizer_yet_it_can_be_read(words):
    pieces = words.tokenize(world.TOKEN)
    assert len(pieces) > 2 and "".join(pieces) == "unicorngirl</w>"
    assert not any("unicorn" in piece for piece in words.get_vocab())
    assert words.unk_token_id not in words(world.TOKEN).input_ids[1:-1]


@pytest.mark.parametrize("text", ["façade", "漢字", "🙂 ok", "a_b-c: 12.5%", "\x01"])
def test_any_text_can_be_read_and_written_back(words, text):
    ids = words(text).input_ids
    assert (ids[0], ids[-1]) == (words.bos_token_id, words.eos_token_id)
    assert words.decode(ids[1:-1]).replace(" ", "") == text.replace(" ", "")


def test_the_longest_captions_fit_into_77_tokens(tmp_path):
    words = tokenizer.train_tokenizer([text for v in dataset.captions(range(400)) for text in v], tmp_path)
    longest = sorted({world.caption(world.sample_scene(seed)) for seed in range(3000)}, key=len)[-100:]
    assert max(len(ids) for ids in words(longest).input_ids) <= tokenizer.MAX_LENGTH
    assert tokenizer.encode(words, longest).shape == (100, 77)


def test_colors_are_mixed_in_the_share_asked_for():
    pictures = torch.rand(400, 3, 2, 2) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(vae.mix_colors(pictures, 0.0, generator), pictures)
    mixed = vae.mix_colors(pictures, 0.7, generator)
    changed = (mixed != pictures).flatten(1).any(1).float().mean()
    assert 0.63 < changed < 0.77 and mixed.abs().max() <= 1
    grey = vae.mix_colors(torch.zeros(400, 3, 1, 1), 1.0, generator)
    assert grey.std() == pytest.approx(0.2, abs=0.02)  # a shift alone moves grey


def test_the_reconstruction_loss_counts_every_error_once_for_each_term():
    picture, even = torch.zeros(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    assert vae.reconstruction_loss(picture, picture, even) == 0
    # A constant error of 0.1: L1, no gradients, two averages, and twice its square.
    assert vae.reconstruction_loss(picture + 0.1, picture, even) == pytest.approx(0.1 + 0.2 + 2 * 0.01)
    stripes = torch.zeros(2, 3, 16, 16)
    stripes[..., ::2] = 0.1
    assert vae.reconstruction_loss(stripes, picture, even) == pytest.approx(0.05 + 0.1 + 2 * 0.05 + 2 * 0.005)
    assert vae.reconstruction_loss(picture + 0.1, picture, 3 * even) == pytest.approx(3 * (0.1 + 0.2 + 2 * 0.01))


def test_pixels_of_the_face_weigh_most_then_those_of_the_figure():
    scene = world.Scene(world.UNICORN_GIRL)
    weights = vae.pixel_weights(torch.from_numpy(semantics.draw(scene, 128)[1])[None], 8)
    assert weights.shape == (1, 1, 128, 128)
    x, y = (world.joints(scene)[world.JOINTS.index("head")] * 128).astype(int)
    assert weights[0, 0, y, x] == pytest.approx(1 + vae.FIGURE_WEIGHT + vae.FACE_WEIGHT, abs=0.9)
    assert weights[0, 0, 4, 4] == pytest.approx(1, abs=0.02) and weights[0, 0, y, x] == weights.max()


def test_semantic_maps_say_where_parts_bones_and_the_face_are():
    scene = world.Scene(world.UNICORN_GIRL, world.Pose(facing="left", expression="angry"))
    _, parts = world.draw_with_parts(scene, 128, semantics.SIDE)
    assert parts.shape == (len(world.PARTS), 16, 16) and 0 <= parts.min() and parts.sum(0).max() <= 1 + 1e-6
    maps = dict(zip(semantics.CHANNELS, semantics.raw_maps(scene, parts), strict=True))
    x, y = (world.joints(scene)[world.JOINTS.index("head")] * 16).astype(int)
    assert maps["face"][y, x] > 0.9 and maps["head"][y, x] > 0.85
    assert maps["angry"][y, x] > 0.6 and maps["sad"][y, x] < -0.2 and maps["facing"][y, x] < -0.8
    across = np.arange(16) @ maps["left arm"].sum(0) / maps["left arm"].sum()
    assert across < np.arange(16) @ maps["right arm"].sum(0) / maps["right arm"].sum()
    standard = semantics.standardised(semantics.raw_maps(scene, parts))
    assert np.allclose(standard * semantics.SPREAD[:, None, None] + semantics.CENTER[:, None, None], [*maps.values()])


def test_noise_drowns_the_pictures_channels_at_times_and_the_semantic_ones_never():
    settings = vae.VaeSettings(latent_noise=0.2, strong_noise=0.5, semantic_noise=0.1)
    latents = torch.randn(400, 26, 8, 8, generator=torch.Generator().manual_seed(0)) * 3
    noise = vae.channel_noise(latents, settings, torch.Generator().manual_seed(1)) / 3
    own, semantic = noise[:, :9].flatten(1).std(1), noise[:, 9:].flatten(1).std(1)
    assert 0.09 < semantic.min() and semantic.max() < 0.11
    assert 0.3 < (own > 0.3).float().mean() < 0.45 and own.max() > 0.9  # seven tenths of one half


def test_psnr_is_in_decibels_of_the_full_range():
    picture = torch.zeros(1, 3, 4, 4)
    assert vae.psnr(picture + 0.2, picture).item() == pytest.approx(20.0)
    assert vae.psnr(torch.full((1, 3, 4, 4), 5.0), torch.ones(1, 3, 4, 4)).item() == math.inf  # clamped first


def test_latent_moments_are_zero_for_unit_variance_only():
    latents = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert vae.latent_moments(latents) < 1e-3
    assert vae.latent_moments(latents * 2) == pytest.approx(1.0, abs=0.05)
    assert vae.latent_moments(latents + 0.5) == pytest.approx(0.25, abs=0.02)
    assert vae.latent_moments(latents * 0.5, std=0.5) < 1e-3


def test_the_first_latent_channels_are_asked_to_be_the_picture_made_small():
    picture = torch.full((1, 3, 8, 8), -0.5)
    picture[:, 0, :4, :4] = 1.0
    small = vae.small_picture(picture, 4)
    assert small.shape == (1, 3, 2, 2)
    assert small[0, 0].tolist() == [[1.5, -0.75], [-0.75, -0.75]] and (small[0, 1:] == -0.75).all()


def test_the_autoencoder_learns_and_its_latents_come_near_unit_variance(tmp_path):
    images, maps = dataset.draw_maps(range(4), 128)
    settings = vae.VaeSettings(channels=8, batch_size=4, color_mixing=0.0)
    loop = replace(settings.loop, steps=60, warmup_steps=0, log_every=10, checkpoint_every=0, validate_every=0)
    assert vae.train_vae(replace(settings, loop=loop), images, maps, tmp_path).finished
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["reconstruction"] < 0.7 * rows[0]["reconstruction"]


def test_stage_weights_are_the_averaged_ones_or_those_of_the_newest_checkpoint(smoke, tmp_path):
    trained = vae.load(smoke.folder / "vae")
    stopped = replace(smoke.vae, loop=replace(smoke.vae.loop, max_minutes=1e-9))
    images, maps = (np.load(smoke.folder / "dataset" / name) for name in (dataset.IMAGES, dataset.MAPS))
    result = vae.train_vae(stopped, images, maps, tmp_path)
    assert (result.step, result.finished) == (1, False)
    early = vae.load(tmp_path)
    assert vae.train_vae(smoke.vae, images, maps, tmp_path).finished
    again = vae.load(tmp_path)
    for one, same in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, same) and not one.requires_grad
    assert not all(torch.equal(one, other) for one, other in zip(trained.parameters(), early.parameters(), strict=True))


def test_a_reconstruction_sheet_shows_scenes_and_drawings_above_what_became_of_them(smoke):
    with PIL.Image.open(smoke.folder / "vae" / "reconstructions_000004.png") as sheet:
        assert sheet.size == (6 * 128, 4 * 128)
        third = np.asarray(sheet.convert("RGB"))[256:384, :128]
    assert np.array_equal(third, np.asarray(world.draw(world.reference_scenes(world.UNICORN_GIRL)[0], 128)))
    row = json.loads((smoke.folder / "vae" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < row["validation_psnr"] < 60 and row["validation_latent_smallest_std"] > 0


def test_contrastive_loss_is_log_n_when_nothing_is_known_and_0_when_all_is():
    alike = torch.ones(8, 4) / 2
    assert clip.contrastive_loss(alike, alike, torch.tensor(10.0)) == pytest.approx(math.log(8))
    apart = torch.eye(8)
    assert clip.contrastive_loss(apart, apart, torch.tensor(100.0)) < 1e-6
    assert clip.contrastive_loss(apart, apart.roll(1, 0), torch.tensor(100.0)) == pytest.approx(100, abs=1e-3)


def test_the_barest_caption_says_more_than_the_class():
    variants = ["a drawing of a girl", "a drawing of a girl, smiling", "a drawing of a girl, smiling, in a room"]
    assert clip.barest(variants) == variants[1] and clip.fullest(variants) == variants[2]
    assert clip.barest(variants[:1]) == variants[0]


def test_padding_does_not_change_what_a_text_means(smoke, words):
    model = clip.load(smoke.folder / "clip", words)
    ids = tokenizer.encode(words, ["a drawing of a girl"])
    length = int((ids != words.eos_token_id).sum()) + 1
    whole_tokens, *whole = model.encode(ids)
    cut_tokens, *cut = model.encode(ids[:, :length])
    for a, b in ((whole_tokens[:, :length], cut_tokens), *zip(whole, cut, strict=True)):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_words_of_a_caption_are_labels_and_what_it_leaves_out_is_not():
    scene = world.sample_scene(11)
    factors = list(world.WORDS)
    full, place = reading.labels([scene] * 2, [world.caption(scene), "a drawing of a girl, in the forest"])
    for i, factor in enumerate(factors):
        word = world.said(scene, world.caption(scene)).get(factor)
        assert full[i] == (world.WORDS[factor].index(word) if word else reading.UNSAID)
    assert (full != reading.UNSAID).sum() >= 10 and (place == reading.UNSAID).all()  # scene 11 is not in a forest


def test_the_reading_loss_asks_for_the_words_said_alone():
    reader = reading.Reader(width=24, dimension=16)
    said = torch.full((2, len(world.WORDS)), reading.UNSAID)
    said[0, 1] = 3
    knows = [torch.zeros(2, count) for count in reader.counts]
    knows[1][0, 3] = 50.0
    assert reading.reading_loss(knows, said) < 1e-6 and reading.accuracy(knows, said) == 1
    guesses = [torch.zeros(2, count) for count in reader.counts]
    assert reading.reading_loss(guesses, said) == pytest.approx(math.log(reader.counts[1]))
    assert reading.reading_loss(guesses, torch.full_like(said, reading.UNSAID)) == 0
    shapes = [tuple(part.shape) for part in reader.attend(torch.randn(2, 9, 24))]
    assert shapes == [tuple(part.shape) for part in reader.recall(torch.randn(2, 16))]
    assert shapes == [(2, len(words)) for words in world.WORDS.values()]


def test_the_unet_is_trained_on_exactly_what_the_pipeline_tells_it(smoke, words):
    model = clip.load(smoke.folder / "clip", words)
    base = Base.load(smoke.base)
    prompts = [world.caption(world.sample_scene(3)), "", "a drawing of UnicornGirl"]
    encoded = base.encode_prompts(prompts)
    hidden, pooled = model.conditions(tokenizer.encode(words, prompts))
    assert torch.allclose(hidden, encoded.hidden, atol=2e-2) and torch.allclose(pooled, encoded.pooled, atol=2e-2)
    assert hidden.shape == (3, 77, 32 + 64) and pooled.shape == (3, 32)
    empty = base.unconditional()
    assert torch.allclose(empty.hidden, hidden[1:2], atol=2e-2)
    images = dataset.draw_scenes([0, 1], 128)
    cached = unet.encode_latents(vae.load(smoke.folder / "vae"), images).float()
    # Hardly trained, this autoencoder's scaling factor is large: compare in units of its latents.
    scale = vae.load(smoke.folder / "vae").config.scaling_factor
    assert torch.allclose(cached / scale, base.encode_images(images) / scale, atol=0.05, rtol=0.02)


def test_cached_latents_belong_to_their_vae(smoke, tmp_path):
    images = dataset.draw_scenes([0, 1], 128)
    model = vae.load(smoke.folder / "vae")
    first = unet.cached_latents(model, images, tmp_path)
    assert torch.equal(first, unet.cached_latents(model, images, tmp_path)) and len(list(tmp_path.iterdir())) == 1
    with torch.no_grad():
        model.encoder.layers[-1].bias.add_(1.0)
    assert not torch.allclose(first.float(), unet.cached_latents(model, images, tmp_path).float(), atol=0.5)


def test_timesteps_are_one_of_each_part():
    t = unet.stratified_timesteps(10, 1000, torch.Generator().manual_seed(0))
    assert sorted((t // 100).tolist()) == list(range(10)) and t.tolist() != sorted(t.tolist())
    noisy = unet.stratified_timesteps(1000, 1000, torch.Generator().manual_seed(0), bias=2.0)
    assert (noisy >= 750).sum() == 500 and noisy.min() >= 0 and noisy.max() == 999  # u^2 <= 1/4 for half of the u


def test_errors_of_a_face_weigh_most_then_those_of_the_arms():
    joints = torch.full((1, len(world.JOINTS), 2), 0.9)
    joints[0, world.JOINTS.index("head")] = torch.tensor([0.5, 0.25])
    joints[0, world.JOINTS.index("left_hand")] = torch.tensor([0.1, 0.6])
    weights = unet.figure_weights(joints, 16, 3.0)
    assert weights.shape == (1, 1, 16, 16)
    assert (weights[0, 0, 3:5, 7:9] == 4).all()  # rows first: y 0.25, x 0.5
    assert weights[0, 0, 9, 1] == 2 and weights[0, 0, 0, 0] == 1  # y 0.6, x 0.1
    assert (weights == 4).sum() == 16  # cells whose centre is nearer than 0.14
    assert (unet.figure_weights(joints, 16, 0.0) == 1).all()


def test_sampling_begins_without_signal_and_a_perfect_network_draws_pure_white():
    scheduler = unet.scheduler()
    alphas = alpha_bar(scheduler)
    assert alphas[-1] == 0 and alphas[0] > 0.99
    scheduler.set_timesteps(25)
    assert scheduler.timesteps[0] == 999
    white = torch.full((1, 12, 16, 16), 2.5)
    noise = torch.randn(white.shape, generator=torch.Generator().manual_seed(0))
    z = add_noise(white, noise, alphas[-1:])
    assert torch.equal(z, noise)
    for t in scheduler.timesteps:
        a = alphas[t].reshape(1)
        left = (z - a.sqrt() * white) / (1 - a).sqrt()
        z = scheduler.step(target(left, white, a, "v_prediction"), t, z).prev_sample
    assert (z - white).abs().max() < 1e-2


def test_samples_stand_below_the_drawings_of_their_captions(smoke):
    with PIL.Image.open(smoke.folder / "unet" / "samples_000004.png") as sheet:
        assert sheet.size == (unet.SAMPLES * 128, 2 * 128)
    row = json.loads((smoke.folder / "unet" / "log.jsonl").read_text().splitlines()[-1])
    assert row["validation_v_error"] > 0 and 0 <= row["validation_paper_error"] <= 1


def test_assembling_again_keeps_the_card_and_refuses_what_a_repository_cannot_carry(smoke, tmp_path, monkeypatch):
    base = assemble.assemble(smoke.folder, tmp_path / "base")
    (base / "README.md").write_text("# card")
    assert (assemble.assemble(smoke.folder, base) / "README.md").read_text() == "# card"
    monkeypatch.setattr(assemble, "LARGEST_FILE", 1000)
    with pytest.raises(UserError, match="choose narrower widths"):
        assemble.assemble(smoke.folder, base)
    assert (base / "model_index.json").exists() and (base / "README.md").exists()


def test_a_training_goes_on_from_a_base(smoke, tmp_path):
    slow = replace(smoke.unet, loop=replace(smoke.unet.loop, learning_rate=1e-9))
    settings = replace(
        smoke, start=smoke.base, folder=tmp_path / "stages", stages=("dataset", "clip", "unet"), unet=slow
    )
    assert pretrain.pretrain(settings)
    before, after = (tokenizer.load(folder / "tokenizer") for folder in (smoke.folder, settings.folder))
    assert before.get_vocab() == after.get_vocab()
    parts = []
    for folder in (smoke.folder, settings.folder):
        kept, encoders = vae.load(folder / "vae"), clip.load(folder / "clip", before)
        parts.append([kept, encoders.text_encoder, encoders.text_encoder_2, unet.load(folder / "unet", kept, encoders)])
    for one, same in zip(*parts, strict=True):
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(same.state_dict()[name].float(), tensor.float(), atol=1e-3, rtol=1e-3)
    again = assemble.assemble(settings.folder, tmp_path / "base")
    assert (again / "scorer" / "model.safetensors").exists() and (again / "pretraining" / "vae" / "log.jsonl").exists()
    whole = [json.loads(line) for line in (again / "pretraining" / "unet" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in whole] == [2, 4, 6, 8]  # both trainings, one after the other
    assert whole == sorted(whole, key=lambda row: row["seconds"])
    with pytest.raises(UserError, match="is no base that"):
        pretrain.pretrain(replace(settings, start=tmp_path))


def test_the_image_tower_is_the_same_after_saving_and_its_absence_is_one_sentence(tmp_path):
    torch.manual_seed(0)
    tower = ImageTower(dimension=16, width=8).eval()
    tower.save(tmp_path / "tower")
    again = ImageTower.load(tmp_path / "tower")
    pictures = torch.rand(3, 3, 64, 64) * 2 - 1
    assert torch.allclose(tower.embed(pictures), again.embed(pictures, batch_size=2), atol=5e-3)
    assert again.embed(pictures).norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(UserError, match="No image tower can be read from"):
        ImageTower.load(tmp_path)


def test_the_evaluation_measures_what_a_base_keeps_and_follows(smoke, tmp_path):
    settings = evaluate.EvaluationSettings(
        base=str(smoke.base), scorer=smoke.base / "scorer", target=tmp_path / "evaluation.json", prompts=8,
        reconstructions=8, sampling=Sampling(steps=2),
    )  # fmt: skip
    figures = evaluate.evaluate(settings)
    assert json.loads(settings.target.read_text()) == figures
    assert 0 < figures["vae_psnr"] < 20  # a VAE of four steps keeps next to nothing,
    assert figures["unicorn_girl_ciede2000"] > 5  # and no colour
    assert figures["prompts"] == 8 and figures["seconds_a_picture"] > 0
    for shares in (figures["drawn"], figures["ceiling"]):
        assert shares["pose"] == pytest.approx(sum(shares[name] for name in world.POSE_FACTORS) / 5)
        assert not {a.name for a in world.ATTRIBUTES if not a.named} & shares.keys()


def test_a_picture_follows_its_caption_where_it_shows_what_is_said():
    scenes = [world.sample_scene(seed) for seed in range(20)]
    truth = Readings.of(scenes)
    right = evaluate.followed(truth, scenes)
    for name in ("hair_style", "outfit", "accessory", *world.POSE_FACTORS):
        assert right[name].all() and len(right[name]) == 20
    # A true colour is in its word's range; it may lie on the border to the next word, but seldom.
    assert 0 < len(right["hair_color"]) < 20 and right["hair_color"].mean() > 0.9
    other = Readings(truth.attributes | {"outfit": (truth.attributes["outfit"] + 1) % 5}, truth.pose, truth.joints)
    assert not evaluate.followed(other, scenes)["outfit"].any()


def test_the_figure_mask_holds_the_figure_and_not_the_sky():
    scene = world.reference_scenes(world.UNICORN_GIRL)[0]
    mask = world.figure_mask(scene)
    assert mask.shape == (128, 128) and 0.2 < mask.mean() < 0.5
    head, chest = (128 * world.joints(scene)[world.JOINTS.index(name)] for name in ("head", "neck"))
    assert mask[int(head[1]), int(head[0])] and mask[int(chest[1]), int(chest[0])]
    assert not mask[:6].any() and not mask[:, :6].any()


def test_latents_have_unit_variance_apart_from_what_all_have_in_common(smoke):
    model = vae.load(smoke.folder / "vae")
    images = dataset.draw_scenes(range(dataset.HELD_OUT_SEED, dataset.HELD_OUT_SEED + 64), 128)
    with torch.no_grad():  # in fp32: hardly trained, it tells pictures apart by less than bf16 can hold
        latents = model.encode(to_tensor(images)).latents[:, : smoke.vae.picture_channels] * model.config.scaling_factor
    assert (latents - latents.mean(0)).square().mean() == pytest.approx(1, rel=0.02)
    assert model.config.scaling_factor != 1
    assert Base.load(smoke.base).vae.config.scaling_factor == pytest.approx(model.config.scaling_factor)
