import torch

from comics_genai.bases.adapters import load_adapter, load_adapters
from comics_genai.bases.base import Base
from comics_genai.bases.shrinking_rank import active_rank
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune
from comics_genai.finetuning.trainable import make_trainable


def test_the_rank_falls_from_all_to_the_least_as_noise_grows():
    t = torch.tensor([0, 250, 500, 999])
    assert active_rank(16, 4, t, 1000).tolist() == [16, 13, 10, 4]


def filled(base: Base, rank: int) -> None:
    """An adapter that has learnt something."""
    settings = FinetuneSettings(base=base.name, rank=rank, lora_targets="all", start="orthogonal")
    make_trainable(base.unet, settings)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in base.unet.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)


def test_at_full_noise_only_the_first_rows_speak_and_without_noise_all(tiny_sdxl):
    base = Base.load(tiny_sdxl)
    filled(base, 4)
    latents, prompts = torch.randn(2, 6, 8, 8), base.encode_prompts(["a girl", "a drawing"])
    ids = base.time_ids(32, 32, count=2)

    def said(t: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return base.predict(latents, torch.tensor(t), prompts, ids)

    whole = said([0, 999])
    base.shrink_rank(1)
    shrunk = said([0, 999])
    torch.testing.assert_close(shrunk[0], whole[0])
    assert not torch.allclose(shrunk[1], whole[1], atol=1e-3)
    base.shrink_rank(0)
    torch.testing.assert_close(said([0, 999]), whole)
    for name, parameter in base.unet.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.data[1:] = 0 if "lora_A" in name else parameter.data[1:]
    torch.testing.assert_close(said([0, 999])[1], shrunk[1], atol=1e-4, rtol=1e-3)


def test_a_run_trained_so_is_drawn_so_and_leaves_with_its_adapter(tiny_sdxl, girl, tmp_path):
    settings = FinetuneSettings(
        drawings=str(girl), base=str(tiny_sdxl), steps=2, batch_size=2, rank=4, least_rank=2, variants=1, warmup_steps=0
    )
    base = Base.load(tiny_sdxl)
    finetune(settings, tmp_path / "run", base=base)
    assert base.shrinking_rank is None
    load_adapter(base, tmp_path / "run")
    assert base.shrinking_rank.least == 2
    load_adapters(base, [])
    assert base.shrinking_rank is None and not base.unet._forward_pre_hooks
