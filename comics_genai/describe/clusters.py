"""k-means of colours in CIELAB, and the number of clusters that a set of colours needs."""

import warnings

import numpy as np
from scipy.cluster import vq

from comics_genai.world.color_difference import ciede2000

MOST = 16  # clusters: a person could not remember a larger palette
TOLERANCE = 5.0  # mean CIEDE2000: colours that differ by less look equal unless they touch
RESTARTS = 3
ITERATIONS = 60


def kmeans(lab: np.ndarray, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Centres (k, 3) and the cluster of each point (N,) of CIELAB points (N, 3); the best of a few starts.

    Lloyd 1982, started as k-means++ (Arthur and Vassilvitskii 2007). The same seed gives the same clusters; there are
    fewer than k where the points have fewer distinct colours.
    """
    distinct = np.unique(lab, axis=0)
    if len(distinct) <= k:
        return distinct, vq.vq(lab, distinct)[0]
    best, least = None, np.inf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")  # left out below
        for i in range(RESTARTS):
            rng = np.random.default_rng([seed, k, i])
            centres, _ = vq.kmeans2(lab, k, ITERATIONS, minit="++", rng=rng)
            labels, distances = vq.vq(lab, centres)
            if (total := np.square(distances).sum()) < least:
                used, labels = np.unique(labels, return_inverse=True)
                best, least = (centres[used], labels), total
    return best


def errors(lab: np.ndarray, most: int = MOST, seed: int = 0, enough: float = 0.0) -> np.ndarray:
    """Mean CIEDE2000 from the points (N, 3) to the centres of their clusters, for k = 1, 2 ... `most`: (<= most,).

    Ends early where it is down to `enough`, or where every distinct colour has a cluster of its own.
    """
    curve = []
    for k in range(1, most + 1):
        centres, labels = kmeans(lab, k, seed)
        curve.append(float(ciede2000(lab, centres[labels]).mean()))
        if curve[-1] <= enough:
            break
    return np.array(curve)


def choose_k(curve: np.ndarray, tolerance: float = TOLERANCE) -> int:
    """The smallest k whose mean CIEDE2000, by the curve of `errors`, is within `tolerance`; the best if none is."""
    enough = np.flatnonzero(curve <= tolerance)
    return int(enough[0] if len(enough) else curve.argmin()) + 1
