"""An experiment: a noise schedule that never reaches pure noise turns white paper grey.

If alpha_bar_T > 0, the last training step still shows a picture's mean, from which the network takes the brightness.
But sampling starts from noise with mean 0, which means middle grey (Lin et al. 2024). Here the six drawings are put on
black, grey and white paper. With a schedule that ends in pure noise a third of the samples has each paper; with a
leaking schedule most have the middle one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import torch
from matplotlib.figure import Figure
from torch import Tensor

from comics_genai import world
from comics_genai.images import to_tensor
from comics_genai.plotting import figures
from comics_genai.training.loop import LoopSettings

from . import ddpm
from .runs import lasting

PAPERS = 3  # greys, evenly from black to white
WHITE = 0.85  # the least brightness of white paper
SIZE = 32
# A small network is enough, because only the mean matters: 0.7 million parameters on patches of 2 px.
SETTINGS = ddpm.DdpmSettings(
    size=SIZE,
    patch=2,
    channels=(32, 64),
    layers=1,
    dropout=0.0,
    schedule="scaled_linear",
    min_snr_gamma=0.0,  # most steps of this schedule are nearly clean, and the small network needs all of them
    batch_size=12,
    samples=36,
    sampling=ddpm.DdpmSampling(steps=25),
    loop=LoopSettings(steps=600, learning_rate=2e-3, warmup_steps=50, beta2=0.99, ema_decay=0.99, checkpoint_every=250),
)


def drawings_on_papers(character: world.Character = world.UNICORN_GIRL, papers: int = PAPERS) -> Tensor:
    """The six drawings without backgrounds, each on `papers` greys: (6 * papers, 3, SIZE, SIZE) in [-1, 1]."""
    pictures = []
    for scene in world.reference_scenes(character):
        picture, mask = np.asarray(world.draw(scene, 4 * SIZE)), world.figure_mask(scene, 4 * SIZE)
        for grey in np.linspace(0, 255, papers).round():
            laid = np.where(mask[..., None], picture, np.uint8(grey))
            pictures.append(np.asarray(PIL.Image.fromarray(laid).reduce(4)))
    return to_tensor(np.stack(pictures))


def paper_brightness(picture: PIL.Image.Image) -> float:
    """The brightness of a picture's paper, in [0, 1]: the median over its outermost tenth."""
    grey = np.asarray(picture.convert("L"), np.float32) / 255
    edge = max(1, grey.shape[0] // 10)
    inside = np.zeros_like(grey, bool)
    inside[edge:-edge, edge:-edge] = True
    return float(np.median(grey[~inside]))


def samples_of(
    folder: Path, steps: int, zero_terminal_snr: bool, device: torch.device | str = "cpu"
) -> list[PIL.Image.Image]:
    """Train in `folder` (once) with or without zero terminal SNR, and draw SETTINGS.samples pictures.

    Both draw from the same noise. Pictures with the darkest paper come first.
    """
    settings = lasting(SETTINGS, steps, validate_every=0, zero_terminal_snr=zero_terminal_snr)
    ddpm.train_ddpm(settings, drawings_on_papers(), folder, device=device)
    pictures = ddpm.sample(ddpm.load(folder), settings.samples, seed=0)
    return sorted(pictures, key=paper_brightness)


def in_words(pictures: Sequence[PIL.Image.Image]) -> str:
    """The papers of the samples in words."""
    papers = np.array([paper_brightness(picture) for picture in pictures])
    return (
        f"{(papers >= WHITE).mean():.0%} white papers (among the drawings: {_share_of_white():.0%}); brightness "
        f"{papers.min():.2f} to {papers.max():.2f}, standard deviation {papers.std():.2f} "
        f"({np.linspace(0, 1, PAPERS).std():.2f})"
    )


def _share_of_white() -> float:
    return float((np.linspace(0, 1, PAPERS) >= WHITE).mean())


def plot(samples: Mapping[str, Sequence[PIL.Image.Image]]) -> Figure:
    """Plot the papers' brightness for the samples of each kind, from dark to bright; the drawings' is dotted."""
    with figures.style():
        figure, axes = plt.subplots(figsize=(5, 2.8))
        for name, pictures in samples.items():
            papers = sorted(paper_brightness(picture) for picture in pictures)
            axes.plot(np.linspace(0, 100, len(papers)), papers, marker="o", markersize=3, label=name)
        greys = np.repeat(np.linspace(0, 1, PAPERS), 2)
        edges = np.repeat(np.linspace(0, 100, PAPERS + 1), 2)[1:-1]
        axes.plot(edges, greys, color=figures.GRAPHITE, linestyle=":", label="the drawings")
        axes.set(xlabel="samples, darkest first, %", ylabel="brightness of paper", ylim=(-0.05, 1.05))
        figures.legend_below(axes, 3)
    plt.close(figure)
    return figure
