"""Fine-tunings that are stopped midway."""

from dataclasses import replace
from pathlib import Path

import pytest

from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.finetuning.train import finetune


def stop_at_3(step: int, pictures: list) -> dict[str, float]:
    """A validation that fails at step 3."""
    if step == 3:
        raise InterruptedError
    return {}


def whole_and_resumed(settings: FinetuneSettings, folder: Path) -> tuple[Path, Path]:
    """Folders of two finished runs, of which one was stopped at step 3; their weights are the same bytes."""
    settings = replace(settings, checkpoint_every=2, validate_every=3)
    whole, resumed = folder / "whole", folder / "stopped"
    assert finetune(settings, whole).finished
    with pytest.raises(InterruptedError):
        finetune(settings, resumed, validate=stop_at_3)
    # Nobody takes it for finished.
    assert not [path for path in resumed.glob("*.safetensors")]
    assert finetune(settings, resumed).finished
    name = "weights.safetensors"
    assert (whole / name).read_bytes() == (resumed / name).read_bytes()
    return whole, resumed
