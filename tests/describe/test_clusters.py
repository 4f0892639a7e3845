"""k-means of colours, and how many clusters are enough."""

import numpy as np

from comics_genai.describe import clusters


def test_kmeans_finds_the_colours_that_points_lie_around():
    rng, true = np.random.default_rng(0), np.array([[20.0, 5, 5], [60, 40, -30], [80, -40, 30], [50, 0, 60]])
    points = np.concatenate([centre + rng.normal(0, 1, (100, 3)) for centre in true])
    centres, labels = clusters.kmeans(points, 4)
    nearest = np.linalg.norm(true[:, None] - centres[None], axis=-1)
    assert nearest.min(1).max() < 0.5 and sorted(np.bincount(labels)) == [100] * 4
    assert np.array_equal(clusters.kmeans(points, 4)[0], centres)


def test_no_more_clusters_than_colours():
    centres, labels = clusters.kmeans(np.array([[50.0, 0, 0]] * 5 + [[20.0, 0, 0]] * 2), 6)
    assert len(centres) == 2 and sorted(np.bincount(labels)) == [2, 5]


def test_k_is_the_least_that_is_near_enough():
    assert clusters.choose_k(np.array([30.0, 12, 6, 4.9, 5.1, 3])) == 4
    assert clusters.choose_k(np.array([30.0, 12, 6])) == 3
    assert clusters.choose_k(np.array([0.0])) == 1
