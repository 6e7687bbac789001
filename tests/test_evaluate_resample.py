"""Intervals and p-values mean what scipy's mean, for one column or many, in blocks or whole."""

from __future__ import annotations

import itertools
import tracemalloc
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from scipy import stats

from resurvey.evaluate import resample
from resurvey.evaluate.compare import compare, compare_all, interval, intervals, randomisation_p
from resurvey.evaluate.measures import Scores
from resurvey.types import Doubles, Interval

SOME = tried(max_examples=60, deadline=None, derandomize=True, database=None)


def scores(values: Doubles, name: str) -> Scores:
    return Scores(name, "nDCG@10", tuple(f"q{n}" for n in range(len(values))), values)


def brute_p(differences: list[float]) -> float:
    """Share of all sign patterns whose mean is at least as far from 0."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    means = np.abs(signs @ np.array(differences))
    return float(np.mean(means >= abs(sum(differences)) - 1e-9))


@pytest.mark.parametrize(
    "differences",
    [
        [1.0] * 5,
        [1.0, 2.0, 3.0],
        [-1.0, -2.0, -4.0, -8.0, 0.5],
        [0.3, -0.1, 0.2, 0.4, -0.25, 0.15, 0.6],
        [0.2],
        [0.1, 0.0, 0.0],
    ],
)
def test_the_randomisation_p_is_the_share_of_sign_patterns(differences: list[float]) -> None:
    assert randomisation_p(np.array(differences)) == pytest.approx(brute_p(differences))


def test_the_randomisation_p_of_many_queries_is_near_the_exact_one() -> None:
    differences = np.random.default_rng(3).normal(0.45, 0.5, 15)
    exact = brute_p(differences.tolist())
    assert 0.01 < exact < 0.2
    assert randomisation_p(differences) == pytest.approx(exact, abs=0.015)
    assert randomisation_p(differences, seed=5) == randomisation_p(differences, seed=5)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_no_difference_at_all_has_p_one(count: int) -> None:
    assert randomisation_p(np.zeros(count)) == 1.0


def test_without_an_effect_one_p_in_ten_is_below_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resurvey.evaluate.resample.RESAMPLES", 199)
    rng = np.random.default_rng(0)
    found = [randomisation_p(rng.uniform(-1, 1, 30), seed) for seed in range(300)]
    assert np.mean(np.array(found) < 0.1) == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch, confidence: float
) -> None:
    monkeypatch.setattr("resurvey.evaluate.resample.RESAMPLES", 299)
    rng = np.random.default_rng(11)
    covered = [2 / 7 in interval(rng.beta(2, 5, 60), confidence, seed) for seed in range(300)]
    assert np.mean(covered) == pytest.approx(confidence, abs=0.045)


def test_the_interval_is_near_the_normal_one_and_repeats() -> None:
    values = np.random.default_rng(2).normal(0.5, 0.2, 200)
    found = interval(values)
    reach = 1.96 * values.std(ddof=1) / sqrt(200)
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.1 * reach)
    assert found.confidence == 0.95
    assert interval(values) == found != interval(values, seed=14)
    assert found.low < interval(values, 0.8).low < interval(values, 0.8).high < found.high


def test_an_interval_of_equal_values_is_a_point_and_of_one_value_everything() -> None:
    assert interval(np.full(5, 0.25)) == Interval(0.25, 0.25, 0.95)
    for few in (np.zeros(0), np.array([0.3])):
        assert interval(few, 0.9) == Interval(-inf, inf, 0.9)


def scipy_p(differences: Doubles, resamples: int = 9_999) -> float:
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=resamples, batch=200, rng=np.random.default_rng(1)
    )  # fmt: skip
    return float(found.pvalue)


@SOME
@given(st.lists(st.integers(-8, 8), min_size=2, max_size=13))
def test_up_to_thirteen_queries_every_sign_pattern_is_counted_as_scipy_counts_it(eighths: list[int]) -> None:
    differences = np.array(eighths) / 8
    assert randomisation_p(differences) == pytest.approx(scipy_p(differences) if differences.any() else 1.0)
    assert randomisation_p(differences) == randomisation_p(differences, seed=99)


def test_the_last_exact_size_is_the_last_that_fits_the_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "RESAMPLES", 128)
    rng = np.random.default_rng(8)
    seven, eight = rng.normal(0.2, 1, 7), rng.normal(0.2, 1, 8)
    assert randomisation_p(seven) == pytest.approx(scipy_p(seven, 128)) == randomisation_p(seven, seed=1)
    assert (randomisation_p(eight) * 129 / 2) == pytest.approx(round(randomisation_p(eight) * 129 / 2))
    assert len({randomisation_p(eight, seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("tenths", [[6, 4, 6, -2, 2], [2, 0, -3, -2, -6, -6, -6], [1, 0, -2, 3, -1, -2]])
def test_sums_that_are_equal_but_for_rounding_are_equal(tenths: list[int]) -> None:
    assert randomisation_p(np.array(tenths) / 10) == brute_p([float(tenth) for tenth in tenths])


@pytest.mark.parametrize("queries", [40, 300, 2500])
def test_many_queries_get_scipys_interval_and_p(queries: int) -> None:
    rng = np.random.default_rng(queries)
    values = np.where(rng.random(queries) < 0.4, 0, rng.beta(2, 1, queries))
    values -= values.mean() - 1.6 * values.std() / sqrt(queries)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=9_999, batch=50, method="percentile", rng=rng)
    ours, reach = interval(values), np.ptp(np.array(theirs.confidence_interval))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * reach)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * reach)
    assert resample.means(values[:, None], 1).std() == pytest.approx(theirs.standard_error, rel=0.03)
    if queries < 1_000:  # slow there
        assert randomisation_p(values) == pytest.approx(scipy_p(values), abs=0.015)
    assert randomisation_p(values) == pytest.approx(2 * stats.norm.sf(values.mean() / stats.sem(values)), abs=0.015)


@pytest.mark.parametrize("queries", [30, resample.MANY])
def test_every_resample_draws_each_query_as_often_as_chance_has_it(
    queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resample, "RESAMPLES", 79)
    counts = resample.means(np.eye(queries), 3) * queries
    assert counts.shape == (79, queries)
    assert counts == pytest.approx(np.round(counts), abs=1e-9)
    assert counts.sum(axis=1) == pytest.approx(np.full(79, queries))
    assert counts.var() == pytest.approx(1 - 1 / queries, abs=0.1)
    between = np.corrcoef(counts)[np.triu_indices(79, 1)]
    assert np.abs(between).max() < 5 / sqrt(queries)


def test_columns_share_their_resamples_and_get_what_each_gets_alone() -> None:
    values = np.random.default_rng(6).random((60, 3))
    values[:, 2] = values[:, 0] + 0.5
    values = np.column_stack([values, np.full(60, 0.25)])
    found = intervals(values, 0.9, 4)
    for column, one in zip(values.T, found, strict=True):
        assert (one.low, one.high) == pytest.approx(
            (interval(column, 0.9, 4).low, interval(column, 0.9, 4).high), abs=1e-12
        )
        assert one.confidence == 0.9
    assert (found[2].low, found[2].high) == pytest.approx((found[0].low + 0.5, found[0].high + 0.5), abs=1e-12)
    assert found[3] == Interval(0.25, 0.25, 0.9)
    assert intervals(np.zeros((1, 2))) == [Interval(-inf, inf)] * 2
    assert intervals(np.zeros((5, 0))) == []


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).normal(0.1, 1, (1_200, 3))
    means, flips = resample.means(values, 5), resample.sign_flip_p(values, 5)
    monkeypatch.setattr(resample, "WIDE", 1)
    assert resample.means(values, 5) == pytest.approx(means, abs=1e-12)
    monkeypatch.setattr(resample, "CELLS", 12_000)
    assert resample.means(values, 5) == pytest.approx(means, abs=1e-12)
    monkeypatch.setattr(resample, "CELLS", 1)
    few = values[:8]
    assert resample.sign_flip_p(few, 5) == pytest.approx([scipy_p(column) for column in few.T])
    assert np.ptp(flips) > 0


def test_memory_does_not_grow_with_queries_times_resamples() -> None:
    values = np.random.default_rng(0).normal(0.01, 1, (3_000, 4))
    tracemalloc.start()
    intervals(values)
    resample.sign_flip_p(values, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000 < resample.RESAMPLES * values.shape[0]  # bytes; less than one a cell


def test_all_challengers_at_once_are_compared_as_one_by_one() -> None:
    rng = np.random.default_rng(9)
    base = scores(rng.random(50), "base")
    others = [scores(rng.random(50), "one"), base, scores(base.values + 0.125, "better")]
    together = compare_all(base, others, confidence=0.9, seed=2)
    for found, other in zip(together, others, strict=True):
        alone = compare(base, other, confidence=0.9, seed=2)
        assert (found.challenger, found.p, found.detectable) == (alone.challenger, alone.p, alone.detectable)
        assert (found.interval.low, found.interval.high) == pytest.approx((alone.interval.low, alone.interval.high))
    assert [found.p for found in together[1:]] == [1.0, 2 / 10_000]
    assert together[1].interval == Interval(0, 0, 0.9)
    assert compare_all(base, []) == []
    with pytest.raises(AssertionError, match="the same queries"):
        compare_all(base, [scores(np.ones(49), "short")])
