"""Intervals and tests for nested measurements: the unit is the character, everything else is nested in it.

interval = hierarchical_bootstrap(values, [character, training_seed, prompt, noise])
p = sign_flip_test(character_means_a - character_means_b)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, permutation_test

EXACT_FLIPS = 2**16
DRAWS_AT_ONCE = 2_000_000  # records held at a time: about 100 MB


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def nested_mean(values: np.ndarray, groups: Sequence[Sequence]) -> np.ndarray:
    """Mean of records (N,) or (N, columns) in which every group of a level weighs the same within its parent."""
    values = np.asarray(values, np.float64)
    tree = _Tree(groups, len(values))
    weights = np.ones(1)
    for counts in tree.child_counts:
        weights = np.repeat(weights / counts, counts)
    return np.tensordot(weights, values[tree.order], axes=1)


def hierarchical_bootstrap(
    values: np.ndarray,
    groups: Sequence[Sequence],
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval | list[Interval]:
    """The percentile interval of the nested mean, resampled with replacement at every level.

    Davison & Hinkley 1997, sec. 3.8. values: records (N,), or (N, columns), which share the resamples and give a list.
    groups: N group labels for each level, outermost first. Labels need to differ only within their parent, and the
    records themselves are the last level. A level with a single group, such as one character, adds no variation, and
    the interval then holds for that group alone.
    """
    values = np.asarray(values, np.float64)
    if len(values) == 0 or any(len(labels) != len(values) for labels in groups):
        raise ValueError(f"Each level needs one label for each of the {len(values)} records, and at least one record.")
    columns = values if values.ndim == 2 else values[:, None]
    tree, rng = _Tree(groups, len(values)), np.random.default_rng(seed)
    ordered = columns[tree.order]
    at_once = max(1, DRAWS_AT_ONCE // max(len(values), 1))
    means = np.concatenate(
        [tree.resampled_means(ordered, min(at_once, resamples - i), rng) for i in range(0, resamples, at_once)]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    center = np.atleast_1d(nested_mean(columns, groups))
    intervals = [Interval(float(m), float(a), float(b)) for m, a, b in zip(center, low, high, strict=True)]
    return intervals if values.ndim == 2 else intervals[0]


class _Tree:
    """Nested groups as counts: node i of a level has child_counts[level][i] children, stored side by side."""

    def __init__(self, groups: Sequence[Sequence], records: int):
        codes = [np.unique(np.asarray(labels), return_inverse=True)[1] for labels in groups]
        self.order = np.lexsort([np.arange(records), *reversed(codes)])
        node = np.zeros(records, np.int64)  # of each ordered record at the present level; the root is one node
        self.child_counts: list[np.ndarray] = []
        for code in [*(c[self.order] for c in codes), np.arange(records)]:
            new = np.ones(records, bool)
            new[1:] = (node[1:] != node[:-1]) | (code[1:] != code[:-1])
            self.child_counts.append(np.bincount(node[new], minlength=node[-1] + 1))
            node = np.cumsum(new) - 1

    def resampled_means(self, ordered: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
        """Nested means (resamples, columns).

        If a node is drawn twice, its children are resampled twice, independently.
        """
        nodes, resample = np.zeros(resamples, np.int64), np.arange(resamples)
        weights = np.ones(resamples)
        for counts in self.child_counts:
            first = np.cumsum(counts) - counts
            children = counts[nodes]
            parents, resample = np.repeat(nodes, children), np.repeat(resample, children)
            weights = np.repeat(weights / children, children)
            nodes = first[parents] + rng.integers(counts[parents])
        # The weight of each record in each resample is the same for all columns, so one matrix product gives the means.
        records = len(ordered)
        weighing = np.bincount(resample * records + nodes, weights, resamples * records)
        return weighing.reshape(resamples, records) @ ordered


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The exact interval of a share (Clopper & Pearson 1934). For 0 of 24 it ends at 0.142; resampling gives 0."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes of {trials} trials are no share: give 0 to trials, of at least 1.")
    interval = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return Interval(successes / trials, float(interval.low), float(interval.high))


def sign_flip_test(differences: Sequence[float], flips: int = 100_000, seed: int = 0) -> float:
    """Two-sided p value of paired differences, one for each character, against a mean of 0.

    Without an effect the differences must be symmetric about 0. The test is exact over all 2^n sign patterns up to
    n = 16. For larger n it takes `flips` random patterns, and p is at least 2 / (flips + 1).
    """
    return _sign_flips(np.asarray(differences, np.float64), flips, seed, "two-sided")


def _sign_flips(differences: np.ndarray, flips: int, seed: int, alternative: str) -> float:
    if len(differences) == 0:
        raise ValueError("A sign-flip test needs at least one difference.")
    if len(differences) == 1:
        differences = np.append(differences, 0.0)  # scipy needs two values; a 0 changes no share of the patterns
    exact = 2 ** len(differences)
    # With one sample, scipy permutes the signs. It tries all patterns if it may take that many.
    result = permutation_test(
        (differences,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=exact if exact <= EXACT_FLIPS else flips,
        batch=EXACT_FLIPS // 16,
        alternative=alternative,
        rng=seed,
    )
    return float(result.pvalue)


def tost(differences: Sequence[float], margin: float, flips: int = 100_000, seed: int = 0) -> float:
    """p value of the two one-sided tests (Schuirmann 1987); a small one shows that |mean difference| < margin.

    Each side is a sign-flip test of the differences, shifted by the margin. With n differences p is at least 2^-n.
    """
    if margin <= 0:
        raise ValueError(f"An equivalence margin is above 0, not {margin}.")
    differences = np.asarray(differences, np.float64)
    above = _sign_flips(differences + margin, flips, seed, "greater")
    below = _sign_flips(margin - differences, flips, seed, "greater")
    return max(above, below)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p values for the number of comparisons (Holm 1979); the order stays."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def cohens_d(differences: Sequence[float]) -> float:
    """Cohen's d of paired differences, d_z: mean over standard deviation (n - 1); NaN if they do not vary."""
    differences = np.asarray(differences, np.float64)
    deviation = differences.std(ddof=1) if len(differences) > 1 else 0.0
    return float(differences.mean() / deviation) if deviation > 0 else float("nan")
