"""k-means of colours in CIELAB, and how many clusters a set of colours needs."""

import numpy as np

from comics_genai.color_difference import ciede2000

MOST = 16  # clusters: more are no palette that a person could hold in mind
TOLERANCE = 5.0  # mean CIEDE2000: colours that differ by less pass for one unless they touch
RESTARTS = 3
ITERATIONS = 60


def kmeans(lab: np.ndarray, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Centres (k, 3) and the cluster of each point (N,) of CIELAB points (N, 3); the best of a few starts.

    Lloyd 1982, started as k-means++ (Arthur and Vassilvitskii 2007). The same seed gives the same clusters; there are
    fewer than k where the points have fewer distinct colours.
    """
    distinct = np.unique(lab, axis=0)
    if len(distinct) <= k:
        return distinct, _nearest(lab, distinct)[0]
    found = [_lloyd(lab, _spread(lab, k, np.random.default_rng([seed, k, i]))) for i in range(RESTARTS)]
    centres, labels, _ = min(found, key=lambda result: result[2])
    return centres, labels


def errors(lab: np.ndarray, most: int = MOST, seed: int = 0, enough: float = 0.0) -> np.ndarray:
    """Mean CIEDE2000 from the points (N, 3) to the centres of their clusters, for k = 1, 2 ... `most`: (<= most,).

    Ends early where it is down to `enough`, or where every distinct colour has a cluster of its own.
    """
    curve = []
    for k in range(1, most + 1):
        centres, labels = kmeans(lab, k, seed)
        curve.append(float(ciede2000(lab, centres[labels]).mean()))
        if len(centres) < k or curve[-1] <= enough:
            break
    return np.array(curve)


def choose_k(curve: np.ndarray, tolerance: float = TOLERANCE) -> int:
    """The smallest k whose mean CIEDE2000, by the curve of `errors`, is within `tolerance`; the best if none is."""
    enough = np.flatnonzero(curve <= tolerance)
    return int(enough[0] if len(enough) else curve.argmin()) + 1


def _spread(lab: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k points, each drawn with probability in proportion to its squared distance from those before."""
    centres = [lab[rng.integers(len(lab))]]
    nearest = ((lab - centres[0]) ** 2).sum(-1)
    for _ in range(k - 1):
        centres.append(lab[rng.choice(len(lab), p=nearest / nearest.sum())])
        nearest = np.minimum(nearest, ((lab - centres[-1]) ** 2).sum(-1))
    return np.array(centres)


def _lloyd(lab: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    for _ in range(ITERATIONS):
        labels, distances = _nearest(lab, centres)
        counts = np.bincount(labels, minlength=len(centres))
        sums = np.stack([np.bincount(labels, lab[:, i], len(centres)) for i in range(3)], -1)
        # A centre that lost all its points moves to the worst represented one.
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], lab[distances.argmax()])
        if np.abs(moved - centres).max() < 0.01:
            break
        centres = moved
    labels, distances = _nearest(lab, centres)
    return centres, labels, float(distances.sum())


def _nearest(lab: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest centre and the squared distance to it, of every point."""
    distances = (lab**2).sum(-1)[:, None] - 2 * lab @ centres.T + (centres**2).sum(-1)
    return distances.argmin(1), np.maximum(distances.min(1), 0)
