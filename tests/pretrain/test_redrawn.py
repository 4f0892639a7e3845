"""Latents noised part of the way and denoised again by the UNet."""

import torch

from comics_genai.files import load_tensors
from comics_genai.pretrain import redrawn, unet
from comics_genai.training.objective import alpha_bar


class Knowing(torch.nn.Module):
    """A network that knows the clean latents, and so predicts v without error whatever the noise."""

    def __init__(self, clean):
        super().__init__()
        self.clean, self.seen, self.alphas = clean, [], alpha_bar(unet.scheduler())

    def forward(self, z, t, hidden, added_cond_kwargs):
        self.seen.append((int(t), len(z), hidden.shape[0], added_cond_kwargs["time_ids"].shape[0]))
        clean, a = torch.cat([self.clean, self.clean]), self.alphas[t]
        noise = (z - a.sqrt() * clean) / (1 - a).sqrt()
        return type("Out", (), {"sample": a.sqrt() * noise - (1 - a).sqrt() * clean})


def test_a_network_that_knows_the_drawing_brings_it_back_exactly():
    clean = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    network = Knowing(clean)
    texts = torch.zeros(3, 7, 8), torch.zeros(3, 8)
    drawn = redrawn.redraw(
        network, clean, 600, 4, 3.0, texts, (texts[0][:1], texts[1][:1]), torch.zeros(1, 6), torch.Generator()
    )
    assert torch.allclose(drawn, clean, atol=1e-4)
    assert network.seen == [(t, 6, 6, 6) for t in (600, 450, 300, 150)]  # with and without the caption, in even steps


def test_the_smoke_run_keeps_redrawn_latents_that_differ_from_the_drawings_own(smoke):
    drawn = load_tensors(smoke.folder / "decoder" / redrawn.FILE)[0]["latents"]
    own = load_tensors(next((smoke.folder / "unet" / "latents").glob("*.safetensors")))[0]["latents"]
    assert drawn.shape == own[:4].shape and drawn.isfinite().all()
    assert not torch.equal(drawn, own[:4])
