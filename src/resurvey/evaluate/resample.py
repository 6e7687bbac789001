"""Resampling queries as matrix products: bootstrap means and sign-flip p-values of many columns at once.

scipy's `bootstrap` and `permutation_test` say the same and are what the tests hold this against; they take one
column at a time and 2 and 20 seconds for 10,000 queries, where this takes a tenth of a second for all columns
(docs/decisions.md). Memory: blocks of at most CELLS cells beside a few copies of the values. BLAS gets one thread:
blocks this small lose by more, on a busy machine fifty times. Knows columns of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from resurvey.types import Doubles

RESAMPLES = 9_999
CELLS = 1 << 18
"""Cells of a block of resamples: with 8 bytes each it stays in a core's cache."""
WIDE = 1 << 24
"""Cells of all the orders of some columns together."""
ORDERS = 8
"""Orders of the queries that every draw of counts is used with, …"""
MANY = 1_000
"""… from so many queries on."""
EQUAL = 1e-12
"""Sums nearer than this share of the largest possible sum are the same: rounding made the difference."""


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def means(values: Doubles, seed: int) -> Doubles:
    """Means of RESAMPLES bootstrap resamples of the rows (Efron and Tibshirani 1993, chapter 13).

    Drawing n of n queries with replacement gives each a count; the means of all columns are counts @ values / n.
    Drawing is what costs, so from MANY queries on every draw is dealt out to ORDERS random orders of the queries:
    each mean is still that of a true resample, and any two that share their counts are next to uncorrelated.

    Args:
        values: (queries, columns), at least one query.

    Returns:
        (RESAMPLES, columns), the same resamples for every column.
    """
    rows, columns = values.shape
    orders = ORDERS if rows >= MANY else 1
    width = max(1, WIDE // (rows * orders))
    with _threads().limit(limits=1, user_api="blas"):
        parts = [_means(values[:, start : start + width], orders, seed) for start in range(0, columns, width)]
    return np.concatenate([np.zeros((RESAMPLES, 0)), *parts], axis=1)


def _means(values: Doubles, orders: int, seed: int) -> Doubles:
    rows, columns = values.shape
    rng = np.random.default_rng(seed)
    shuffled = [np.arange(rows), *(rng.permutation(rows) for _ in range(orders - 1))]
    wide = np.concatenate([values[order] for order in shuffled], axis=1)
    found = np.empty((-(-RESAMPLES // orders), orders * columns))
    for start, size in _blocks(len(found), rows):
        drawn = rng.integers(0, rows, (size, rows))
        drawn += np.arange(0, size * rows, rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
        found[start : start + size] = counts.astype(np.float64) @ wide
    return np.asarray(found.reshape(-1, columns)[:RESAMPLES] / rows)


def sign_flip_p(differences: Doubles, seed: int) -> Doubles:
    """Two-sided p of every column's mean when each row's sign may flip (Smucker, Allan and Carterette, CIKM 2007).

    Exact over all 2^rows patterns where they are no more than RESAMPLES, else over RESAMPLES random ones and the one
    that was seen. The smaller tail doubled, as `scipy.stats.permutation_test` counts it.

    Args:
        differences: (queries, columns), at least one query.

    Returns:
        (columns,)
    """
    rows, columns = differences.shape
    whole = 2**rows if rows <= RESAMPLES.bit_length() else RESAMPLES + 1
    exact = whole <= RESAMPLES
    seen = differences.sum(axis=0)
    reach = EQUAL * np.abs(differences).sum(axis=0)
    below, above = np.zeros(columns), np.zeros(columns)
    rng = np.random.default_rng(seed)
    with _threads().limit(limits=1, user_api="blas"):
        for start, size in _blocks(whole if exact else RESAMPLES, rows):
            bits = _patterns(start, size, rows) if exact else _random_bits(rng, size, rows)
            sums = 2 * (bits.astype(np.float64) @ differences) - seen  # 1 keeps a sign, 0 flips it
            below += (sums <= seen + reach).sum(axis=0)
            above += (sums >= seen - reach).sum(axis=0)
    tail = np.minimum(below, above)
    return np.minimum(1.0, 2 * (tail / whole if exact else (tail + 1) / (RESAMPLES + 1)))


def _patterns(start: int, size: int, rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """The bits of the numbers from `start` on, (size, rows)."""
    numbers = np.arange(start, start + size)
    return ((numbers[:, None] >> np.arange(rows)) & 1).astype(np.uint8)


def _random_bits(rng: np.random.Generator, size: int, rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    packed = np.frombuffer(rng.bytes(size * -(-rows // 8)), dtype=np.uint8).reshape(size, -1)
    return np.unpackbits(packed, axis=1, count=rows)


def _blocks(many: int, rows: int) -> Iterator[tuple[int, int]]:
    """(start, size) of blocks of at most CELLS cells."""
    most = max(1, CELLS // rows)
    for start in range(0, many, most):
        yield start, min(most, many - start)
