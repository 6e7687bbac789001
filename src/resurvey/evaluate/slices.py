"""Slices: named groups of queries that a mean may hide.

Knows queries, judgments and which documents training has seen; knows nothing about scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.types import Query


@dataclass(frozen=True, slots=True)
class Facts:
    """What slices are cut by: for every query its length in words, literal tokens, and novelty."""

    lengths: Mapping[str, int]
    literal: frozenset[str]
    """Queries with a token that looks like a code or identifier."""
    unseen: frozenset[str]
    """Queries whose relevant documents no training query names."""


def facts(queries: Sequence[Query], literals: Callable[[str], Sequence[str]], unseen: frozenset[str]) -> Facts:
    """Measure the queries once; `literals` finds the identifier-like tokens of a text."""
    lengths = {query.id: len(query.text.split()) for query in queries}
    return Facts(lengths, frozenset(q.id for q in queries if literals(q.text)), unseen)


def slices(facts: Facts) -> dict[str, tuple[str, ...]]:
    """Slice name to its queries; empty slices are left out, so are those that hold everything."""
    queries = tuple(facts.lengths)
    if not queries:
        return {}
    low, high = np.quantile(list(facts.lengths.values()), [1 / 3, 2 / 3])
    named = {
        "with literal tokens": [q for q in queries if q in facts.literal],
        "without literal tokens": [q for q in queries if q not in facts.literal],
        "short queries": [q for q in queries if facts.lengths[q] <= low],
        "long queries": [q for q in queries if facts.lengths[q] > high],
        "documents seen in training": [q for q in queries if q not in facts.unseen],
        "documents unseen in training": [q for q in queries if q in facts.unseen],
    }
    return {name: tuple(group) for name, group in named.items() if 0 < len(group) < len(queries)}
