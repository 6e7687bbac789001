"""Signals (R20): what a field that tells relevant documents from wrong ones would bring, as a boost or as a filter.

Learned on half of the queries and measured on the other half, both ways round. A measurement, not a treatment: the
`metadata` rung fits its own. Knows a run, judgments and numbers for documents; nothing about fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.evaluate.compare import interval
from resurvey.evaluate.measures import NDCG, score
from resurvey.search.boost import boosted
from resurvey.types import Bools, Doubles, Ints, Json, Qrels, Query, Ranking, Run

WEIGHTS = (0.25, 0.5, 1.0, 2.0)
"""Standard deviations of the cosines that one of the field is tried to be worth."""


@dataclass(frozen=True, slots=True)
class Taught:
    """What half of the queries taught of a field."""

    worth: Doubles
    """(documents,): how relevant its value makes a document."""
    never: Bools
    """(documents,): whether its value was found often and was never right."""


def effects(
    run: Run, queries: Sequence[Query], qrels: Qrels, rows: Mapping[str, int], side: Ints, taught: Sequence[Taught]
) -> list[Json]:
    """Points of NDCG@10 that a boost brings, and a filter where it would leave anything out, with intervals.

    Args:
        rows: the row of every document id.
        side: the half of every query, 0 or 1.
        taught: for either half, what the other one taught.
    """
    asked = {query.id: qrels[query.id] for query in queries}
    plain = score(run, asked, [NDCG])[NDCG].of([query.id for query in queries])
    moved: dict[str, Run] = {}
    weights = [_weight(run, queries, qrels, rows, side == 1 - half, taught[half]) for half in (0, 1)]
    rankings = {q.id: run[q.id] for q in queries}
    halves = {query.id: int(half) for query, half in zip(queries, side, strict=True)}
    moved["boost"] = Run(
        "boost", {id: _boosted(found, rows, taught[halves[id]], weights[halves[id]]) for id, found in rankings.items()}
    )
    if any(one.never.any() for one in taught):
        moved["filter"] = Run("filter", {id: _left(found, rows, taught[halves[id]]) for id, found in rankings.items()})
    told = []
    for kind, other in moved.items():
        gains = 100 * (score(other, asked, [NDCG])[NDCG].of([query.id for query in queries]) - plain)
        around = interval(gains)
        told.append({"kind": kind, "points": float(gains.mean()), "low": around.low, "high": around.high})
    return told


def _weight(
    run: Run, queries: Sequence[Query], qrels: Qrels, rows: Mapping[str, int], teaches: Bools, taught: Taught
) -> float:
    """The weight that serves the half which teaches best; 0 where none helps it."""
    some = [query for query, one in zip(queries, teaches, strict=True) if one]
    asked = {query.id: qrels[query.id] for query in some}
    means = {0.0: score(run, asked, [NDCG])[NDCG].mean} if some else {0.0: 0.0}
    for weight in WEIGHTS if some else ():
        tried = Run("boost", {query.id: _boosted(run[query.id], rows, taught, weight) for query in some})
        means[weight] = score(tried, asked, [NDCG])[NDCG].mean
    return max(means, key=lambda weight: means[weight])


def _boosted(ranking: Ranking, rows: Mapping[str, int], taught: Taught, weight: float) -> Ranking:
    spread = float(taught.worth.std())
    if not weight or not spread:
        return ranking
    worth = (taught.worth - taught.worth.mean()) / spread
    return boosted(ranking, weight * np.array([worth[rows[d]] if d in rows else 0.0 for d in ranking.documents]))


def _left(ranking: Ranking, rows: Mapping[str, int], taught: Taught) -> Ranking:
    """The ranking without what was never right."""
    kept = np.array([d not in rows or not taught.never[rows[d]] for d in ranking.documents], dtype=np.bool_)
    documents = [document for document, one in zip(ranking.documents, kept, strict=True) if one]
    return Ranking(documents, ranking.scores[kept])
