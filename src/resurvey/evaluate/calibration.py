"""How far probabilities can be believed: calibration error, its noise, the coverage-risk curve, and the area under ROC.

Knows probabilities and what came true; knows nothing about where either came from.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from resurvey.types import Bools, Doubles, Floats

BINS = 15
"""Of equal numbers of predictions; fewer where a bin would hold fewer than LEAST."""
LEAST = 10
DRAWS = 200


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about one size: how many, what they said on average, what share came true."""

    count: int
    said: float
    true: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Expected calibration error, the error that perfect probabilities would show on as many, and the bins."""

    error: float
    noise: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Risk:
    """Answering only from a probability on: the share answered, and the share of those that are wrong."""

    threshold: float
    coverage: float
    risk: float


def calibration(said: Doubles, true: Bools, seed: int = 13) -> Calibrated:
    """Expected calibration error over bins of equal numbers of predictions.

    Args:
        said: probabilities.
        true: whether each came true; parallel.
    """
    assert len(said), "something must have been predicted"
    order = np.argsort(said, kind="stable")
    said, outcome = said[order], true[order].astype(np.float64)
    edges = _edges(len(said))
    rng = np.random.default_rng(seed)
    drawn = [_error(said, (rng.random(len(said)) < said).astype(np.float64), edges) for _ in range(DRAWS)]
    parts = itertools.pairwise(edges)
    bins = tuple(Bin(int(b - a), float(said[a:b].mean()), float(outcome[a:b].mean())) for a, b in parts)
    return Calibrated(_error(said, outcome, edges), float(np.mean(drawn)), bins)


def coverage_risk(said: Doubles, true: Bools, points: int = 21) -> tuple[Risk, ...]:
    """The curve from answering everything to answering only what is surest; equal probabilities stand or fall together."""
    found = []
    for threshold in np.unique(np.quantile(said, np.linspace(0, 1, points)[:-1], method="lower")):
        kept = said >= threshold
        found.append(Risk(float(threshold), float(kept.mean()), float(1 - true[kept].mean())))
    return tuple(found)


def auc(higher: Floats | Doubles, lower: Floats | Doubles) -> float:
    """Probability that a value of the first exceeds one of the second, ties counting half; nan where one is empty."""
    if not len(higher) or not len(lower):
        return float("nan")
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.mean() / (2 * len(lower)))


def _edges(count: int) -> list[int]:
    bins = max(1, min(BINS, count // LEAST))
    return [int(edge) for edge in np.linspace(0, count, bins + 1).round()]


def _error(said: Doubles, outcome: Doubles, edges: list[int]) -> float:
    gaps = np.add.reduceat(said - outcome, edges[:-1])
    return float(np.abs(gaps).sum() / len(said))
