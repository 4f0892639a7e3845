"""Fine-tuning learns the drawings, holds the class, leaves an adapter that reloads, and goes on exactly."""

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from comics_genai import drawings
from comics_genai.bases.adapters import load_adapter, run_settings, weights_of
from comics_genai.bases.base import Base
from comics_genai.drawings.captions import class_prompt, instance_prompt, mirrored_prompt, subject
from comics_genai.errors import UserError
from comics_genai.files import load_tensors
from comics_genai.finetuning.encoded_data import prepare, variants_of
from comics_genai.finetuning.loss import FinetuneLoss
from comics_genai.finetuning.settings import TEXT_TARGETS, FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.finetuning.trainable import add_adapter, make_trainable
from comics_genai.finetuning.validation import chosen
from comics_genai.run import LORA_FILE
from comics_genai.sampling.generate import Sampling, generate
from comics_genai.training.objective import weighted_error
from comics_genai.training.seeding import seed_step
from tests.stopping import whole_and_resumed

CAPTION = "a drawing of UnicornGirl, a girl, left arm down, looking right, smiling"


@pytest.fixture
def settings(character_folder, tiny_sdxl) -> FinetuneSettings:
    return FinetuneSettings(
        drawings=str(character_folder),
        base=str(tiny_sdxl),
        steps=6,
        batch_size=2,
        rank=4,
        alpha=8,
        variants=2,
        class_images=4,
        warmup_steps=0,
        sampling=Sampling(steps=2),
    )


def objective_of(settings: FinetuneSettings, cache: Path) -> tuple[Base, FinetuneLoss]:
    base = Base.load(settings.base, precision=settings.precision)
    data = prepare(base, drawings.load(settings.drawings), settings, cache)
    make_trainable(base.unet, settings)
    return base, FinetuneLoss(base, data, settings)


def test_the_subject_is_named_the_same_everywhere():
    assert subject("UnicornGirl", "girl") == "UnicornGirl, a girl"
    assert subject("Hoo", "owl") == "Hoo, an owl"
    named = ("UnicornGirl", "girl")
    assert instance_prompt(CAPTION, *named) == CAPTION
    assert instance_prompt("UnicornGirl in a meadow", *named) == "UnicornGirl, a girl in a meadow"
    assert instance_prompt("in a meadow", *named) == "a drawing of UnicornGirl, a girl, in a meadow"
    assert instance_prompt(None, *named) == "a drawing of UnicornGirl, a girl"


def test_the_class_prompt_is_the_same_words_without_the_identifier():
    assert class_prompt(CAPTION, "UnicornGirl", "girl") == "a drawing of a girl, left arm down, looking right, smiling"


def test_a_mirrored_drawing_has_left_and_right_exchanged():
    expected = "a drawing of UnicornGirl, a girl, right arm down, looking left, smiling"
    assert mirrored_prompt(CAPTION) == expected and mirrored_prompt(expected) == CAPTION


def test_variants_show_the_whole_drawing_and_continue_its_border():
    drawing = np.full((64, 64, 3), (250, 240, 230), np.uint8)
    drawing[:4, :4] = drawing[-4:, -4:] = (20, 0, 60)  # what a crop would lose first
    drawing[:8, 28:36] = (0, 200, 0)
    variants = variants_of(PIL.Image.fromarray(drawing), 64, 6, seed=3)
    np.testing.assert_array_equal(variants[0], drawing)
    assert len({variant.tobytes() for variant in variants}) >= 5
    for variant in variants[1:]:
        dark = (variant < 120).all(2)
        rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
        assert np.ptp(rows) >= 50 and np.ptp(columns) >= 50  # both corners are there
        assert (variant[:, 0] > 200).all(1).any()  # paper goes on as paper, not as white or black


def test_a_drawing_that_is_not_square_is_padded_not_cut():
    wide = np.full((40, 80, 3), 255, np.uint8)
    wide[:, :6] = wide[:, -6:] = (200, 0, 0)
    square = variants_of(PIL.Image.fromarray(wide), 64, 1, seed=0)[0]
    assert square.shape == (64, 64, 3)
    assert (square[:, 1] == (200, 0, 0)).all() and (square[:, -2] == (200, 0, 0)).all()


def test_data_is_encoded_once_with_each_variant_and_prompt(settings, tmp_path):
    base = Base.load(settings.base)
    data = prepare(base, drawings.load(settings.drawings), settings, tmp_path)
    assert data.latents.shape == (3, 2, 6, 8, 8)
    torch.testing.assert_close(
        data.class_prompts.hidden[1:2], base.encode_prompts(["a drawing of a girl, jumping"]).hidden
    )
    # The original is larger than the target: nothing was lost, so it is said as sharp as the target can be.
    assert data.time_ids.tolist() == [[32, 32, 0, 0, 32, 32]] * 3
    mirrored = prepare(base, drawings.load(settings.drawings), replace(settings, mirror=True), tmp_path)
    assert mirrored.latents.shape[0] == 6
    torch.testing.assert_close(mirrored.latents[:3], data.latents)


def test_the_prior_term_is_nothing_before_the_adapter_has_learnt_anything(settings, tmp_path):
    _, objective = objective_of(settings, tmp_path)
    loss, logs = objective(0, seed_step(0, 0))
    assert logs["loss_prior"] < 1e-10 and logs["loss_drawings"] > 0.01
    torch.testing.assert_close(loss, logs["loss_drawings"])


def test_the_prior_term_pulls_back_an_adapter_that_changed_the_class(settings, tmp_path):
    base, objective = objective_of(settings, tmp_path)
    with torch.no_grad():
        for name, parameter in base.unet.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    loss, logs = objective(0, seed_step(0, 0))
    assert logs["loss_prior"] > 0
    torch.testing.assert_close(loss.detach(), logs["loss_drawings"] + settings.prior_weight * logs["loss_prior"])
    loss.backward()
    trained = [p for p in base.unet.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None for p in trained)


def test_every_drawing_is_seen_equally_often(settings, tmp_path):
    settings = replace(settings, prior="none", caption_dropout=0.0)
    base, objective = objective_of(settings, tmp_path)
    seen = []
    base.predict = lambda noised, t, prompts, time_ids: seen.append(prompts.hidden) or noised
    for step in range(6):
        objective(step, seed_step(0, step))
    shown = torch.cat(seen)
    counts = [sum(torch.equal(row, prompt) for row in shown) for prompt in objective.data.prompts.hidden]
    assert counts == [4, 4, 4]


@pytest.mark.parametrize("options", [
    {"method": "dreambooth"},
    {"method": "dreambooth", "train_text_encoders": True, "prior": "images"},
    {"method": "lora", "learn_token": True},
    {"method": "dreambooth-lora", "gradient_checkpointing": True, "train_text_encoders": True},
])  # fmt: skip
def test_a_base_that_is_handed_over_trains_the_same_and_comes_back_as_it_was(settings, options, tmp_path):
    settings = replace(settings, **options, validate_every=3)
    base = Base.load(settings.base)
    before = {
        k: v.clone() for name, part in base.modules().items() for k, v in part.state_dict(prefix=f"{name}.").items()
    }
    drawn = generate(base, [CAPTION], [0], tmp_path / "before", Sampling(steps=2))[0]
    finetune(settings, tmp_path / "own")
    finetune(settings, tmp_path / "lent", base=base)
    own, lent = ((tmp_path / run / "weights.safetensors").read_bytes() for run in ("own", "lent"))
    assert own == lent
    after = {k: v for name, part in base.modules().items() for k, v in part.state_dict(prefix=f"{name}.").items()}
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad or p.grad is not None for part in base.modules().values() for p in part.parameters())
    again = generate(base, [CAPTION], [0], tmp_path / "after", Sampling(steps=2))[0]
    assert again.path.read_bytes() == drawn.path.read_bytes()
    load_adapter(base, tmp_path / "lent")


def test_a_base_that_does_not_fit_the_settings_is_refused(settings, tmp_path):
    with pytest.raises(UserError, match="The precision of the base that was handed over is bf16, .* need fp32"):
        finetune(settings, tmp_path / "run", base=Base.load(settings.base, precision="bf16"))
    with pytest.raises(
        UserError, match="The name of the base that was handed over is .*, but these settings need mini"
    ):
        finetune(replace(settings, base="mini"), tmp_path / "run", base=Base.load(settings.base))


@pytest.mark.parametrize("method", ["dreambooth-lora", "lora", "dreambooth"])
def test_training_lowers_the_loss_on_the_drawings(settings, method, tmp_path):
    # Attention alone cannot carry what a base of random weights lacks.
    settings = replace(settings, method=method, lora_targets="all", prior_weight=0.1)
    settings = replace(settings, steps=60, batch_size=6, learning_rate=5e-3)
    result = finetune(settings, tmp_path / "run")
    assert result.finished and result.step == 60
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    name = "loss" if method == "lora" else "loss_drawings"
    assert ("loss_prior" in rows[0]) == (method != "lora")
    assert rows[-1][name] < 0.9 * rows[0][name]


def test_only_the_adapter_is_trained_and_it_is_float32(settings, tmp_path):
    base, _ = objective_of(replace(settings, precision="bf16"), tmp_path)
    trained = {name: p for name, p in base.unet.named_parameters() if p.requires_grad}
    # 2 attentions in each of 3 transformer blocks (down, middle, 2 up), 4 projections, A and B
    assert len(trained) % 16 == 0 and all(re.search(r"to_(q|k|v|out\.0)\.lora_[AB]", name) for name in trained)
    assert {p.dtype for p in trained.values()} == {torch.float32}
    wide, _ = objective_of(replace(settings, lora_targets="all"), tmp_path)
    names = [name for name, p in wide.unet.named_parameters() if p.requires_grad]
    assert any("conv1" in name for name in names) and any("ff.net" in name for name in names)


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_the_saved_adapter_reloads_as_it_was_trained(settings, targets, tmp_path):
    settings = replace(settings, lora_targets=targets)
    finetune(replace(settings, learning_rate=1e-2), tmp_path / "run")
    base = Base.load(settings.base)
    prompt = base.encode_prompts([CAPTION])
    latents, ids = torch.randn(1, 6, 8, 8, generator=torch.Generator().manual_seed(0)), base.time_ids(32, 32)
    with torch.no_grad():
        before = base.predict(latents, torch.tensor([500]), prompt, ids)
        adapter = load_adapter(base, tmp_path / "run")
        reloaded = base.predict(latents, torch.tensor([500]), prompt, ids)
        trained = Base.load(settings.base)
        make_trainable(trained.unet, settings)
        tensors, _ = load_tensors(tmp_path / "run" / "weights.safetensors")
        trained.unet.load_state_dict(tensors, strict=False)
        expected = trained.predict(latents, torch.tensor([500]), prompt, ids)
    torch.testing.assert_close(reloaded, expected)
    assert (reloaded - before).abs().max() > 1e-3
    assert adapter.name == "run" and not adapter.full
    config = base.unet.peft_config["adapter"]
    assert (config.r, config.lora_alpha) == (4, 8)
    assert {p.dtype for p in load_tensors(tmp_path / "run" / LORA_FILE)[0].values()} == {torch.float32}


def test_the_scale_goes_from_the_base_to_the_adapter(settings, tmp_path):
    finetune(replace(settings, learning_rate=5e-2), tmp_path / "run")
    base = Base.load(settings.base)
    bare = generate(base, [CAPTION], [0], tmp_path / "pictures", Sampling(steps=2))[0]
    adapter = load_adapter(base, tmp_path / "run")
    pictures = {
        scale: generate(base, [CAPTION], [0], tmp_path / "pictures", Sampling(steps=2, adapter_scale=scale), adapter)[
            0
        ]
        for scale in (0.0, 1.0)
    }
    np.testing.assert_array_equal(np.asarray(pictures[0.0].image), np.asarray(bare.image))
    assert (np.asarray(pictures[1.0].image) != np.asarray(bare.image)).any()
    assert pictures[1.0].record["adapter"] == "run" and pictures[1.0].record["adapter_scale"] == 1.0
    assert pictures[1.0].record["base_digest"] == bare.record["base_digest"]


def test_a_run_stopped_midway_ends_with_the_same_bytes(settings, tmp_path):
    tensors = [load_tensors(run / LORA_FILE)[0] for run in whole_and_resumed(settings, tmp_path)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_finished_run_returns_at_once_and_other_settings_are_refused(settings, tmp_path):
    finetune(settings, tmp_path / "run")
    weights = tmp_path / "run" / LORA_FILE
    written = weights.stat().st_mtime_ns
    assert "was finished before" in finetune(settings, tmp_path / "run").message
    assert weights.stat().st_mtime_ns == written
    with pytest.raises(UserError, match="rank = 4, and now finetune.rank = 8"):
        finetune(replace(settings, rank=8), tmp_path / "run")
    assert run_settings(tmp_path / "run")["rank"] == 4


def test_an_identifier_that_is_an_ordinary_word_is_warned_of(settings, tmp_path):
    base = Base.load(settings.base)
    assert base.knows_word("beach") and not base.knows_word("UnicornGirl") and not base.knows_word("standing girl")
    with pytest.warns(UserWarning, match="The identifier 'beach' is a word that this base knows"):
        finetune(replace(settings, identifier="beach", steps=1), tmp_path / "run")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The identifier")
        finetune(replace(settings, steps=1), tmp_path / "other")


def test_class_pictures_are_drawn_once_and_reused(settings, tmp_path):
    settings = replace(settings, prior="images")
    assert finetune(settings, tmp_path / "one").finished
    pictures = {path: path.stat().st_mtime_ns for path in (tmp_path / "class_images").glob("*.png")}
    assert len(pictures) == 4  # as many as were asked for, of three prompts
    assert finetune(replace(settings, seed=1), tmp_path / "two").finished
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "class_images").glob("*.png")} == pictures


def test_validation_draws_from_fixed_noise_and_logs_what_it_is_told(settings, tmp_path):
    seen = []

    def validate(step, pictures):
        seen.append((step, len(pictures), pictures[0].size))
        return {"brightness": float(np.mean(np.asarray(pictures[0])))}

    settings = replace(settings, validate_every=3, validation_prompts=("a girl", CAPTION, "a girl, jumping"))
    finetune(settings, tmp_path / "run", validate=validate)
    assert seen == [(3, 3, (32, 32)), (6, 3, (32, 32))]
    names = sorted(path.name for path in (tmp_path / "run" / "validation").iterdir())
    assert names == ["step_000003.png", "step_000006.png"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "validation_brightness" in row] == [3, 6]


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_the_checkpoint_with_the_best_score_is_kept_and_used(settings, method, tmp_path):
    scores = {2: 0.2, 4: 0.9, 6: 0.5}
    settings = replace(settings, method=method, learning_rate=1e-2, validate_every=2)
    run = tmp_path / "run"
    finetune(settings, run, validate=lambda step, pictures: {"score": scores[step]})
    assert chosen(run) == {"step": 4, "score": 0.9}
    best, last = weights_of(run), weights_of(run, best=False)
    assert best == run / "best" / last.name and last.parent == run
    base = Base.load(settings.base)
    digests = {load_adapter(base, run).digest, load_adapter(base, run, best=False).digest}
    assert len(digests) == 2 and load_adapter(base, run).name == "run"


def test_a_run_without_scores_has_no_best(settings, tmp_path):
    finetune(replace(settings, validate_every=3), tmp_path / "run", validate=lambda step, pictures: {"identity": 1.0})
    assert chosen(tmp_path / "run") is None and weights_of(tmp_path / "run").parent == tmp_path / "run"


@pytest.mark.parametrize("prior", ["prediction", "images"])
def test_a_base_with_one_text_encoder_and_epsilon_is_trained_by_the_same_code(settings, tiny_sd, prior, tmp_path):
    assert finetune(replace(settings, base=str(tiny_sd), prior=prior, steps=2), tmp_path / "run").finished
    base = Base.load(tiny_sd)
    adapter = load_adapter(base, tmp_path / "run")
    assert generate(base, [CAPTION], [0], tmp_path / "pictures", Sampling(steps=2), adapter)[0].image.size == (32, 32)


def test_half_precision_with_gradient_checkpointing_trains(settings, tmp_path):
    settings = replace(settings, precision="bf16", gradient_checkpointing=True, ema_decay=0.9)
    assert finetune(settings, tmp_path / "run").finished
    ema, _ = load_tensors(tmp_path / "run" / "ema.safetensors")
    saved, _ = load_tensors(tmp_path / "run" / LORA_FILE)
    assert sorted(t.double().norm().item() for t in ema.values()) == sorted(
        t.double().norm().item() for t in saved.values()
    )


@pytest.mark.parametrize(
    "options",
    [
        {"dora": True, "lora_dropout": 0.3, "noise_offset": 0.1},
        {"optimizer": "prodigy", "learning_rate": 1.0, "accumulate": 2},
        {"method": "dreambooth", "optimizer": "adafactor", "fused_backward": True},
    ],
    ids=lambda options: "-".join(options),
)
def test_every_setting_trains_reloads_and_ends_with_the_same_bytes_after_a_stop(settings, options, tmp_path):
    whole, _ = whole_and_resumed(replace(settings, **options), tmp_path)
    assert load_adapter(Base.load(settings.base), whole).name == "whole"


@pytest.mark.parametrize("fixture", ["tiny_sdxl", "tiny_sd"])
def test_adapters_in_the_text_encoders_are_trained_saved_and_reloaded(settings, fixture, request, tmp_path):
    settings = replace(settings, base=str(request.getfixturevalue(fixture)), train_text_encoders=True)
    finetune(replace(settings, learning_rate=1e-2, validate_every=3), tmp_path / "run")
    base = Base.load(settings.base)
    before = base.encode_prompts([CAPTION])
    trained, _ = load_tensors(tmp_path / "run" / "weights.safetensors")
    count = len(base.text_encoders())
    assert (
        {name.split(".")[0] for name in trained} == {"unet", "text_encoder", "text_encoder_2"} if count == 2 else True
    )
    load_adapter(base, tmp_path / "run")
    after = base.encode_prompts([CAPTION])
    assert (after.hidden - before.hidden).abs().max() > 1e-4
    expected = Base.load(settings.base)
    for name, module in expected.text_encoders().items():
        add_adapter(module, settings, TEXT_TARGETS)
        own = {k.removeprefix(f"{name}."): t for k, t in trained.items() if k.startswith(f"{name}.")}
        assert own and not module.load_state_dict(own, strict=False).unexpected_keys
    torch.testing.assert_close(after.hidden, expected.encode_prompts([CAPTION]).hidden)


def test_prior_targets_are_the_bases_own_even_if_the_text_encoders_are_trained(settings, tmp_path):
    settings = replace(settings, train_text_encoders=True)
    base, objective = objective_of(settings, tmp_path)
    for module in base.text_encoders().values():
        add_adapter(module, settings, TEXT_TARGETS)
    assert objective(0, seed_step(0, 0))[1]["loss_prior"] < 1e-10
    with torch.no_grad():
        for name, parameter in base.pipeline.text_encoder.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    loss, logs = objective(0, seed_step(0, 0))
    assert logs["loss_prior"] > 1e-8
    loss.backward()
    # The UNet reads the layer before the last, so this is all that can learn.
    adapters = {n: p for n, p in base.pipeline.text_encoder.named_parameters() if p.requires_grad and ".layers.0." in n}
    assert adapters and all(p.grad is not None for p in adapters.values())


def test_offset_noise_moves_whole_channels(settings, tmp_path):
    _, objective = objective_of(replace(settings, noise_offset=2.0), tmp_path)
    objective.alpha_bar = torch.zeros(1000)  # noise alone
    objective.base.prediction_type = "epsilon"
    _, batch = objective._noised(torch.zeros(400, 6, 8, 8), torch.Generator().manual_seed(0))
    noise = batch.latents
    means = noise.mean((2, 3))
    assert means.std() == pytest.approx((4 + 1 / 64) ** 0.5, rel=0.05)
    assert (noise - means[..., None, None]).std() == pytest.approx(1, rel=0.02)


def test_a_transparent_background_counts_as_little_as_is_said(settings, tmp_path):
    (tmp_path / "cut").mkdir()
    for red in (200, 100):
        figure = PIL.Image.new("RGBA", (96, 96), (0, 0, 0, 0))
        figure.paste((red, 30, 90, 255), (0, 0, 48, 96))
        figure.save(tmp_path / "cut" / f"left_half_{red}.png")
    settings = replace(settings, drawings=str(tmp_path / "cut"), background_weight=0.25)
    base = Base.load(settings.base)
    data = prepare(base, drawings.load(settings.drawings), settings, tmp_path)
    assert data.cell_weights.shape == (2, 2, 1, 8, 8)
    expected = torch.tensor([1.0] * 4 + [0.25] * 4) / 0.625  # but for the blur of the edge
    torch.testing.assert_close(data.cell_weights[0, 0, 0, 0], expected, atol=0.05, rtol=0)
    assert data.cell_weights[0, 0].mean() == pytest.approx(1)
    prediction, target = torch.zeros(1, 6, 8, 8), torch.zeros(1, 6, 8, 8)
    prediction[..., 4:] = 1  # wrong beside the figure alone
    loss = weighted_error(prediction, target, torch.ones(1), cell_weights=data.cell_weights[0, :1])
    assert loss == pytest.approx(0.5 * 0.25 / 0.625, rel=0.1)


def test_a_weight_for_the_background_needs_drawings_that_tell_it(settings, tmp_path):
    half = replace(settings, background_weight=0.5)
    flat = prepare(Base.load(settings.base), drawings.load(settings.drawings), half, tmp_path)
    figure, paper = flat.cell_weights[0, 0, 0, 4, 4], flat.cell_weights[0, 0, 0, 0, 0]
    assert float(figure) == pytest.approx(2 * float(paper), rel=0.05)  # found by flat paper
    rng = np.random.default_rng(0)
    for i in range(2):
        PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / f"0{i}.png")
    with pytest.raises(UserError, match="background_weight is 0.5, but 00.png has neither transparency nor flat paper"):
        finetune(replace(half, drawings=str(tmp_path)), tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"identifier": " "}, "The identifier ' ' is empty: give a word"),
        ({"method": "textual-inversion"}, "method is 'textual-inversion', but must be one of dreambooth-lora"),
        ({"rank": 0}, "rank is 0, but must be a whole number from 1 to 1,024."),
        ({"caption_dropout": 1.0}, "caption_dropout is 1.0"),
    ],
)
def test_settings_out_of_range_are_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        FinetuneSettings(**options)
