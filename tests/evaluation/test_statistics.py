import numpy as np
import pytest

from comics_genai.evaluation.statistics import (
    clopper_pearson,
    cohens_d,
    hierarchical_bootstrap,
    holm,
    nested_mean,
    sign_flip_test,
    tost,
)


def test_groups_of_unequal_size_weigh_the_same():
    values = np.array([1.0, 1.0, 1.0, 1.0, 5.0])
    characters = ["a", "a", "a", "a", "b"]
    assert nested_mean(values, [characters]) == pytest.approx(3.0)
    # a: seeds (1, 1) and (4), means 1 and 4; b: 0.
    values, characters, seeds = np.array([1.0, 1.0, 4.0, 0.0]), list("aaab"), [0, 0, 1, 0]
    assert nested_mean(values, [characters, seeds]) == pytest.approx((2.5 + 0) / 2)


def test_labels_are_told_apart_within_their_parent_only():
    values = np.array([0.0, 2.0, 4.0, 6.0])
    same = hierarchical_bootstrap(values, [list("aabb"), [0, 1, 0, 1]])
    other = hierarchical_bootstrap(values, [list("aabb"), [0, 1, 2, 3]])
    assert same == other


def test_order_of_the_records_changes_nothing_but_the_draws():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=60), [np.repeat(np.arange(6), 10), np.tile(np.repeat(np.arange(2), 5), 6)]
    shuffled = rng.permutation(60)
    straight = hierarchical_bootstrap(values, groups)
    mixed = hierarchical_bootstrap(values[shuffled], [g[shuffled] for g in groups])
    assert mixed.mean == pytest.approx(straight.mean)
    assert (mixed.low, mixed.high) == pytest.approx((straight.low, straight.high), abs=0.03)


def test_without_levels_it_is_the_plain_bootstrap():
    values = np.random.default_rng(1).normal(3, 2, 400)
    interval = hierarchical_bootstrap(values, [])
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_identical_records_within_characters_give_the_bootstrap_of_characters():
    means = np.array([0.0, 1.0])
    interval = hierarchical_bootstrap(np.repeat(means, 50), [np.repeat([0, 1], 50)])
    # Two characters: the resampled mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.5, 0.0, 1.0))
    pooled = hierarchical_bootstrap(np.repeat(means, 50), [])
    assert pooled.high - pooled.low < 0.25


def test_one_character_speaks_of_its_prompts_only():
    values = np.repeat([0.2, 0.4, 0.6, 0.8], 3)
    interval = hierarchical_bootstrap(values, [np.zeros(12), np.repeat(np.arange(4), 3)])
    assert interval.mean == pytest.approx(0.5)
    assert (interval.low, interval.high) == pytest.approx((0.3, 0.7), abs=0.051)


def test_columns_share_the_resamples():
    values = np.random.default_rng(2).normal(size=(40, 1))
    groups = [np.repeat(np.arange(8), 5)]
    first, second = hierarchical_bootstrap(np.hstack([values, 2 * values + 1]), groups)
    alone = hierarchical_bootstrap(values[:, 0], groups)
    assert (first.mean, first.low, first.high) == pytest.approx((alone.mean, alone.low, alone.high))
    assert (second.low, second.high) == pytest.approx((2 * first.low + 1, 2 * first.high + 1))


def test_chunks_of_resamples_change_nothing_in_law(monkeypatch):
    values, groups = np.random.default_rng(3).normal(size=100), [np.repeat(np.arange(10), 10)]
    whole = hierarchical_bootstrap(values, groups)
    monkeypatch.setattr("comics_genai.evaluation.statistics.DRAWS_AT_ONCE", 1000)
    chunked = hierarchical_bootstrap(values, groups)
    assert (chunked.low, chunked.high) == pytest.approx((whole.low, whole.high), abs=0.02)


def test_intervals_cover_the_truth_in_a_nested_design_and_plain_ones_do_not():
    rng = np.random.default_rng(4)
    characters, seeds, pictures = 20, 3, 8
    groups = [np.repeat(np.arange(characters), seeds * pictures), np.repeat(np.arange(characters * seeds), pictures)]
    covered = {"nested": 0, "plain": 0}
    trials = 100
    for _ in range(trials):
        effect = rng.normal(0, 1, characters)[groups[0]] + rng.normal(0, 0.5, characters * seeds)[groups[1]]
        values = effect + rng.normal(0, 1, len(effect))
        for name, levels in (("nested", groups), ("plain", [])):
            interval = hierarchical_bootstrap(values, levels, resamples=200)
            covered[name] += interval.low <= 0 <= interval.high
    assert 0.90 <= covered["nested"] / trials <= 0.99
    assert covered["plain"] / trials < 0.65


def test_missing_labels_are_refused():
    with pytest.raises(ValueError, match="one label for each of the 3 records"):
        hierarchical_bootstrap(np.ones(3), [[0, 1]])


def test_sign_flip_p_values_by_hand():
    # Of 2^3 sums only +++ and --- reach |6|; of 2^4 with one 0 they come twice.
    assert sign_flip_test([1, 2, 3]) == 2 / 8
    assert sign_flip_test([1, 2, 3, 0]) == 4 / 16
    # |sum| = 4 is reached by 3+2-1, 3+2+1 and their mirrors.
    assert sign_flip_test([-1, 2, 3]) == 4 / 8
    assert sign_flip_test([0.1] * 10) == 2 / 1024
    assert sign_flip_test([0.0, 0.0]) == 1.0 and sign_flip_test([2.0]) == 1.0


def test_sign_flips_beyond_sixteen_are_random_and_near_the_exact_share():
    differences = np.random.default_rng(5).normal(0.4, 1, 17)
    signs = 1 - 2 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)
    exact = (np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean()
    assert 0.01 < exact < 0.9
    assert sign_flip_test(differences, flips=20_000) == pytest.approx(exact, abs=0.01)
    assert sign_flip_test(differences, flips=20_000) == sign_flip_test(differences, flips=20_000)
    assert sign_flip_test([1.0] * 20, flips=999) == 2 / 1000


def test_tost_tells_equal_from_unknown():
    # Shifted by the margin all ten differences are positive: one pattern of 1024 on each side.
    small = [0.01, -0.02, 0.015, 0.0, -0.01, 0.02, -0.015, 0.005, -0.005, 0.01]
    assert tost(small, margin=0.05) == 1 / 1024
    assert tost([0.2] * 10, margin=0.05) == 1.0
    assert tost([0.1, -0.1] * 5, margin=0.05) > 0.05
    with pytest.raises(ValueError, match="above 0"):
        tost(small, margin=0)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert list(holm({"z": 0.5, "a": 0.01})) == ["z", "a"]


def test_cohens_d_of_paired_differences():
    assert cohens_d([1, 2, 3]) == pytest.approx(2.0)
    assert np.isnan(cohens_d([1, 1, 1])) and np.isnan(cohens_d([1]))


def test_nothing_of_24_is_not_nothing():
    none, all_, half = clopper_pearson(0, 24), clopper_pearson(24, 24), clopper_pearson(12, 24)
    assert (none.mean, none.low) == (0, 0) and none.high == pytest.approx(1 - 0.025 ** (1 / 24))
    assert (all_.mean, all_.high) == (1, 1) and all_.low == pytest.approx(0.025 ** (1 / 24))
    assert half.low == pytest.approx(1 - half.high) and half.low < 0.3
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(5, 4)
