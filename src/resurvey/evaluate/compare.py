"""Paired comparisons: is a difference more than noise, and how small a one could be seen.

Intervals are percentile bootstrap over queries, p-values sign-flip randomisation (Smucker, Allan
and Carterette, CIKM 2007), families corrected by Holm (1979). Knows nothing about runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from resurvey.evaluate.measures import Scores
from resurvey.types import Comparison, Doubles, Interval

RESAMPLES = 9_999
BLOCK = 200
POWER = 0.8


def interval(values: Doubles, confidence: float = 0.95, seed: int = 13) -> Interval:
    """Percentile bootstrap interval of the mean of per-query values."""
    if len(values) < 2 or np.ptp(values) == 0:
        mean = float(values.mean()) if len(values) else 0.0
        return Interval(mean, mean, confidence) if len(values) > 1 else Interval(-np.inf, np.inf, confidence)
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=confidence, n_resamples=RESAMPLES, batch=BLOCK,
        method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Interval(float(found.confidence_interval.low), float(found.confidence_interval.high), confidence)


def randomisation_p(differences: Doubles, seed: int = 13) -> float:
    """Two-sided p of the mean difference when every query's sign may flip."""
    if len(differences) < 2 or not differences.any():
        return 1.0
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, batch=BLOCK,
        vectorized=True, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(found.pvalue)


def detectable(differences: Doubles, confidence: float = 0.95) -> float:
    """The mean difference that these queries would show with 80 % power (normal approximation)."""
    if len(differences) < 2:
        return float("inf")
    reach = float(stats.norm.ppf(1 - (1 - confidence) / 2) + stats.norm.ppf(POWER))
    return float(reach * differences.std(ddof=1) / np.sqrt(len(differences)))


def compare(baseline: Scores, challenger: Scores, *, confidence: float = 0.95, seed: int = 13) -> Comparison:
    """`challenger` against `baseline` over the same queries, uncorrected; see `holm`."""
    assert baseline.queries == challenger.queries, "a paired comparison needs the same queries"
    differences = challenger.values - baseline.values
    p = randomisation_p(differences, seed)
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
        interval=interval(differences, confidence, seed),
        p=p,
        p_corrected=p,
        detectable=detectable(differences, confidence),
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
