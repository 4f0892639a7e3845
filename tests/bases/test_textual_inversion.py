"""The identifier as a token of its own: nothing else changes, it comes back wherever the run is drawn from."""

import json
import warnings
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from comics_genai.bases.adapters import load_adapter, weights_of
from comics_genai.bases.base import Base
from comics_genai.bases.textual_inversion import LearnedToken
from comics_genai.errors import UserError
from comics_genai.files import save_tensors
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.publishing.export import export
from comics_genai.run import EMBEDS_FILE
from comics_genai.sampling.generate import Sampling
from tests.stopping import whole_and_resumed

CAPTION = "a drawing of UnicornGirl, a girl, smiling"
BASES = ["tiny_sdxl", "tiny_sd"]


@pytest.fixture
def settings(character_folder, tiny_sdxl) -> FinetuneSettings:
    return FinetuneSettings(
        drawings=str(character_folder), base=str(tiny_sdxl), method="lora", learn_token=True, steps=6, batch_size=2,
        rank=4, alpha=8, learning_rate=1e-2, variants=2, warmup_steps=0, sampling=Sampling(steps=2),
    )  # fmt: skip


@pytest.fixture(params=BASES)
def base(request) -> Base:
    return Base.load(request.getfixturevalue(request.param))


def test_it_begins_as_the_class_and_leaves_no_trace_when_removed(base):
    before = base.encode_prompts([CAPTION])
    token = LearnedToken.like(base, "UnicornGirl", "girl")
    ids = [getattr(base.pipeline, name.replace("text_encoder", "tokenizer"))("UnicornGirl girl").input_ids
           for name in base.text_encoders()]  # fmt: skip
    assert all(len(row) == 4 for row in ids)
    with_it = base.encode_prompts([CAPTION])
    as_class = base.encode_prompts(["a drawing of girl, a girl, smiling"])
    torch.testing.assert_close(with_it.hidden, as_class.hidden)
    assert (with_it.hidden - before.hidden).abs().max() > 1e-3
    token.remove()
    assert torch.equal(base.encode_prompts([CAPTION]).hidden, before.hidden) and base.learned_token is None


def test_it_is_no_part_of_longer_words_and_any_case_of_it_is_meant(base):
    LearnedToken.like(base, "Bo", "boy")
    tokenizer = base.pipeline.tokenizer
    new = tokenizer.convert_tokens_to_ids("Bo")
    assert new not in tokenizer("a boy, Bob").input_ids
    assert tokenizer("bo's hat, Bo.").input_ids.count(new) == 2


def test_the_pooled_output_is_still_that_of_the_prompts_end(legacy_sdxl, tiny_sdxl):
    base = Base.load(legacy_sdxl)
    ends = [module for encoder in base.text_encoders().values() for module in encoder.modules()
            if hasattr(module, "eos_token_id")]  # fmt: skip
    assert [module.eos_token_id for module in ends] == [2, 2]
    before = base.encode_prompts(["a drawing of girl, smiling"])
    token = LearnedToken.like(base, "UnicornGirl", "girl")
    after = base.encode_prompts(["a drawing of UnicornGirl, smiling"])
    torch.testing.assert_close(after.pooled, before.pooled)
    plain = Base.load(tiny_sdxl)
    torch.testing.assert_close(plain.encode_prompts(["a drawing of girl, smiling"]).pooled, after.pooled)
    token.remove()
    assert [module.eos_token_id for module in ends] == [2, 2]


@pytest.mark.parametrize("fixture", BASES)
def test_it_is_learnt_saved_and_there_again_when_the_run_is_loaded(settings, fixture, request, tmp_path):
    settings = replace(settings, base=str(request.getfixturevalue(fixture)))
    assert finetune(settings, tmp_path / "run").finished
    start = LearnedToken.like(Base.load(settings.base), "UnicornGirl", "girl")
    base = Base.load(settings.base)
    encoders = {name: {k: v.clone() for k, v in e.state_dict().items()} for name, e in base.text_encoders().items()}
    class_prompt = base.encode_prompts(["a drawing of a girl"]).hidden
    load_adapter(base, tmp_path / "run")
    for name, vector in base.learned_token.vectors.items():
        assert (vector - start.vectors[name]).abs().max() > 1e-3 and not vector.requires_grad
    # Nothing but the token changed what prompts say.
    torch.testing.assert_close(base.encode_prompts(["a drawing of a girl"]).hidden, class_prompt)
    own = base.encode_prompts([CAPTION])
    base.learned_token.remove()
    for name, encoder in base.text_encoders().items():
        assert all(torch.equal(encoders[name][k], v) for k, v in encoder.state_dict().items())
    # diffusers reads the file too.
    vectors = load_file(tmp_path / "run" / EMBEDS_FILE)
    pipeline = base.pipeline
    names = {"clip_l": "text_encoder", "clip_g": "text_encoder_2", "UnicornGirl": "text_encoder"}
    assert sorted(vectors) == (["clip_g", "clip_l"] if len(vectors) == 2 else ["UnicornGirl"])
    for saved, vector in vectors.items():
        name = names[saved]
        pipeline.load_textual_inversion(
            {"UnicornGirl": vector}, tokenizer=getattr(pipeline, name.replace("text_encoder", "tokenizer")),
            text_encoder=getattr(pipeline, name),
        )  # fmt: skip
    torch.testing.assert_close(base.encode_prompts([CAPTION]).hidden, own.hidden)


@pytest.mark.parametrize(
    "options",
    [
        {"train_text_encoders": True, "ema_decay": 0.9},
        {"method": "dreambooth", "train_text_encoders": True, "prior": "prediction"},
        {"method": "dreambooth", "ema_decay": 0.5},
    ],
    ids=lambda options: "-".join(options),
)
def test_a_stopped_run_ends_with_the_same_token_and_what_else_was_trained(settings, options, tmp_path):
    settings = replace(settings, **options)
    whole, resumed = whole_and_resumed(settings, tmp_path)
    assert (whole / EMBEDS_FILE).read_bytes() == (resumed / EMBEDS_FILE).read_bytes()
    base = Base.load(settings.base)
    bare = base.encode_prompts(["a drawing of a girl"]).hidden
    load_adapter(base, tmp_path / "whole")
    trained = load_file(weights_of(tmp_path / "whole"))
    if settings.method == "dreambooth":
        assert weights_of(tmp_path / "whole").stem == ("ema" if settings.ema_decay else "weights")
        unet = base.unet.state_dict()
        assert all(torch.equal(t, unet[k.removeprefix("unet.")]) for k, t in trained.items() if k.startswith("unet."))
    changed = (base.encode_prompts(["a drawing of a girl"]).hidden - bare).abs().max()
    assert (changed > 1e-4) == settings.train_text_encoders


def test_a_run_without_its_token_is_refused_and_one_without_any_leaves_none(settings, tmp_path):
    finetune(settings, tmp_path / "run")
    finetune(replace(settings, learn_token=False), tmp_path / "plain")
    base = Base.load(settings.base)
    digest = load_adapter(base, tmp_path / "run").digest
    assert load_adapter(base, tmp_path / "run").digest == digest and base.learned_token.word == "UnicornGirl"
    load_adapter(base, tmp_path / "plain")
    assert base.learned_token is None
    embeds = tmp_path / "run" / EMBEDS_FILE
    content = embeds.read_bytes()
    embeds.write_bytes(content[:20])
    with pytest.raises(UserError, match="learned_embeds.safetensors is damaged or not a safetensors file"):
        load_adapter(base, tmp_path / "run")
    embeds.unlink()
    with pytest.raises(UserError, match="learnt a token, and .* is not there: without it no prompt can name"):
        load_adapter(base, tmp_path / "run")
    # The run itself notices too, and writes it again from its weights.
    assert finetune(settings, tmp_path / "run").finished and embeds.read_bytes() == content


def test_the_best_checkpoint_has_the_token_of_its_step(settings, tmp_path):
    settings = replace(settings, validate_every=3)
    finetune(settings, tmp_path / "run", validate=lambda step, pictures: {"score": 1 / step})
    base = Base.load(settings.base)
    vectors = []
    for best in (True, False):
        load_adapter(base, tmp_path / "run", best)
        vectors.append(base.learned_token.vectors["text_encoder"])
    assert not torch.equal(*vectors)


def test_it_is_exported_beside_the_adapter(settings, tmp_path):
    finetune(settings, tmp_path / "run")
    file = export(tmp_path / "run")
    exported = load_file(file.parent / "embeddings" / "UnicornGirl.safetensors")
    assert exported.keys() == {"clip_l", "clip_g"}
    saved = load_file(tmp_path / "run" / EMBEDS_FILE)
    assert all(torch.equal(exported[name], saved[name]) for name in saved)


def test_a_token_that_does_not_fit_is_one_sentence(settings, tiny_sd, tmp_path):
    base, other = Base.load(settings.base), Base.load(tiny_sd)
    LearnedToken.like(base, "UnicornGirl", "girl").save(tmp_path / "token.safetensors")
    with pytest.raises(UserError, match="'UnicornGirl' does not fit the base"):
        LearnedToken.load(other, tmp_path / "token.safetensors")
    assert other.learned_token is None
    with pytest.raises(UserError, match="has a token 'gir' already"):
        LearnedToken.like(base, "gir", "girl")


@pytest.mark.parametrize("word", ["", "a\nb", "../x", 3, None, ["x"]])
def test_a_file_of_others_makes_no_token_of_what_is_no_word(settings, tmp_path, word):
    base, path = Base.load(settings.base), tmp_path / "token.safetensors"
    LearnedToken.like(base, "UnicornGirl", "girl").save(path)
    base.learned_token.remove()
    save_tensors(path, load_file(path), {"word": word})
    with pytest.raises(UserError, match="token.safetensors the word"):
        LearnedToken.load(base, path)
    assert base.learned_token is None


def test_a_token_that_is_no_number_is_refused(settings, tmp_path):
    base, path = Base.load(settings.base), tmp_path / "token.safetensors"
    LearnedToken.like(base, "UnicornGirl", "girl").save(path)
    base.learned_token.remove()
    save_tensors(path, {name: vector * float("nan") for name, vector in load_file(path).items()}, {"word": "Girl0"})
    with pytest.raises(UserError, match="holds values that are not finite numbers: train the token again"):
        LearnedToken.load(base, path)
    assert base.learned_token is None


def test_what_the_settings_say_is_kept(settings, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        finetune(replace(settings, steps=1), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["finetune"]["learn_token"] is True
    with pytest.raises(UserError, match="learn_token = true, and now finetune.learn_token = false"):
        finetune(replace(settings, steps=1, learn_token=False), tmp_path / "run")
