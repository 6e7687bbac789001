"""Paired comparisons: is a difference more than noise, and how small a one could be seen.

Intervals are percentile bootstrap over queries (Efron and Tibshirani 1993, chapter 13), p-values sign-flip
randomisation (Smucker, Allan and Carterette, CIKM 2007), families corrected by Holm (1979). Many columns share one
set of resamples. Knows nothing about runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from resurvey.evaluate import resample
from resurvey.evaluate.measures import Scores
from resurvey.types import Comparison, Doubles, Interval

POWER = 0.8


def interval(values: Doubles, confidence: float = 0.95, seed: int = 13) -> Interval:
    """Percentile bootstrap interval of the mean of per-query values, (queries,)."""
    return intervals(np.asarray(values)[:, None], confidence, seed)[0]


def intervals(values: Doubles, confidence: float = 0.95, seed: int = 13) -> list[Interval]:
    """`interval` of every column of `values`, (queries, columns), all from the same resamples.

    Equal values give a point, fewer than two queries everything.
    """
    if len(values) < 2:
        return [Interval(-np.inf, np.inf, confidence)] * values.shape[1]
    ends = np.tile(values.mean(axis=0), (2, 1))
    varied = np.ptp(values, axis=0) > 0
    if varied.any():
        tail = (1 - confidence) / 2
        ends[:, varied] = np.quantile(resample.means(values[:, varied], seed), [tail, 1 - tail], axis=0)
    return [Interval(float(low), float(high), confidence) for low, high in ends.T]


def randomisation_p(differences: Doubles, seed: int = 13) -> float:
    """Two-sided p of the mean difference when every query's sign may flip; (queries,)."""
    return float(_p(differences[:, None], seed)[0])


def _p(differences: Doubles, seed: int) -> Doubles:
    """(columns,) of (queries, columns)."""
    return resample.sign_flip_p(differences, seed) if len(differences) > 1 else np.ones(differences.shape[1])


def detectable(differences: Doubles, confidence: float = 0.95) -> float:
    """The mean difference that these queries would show with 80 % power (normal approximation)."""
    if len(differences) < 2:
        return float("inf")
    reach = NormalDist().inv_cdf(1 - (1 - confidence) / 2) + NormalDist().inv_cdf(POWER)
    return float(reach * differences.std(ddof=1) / np.sqrt(len(differences)))


def compare(baseline: Scores, challenger: Scores, *, confidence: float = 0.95, seed: int = 13) -> Comparison:
    """`challenger` against `baseline` over the same queries, uncorrected; see `holm`."""
    return compare_all(baseline, [challenger], confidence=confidence, seed=seed)[0]


def compare_all(
    baseline: Scores, challengers: Sequence[Scores], *, confidence: float = 0.95, seed: int = 13
) -> list[Comparison]:
    """Every challenger against `baseline` over the same queries, uncorrected, all from the same resamples."""
    assert all(c.queries == baseline.queries for c in challengers), "a paired comparison needs the same queries"
    if not challengers:
        return []
    differences = np.column_stack([challenger.values - baseline.values for challenger in challengers])
    found, chances = intervals(differences, confidence, seed), _p(differences, seed).tolist()
    return [
        _comparison(baseline, challenger, column, between, p)
        for challenger, column, between, p in zip(challengers, differences.T, found, chances, strict=True)
    ]


def _comparison(baseline: Scores, challenger: Scores, differences: Doubles, found: Interval, p: float) -> Comparison:
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return Comparison(
        baseline=baseline.name,
        challenger=challenger.name,
        measure=baseline.measure,
        queries=len(differences),
        baseline_mean=baseline.mean,
        challenger_mean=challenger.mean,
        difference=float(differences.mean()) if len(differences) else 0.0,
        standard_error=spread / max(1, len(differences)) ** 0.5,
        interval=found,
        p=p,
        p_corrected=p,
        detectable=detectable(differences, found.confidence),
    )


def holm(family: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with Holm's step-down correction over the family."""
    order = sorted(range(len(family)), key=lambda place: family[place].p)
    corrected = list(family)
    largest = 0.0
    for step, place in enumerate(order):
        largest = max(largest, min(1.0, family[place].p * (len(family) - step)))
        corrected[place] = replace(family[place], p_corrected=largest)
    return corrected
