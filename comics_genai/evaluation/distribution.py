"""Pictures as a set: kernel inception distance on the reader's own features, palette distance, diversity.

The features are not an Inception network's, so the distances can be compared with each other, but not with those of
other papers.
"""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch

from comics_genai.evaluation.attribute_reader import AttributeReader, closely
from comics_genai.evaluation.metrics import reference_distances
from comics_genai.images import as_tensor
from comics_genai.world.color_difference import lab_of_srgb

AT_ONCE = 32  # pictures
PALETTE_SIDE = 32  # pixels each way that a palette is taken from
DIRECTIONS = 16  # of the sliced Wasserstein distance


@torch.no_grad()
def reader_features(pictures: Sequence[PIL.Image.Image], reader: AttributeReader) -> np.ndarray:
    """The vectors that the reader computes from its crops of head, torso and body: float64 (N, width)."""
    found = []
    for i in range(0, len(pictures), AT_ONCE):
        x = as_tensor(pictures[i : i + AT_ONCE], reader.config.size) * 2 - 1
        joints = reader.locator(x)
        looks = [look(closely(x, joints, name)) for name, look in reader.readers.items()]
        found.append(torch.cat(looks, 1))
    return torch.cat(found).double().numpy()


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared MMD of features (N, d) and (M, d), N and M at least 2, with the cubic kernel (x.y / d + 1)^3
    (Binkowski et al. 2018, eq. 4, there KID); about 0 for samples of one distribution, at times slightly negative."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(first), len(second)
    within_first, within_second = kernel(first, first), kernel(second, second)
    same = (within_first.sum() - np.trace(within_first)) / (n * (n - 1))
    other = (within_second.sum() - np.trace(within_second)) / (m * (m - 1))
    return float(same + other - 2 * kernel(first, second).mean())


def palette_distance(pictures: Sequence[PIL.Image.Image], truths: Sequence[PIL.Image.Image]) -> np.ndarray:
    """How far the colours of each picture are from those of its true drawing, regardless of place: (N,), in CIELAB.

    The sliced Wasserstein distance of the pixels' colours (Rabin et al. 2011): the mean over directions of the distance
    of sorted projections. 0 for the same colours in the same amounts.
    """
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(3, DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)

    def projected(picture: PIL.Image.Image) -> np.ndarray:
        small = picture.convert("RGB").resize((PALETTE_SIDE, PALETTE_SIDE), PIL.Image.Resampling.BOX)
        return np.sort(lab_of_srgb(np.asarray(small)).reshape(-1, 3) @ directions, axis=0)

    pairs = zip(pictures, truths, strict=True)
    return np.array([np.abs(projected(picture) - projected(truth)).mean() for picture, truth in pairs])


def diversity(pictures: Sequence[PIL.Image.Image], prompts: Sequence[object]) -> float:
    """Mean distance, see `metrics.reference_distances`, of pictures of the same prompt; NaN if no prompt has two."""
    groups: dict[object, list[PIL.Image.Image]] = {}
    for picture, prompt in zip(pictures, prompts, strict=True):
        groups.setdefault(prompt, []).append(picture)
    means = []
    for group in groups.values():
        if len(group) > 1:
            means.append(reference_distances(group, group)[np.triu_indices(len(group), 1)].mean())
    return float(np.mean(means)) if means else float("nan")
