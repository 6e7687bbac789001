"""Geometry (R10, R11): how far apart random passages lie, and whether a few dimensions make their cosines.

Knows vectors and nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import bootstrap

from resurvey.diagnose.levels import band, finding
from resurvey.types import Doubles, Finding, Floats, Interval, Ints

PAIRS, MORE = 1000, 20_000
ROGUES = 3
"""Dimensions that are asked whether they alone make the cosines."""
RESAMPLES = 500
SAMPLE = 2000
COLLAPSED = 0.1
"""Share of the directions below which the effective rank says that vectors use only few of them."""
EDGES = np.linspace(-1, 1, 81)
"""Bins of the cosines' histograms."""


def random_pairs(vectors: Floats, seed: int, pairs: int = PAIRS) -> Doubles:
    """Cosines of so many random pairs of different rows."""
    left, right = _pairs(len(vectors), seed, pairs)
    return np.asarray(np.einsum("ij,ij->i", vectors[left], vectors[right]), dtype=np.float64)


def _pairs(count: int, seed: int, pairs: int = PAIRS) -> tuple[Ints, Ints]:
    """Pairs of different places below `count`."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, count, pairs)
    return left, (left + rng.integers(1, max(2, count), pairs)) % count


def effective_rank(vectors: Floats, seed: int) -> float:
    """Exponential of the entropy of the covariance's spectrum (Roy and Vetterli, 2007), on a sample."""
    rng = np.random.default_rng(seed)
    rows = vectors[rng.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)].astype(np.float64)
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    shares = values[values > 0] / max(values.sum(), 1e-12)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 1.0


def spread_finding(vectors: Floats, seed: int) -> Finding:
    """R10: standard deviation of random-pair cosines, with histogram and effective rank beside it.

    A thousand pairs, and `MORE` where those leave the level open: pairs cost nothing.
    """
    cosines = random_pairs(vectors, seed)
    around, row = _around(cosines, seed), band("R10-spread")
    if row.level(around.low) != row.level(around.high):
        cosines = random_pairs(vectors, seed, MORE)
        around = _around(cosines, seed)
    spread = float(cosines.std(ddof=1))
    counts = np.histogram(np.clip(cosines, -1, 1), bins=EDGES)[0]
    rank = effective_rank(vectors, seed)
    reading = (
        f"Random passages have cosine {cosines.mean():.2f} ± {spread:.2f}; effective rank {rank:.0f} of {vectors.shape[1]}. "
        "A narrow spread alone is no illness: models trained at a low temperature have it by design."
    )
    return finding(
        "R10-spread",
        spread,
        around,
        reading,
        queries=len(cosines),
        of="pairs",
        pairs=len(cosines),
        directions=min(vectors.shape[1], max(1, len(vectors) - 1)),
        mean=float(cosines.mean()),
        effective_rank=rank,
        histogram=counts.tolist(),
        edges=EDGES.tolist(),
    )


def together(spread: Finding, separation: Finding | None) -> Finding:
    """The spread levelled together with the effective rank and with how well relevant documents are told from random ones.

    Narrow cosines alone are no illness: models trained at a low temperature have them by design. They are one where the
    vectors use few directions, or where scores do not tell relevant documents apart; without judged queries the latter
    is not known.
    """
    widest = spread.interval.high if spread.interval else spread.value
    if widest is None or band(spread.id).level(widest) == "healthy":
        return spread  # what lies between the two ill bands is narrow, whichever it is
    rank, most = spread.evidence["effective_rank"], spread.evidence["directions"]
    used = f"{rank:.0f} of {most} directions are used"
    if rank < COLLAPSED * most:
        return replace(spread, reading=f"{spread.reading} It is one here: only {used}.")
    if separation is None or separation.level == "unknown":
        nobody = f"{used}; whether it harms here, judged queries would tell"
        return replace(
            spread, level="unknown", suggests="", reading=f"{spread.reading} {nobody[0].upper()}{nobody[1:]}."
        )
    told = f"relevant documents stand above random ones {100 * (separation.value or 0):.0f} % of the time"
    if separation.level == "healthy":
        return replace(
            spread, level="healthy", suggests="", reading=f"{spread.reading} Nor is it one here: {used}, and {told}."
        )
    return replace(spread, reading=f"{spread.reading} It may be one here: {told}.")


def _around(cosines: Doubles, seed: int) -> Interval:
    """95 % of their standard deviation, by resampling."""
    found = bootstrap(
        (cosines,), lambda x, axis: x.std(axis=axis, ddof=1), n_resamples=RESAMPLES, batch=50, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))


def rogue_finding(vectors: Floats, seed: int) -> Finding:
    """R11: how much of random pairs' cosines the three largest dimensions make (Timkey and van Schijndel, EMNLP 2021).

    A dimension's contribution is its mean product over the pairs; the share is that of the largest three among all
    contributions, by size. Centring and standardising are shown beside; both take rogue dimensions away.
    """
    rng = np.random.default_rng(seed)
    rows = vectors[np.sort(rng.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False))].astype(np.float64)
    centred = rows - rows.mean(axis=0)
    standard = centred / np.maximum(centred.std(axis=0), 1e-12)
    products = _products(rows, seed)
    share, largest = _largest(products.mean(axis=0))
    weights = rng.multinomial(PAIRS, np.full(PAIRS, 1 / PAIRS), RESAMPLES) / PAIRS
    drawn = np.array([_largest(row)[0] for row in weights @ products])
    around = Interval(*(float(value) for value in np.quantile(drawn, (0.025, 0.975))))
    after = {
        name: _largest(_products(moved, seed).mean(axis=0))[0]
        for name, moved in (("centred", centred), ("standardised", standard))
    }
    beside = ", ".join(f"{100 * value:.0f} % {name}" for name, value in after.items())
    reading = (
        f"The {len(largest)} largest of {rows.shape[1]} dimensions ({', '.join(map(str, largest))}) make {100 * share:.0f} % of "
        f"random passages' cosines ({beside}; {100 * len(largest) / rows.shape[1]:.1f} % if all were alike)."
    )
    return finding("R11-rogue", share, around, reading, dimensions=largest, after=after)


def _products(rows: Doubles, seed: int) -> Doubles:
    """(PAIRS, dimensions): what every dimension adds to the cosine of a random pair."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    left, right = _pairs(len(unit), seed)
    return np.asarray(unit[left] * unit[right], dtype=np.float64)


def _largest(contributions: Doubles) -> tuple[float, list[int]]:
    sizes = np.abs(contributions)
    chosen = np.argsort(-sizes, kind="stable")[:ROGUES]
    return float(sizes[chosen].sum() / max(sizes.sum(), 1e-12)), chosen.tolist()
