"""Validation pictures of a run."""

from comics_genai.baselines import ddpm
from tests.baseline_settings import DDPM, noise, rows


def test_a_ddpm_run_keeps_its_samples_and_loads_them_again(tmp_path):
    seen = []
    ddpm.train_ddpm(
        DDPM, noise(5, 3, 8, 8), tmp_path, threshold=0.0, measure=lambda step, pictures: seen.append(pictures) or {}
    )
    assert rows(tmp_path)[-1]["validation_copied"] == 0
    assert (tmp_path / "samples/step_000006.png").exists()
    model = ddpm.load(tmp_path)
    assert model.settings == DDPM
    assert [p.tobytes() for p in ddpm.sample(model, 2, 1000)] == [p.tobytes() for p in seen[-1]]
