"""The presets of pretraining."""

from dataclasses import fields

import pytest

from comics_genai import pretrain


@pytest.mark.parametrize("name", pretrain.PRESETS)
def test_a_presets_stages_fit_together(name):
    preset = pretrain.PRESETS[name]
    assert preset.preset == name and preset.stages == ("all",)
    assert {one.name for one in fields(preset)} >= set(pretrain.STAGES) - {"assemble"}
    assert preset.decoder.decoder_only and not preset.vae.decoder_only


def test_a_gpu_trains_more_and_wider_and_the_smoke_run_less():
    sizes = [pretrain.PRESETS[name] for name in ("smoke", "cpu2", "gpu")]
    for measure in (lambda p: p.dataset.pictures, lambda p: p.unet.loop.steps * p.unet.batch_size,
                    lambda p: sum(p.unet.widths), lambda p: p.reader.network.vector):  # fmt: skip
        assert measure(sizes[0]) < measure(sizes[1]) < measure(sizes[2])
