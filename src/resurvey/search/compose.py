"""Composition: `a >> b` runs retriever a, then lets reranker b reorder what it found.

A piece that does not fit is refused when the pipeline is built, not when it is run. Knows nothing
about what the pieces do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resurvey.protocols import Reranker, Retriever
from resurvey.types import Floats, Ints, Query, Ranking, Run, Stage


class Composable:
    """Gives a retriever its `>>`."""

    def __rshift__(self, second: Reranker) -> Then:
        if not callable(getattr(second, "rerank", None)):
            raise TypeError(f"{type(second).__name__} cannot stand after >>: it has no rerank()")
        if not callable(getattr(self, "search", None)):
            raise TypeError(f"{type(self).__name__} cannot stand before >>: it has no search()")
        return Then(self, second)  # type: ignore[arg-type]  # checked just above


class Then(Composable):
    """A retriever followed by a reranker; itself a retriever."""

    def __init__(self, first: Retriever, second: Reranker) -> None:
        self.first = first
        self.second = second
        self.name = f"{first.name} >> {second.name}"

    def search(self, queries: Sequence[Query]) -> Run:
        """What `first` finds, as `second` orders it."""
        return self.second.rerank(queries, self.first.search(queries))


def best(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Rows of the `k` highest scores, highest first, equal ones by row, and the scores."""
    k = min(k, len(scores))
    if k == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, level = np.flatnonzero(scores > last), np.flatnonzero(scores == last)
    rows = np.concatenate([above[np.argsort(-scores[above], kind="stable")], level[: k - len(above)]])
    return rows.astype(np.int64), scores[rows].astype(np.float32)


def ranges(starts: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """The whole numbers from each start on, `counts` of them, one range after another; and where each range begins."""
    firsts = np.cumsum(counts) - counts
    return np.repeat(starts - firsts, counts) + np.arange(int(counts.sum())), firsts


def first_stage(name: str, documents: Sequence[str], scores: Floats) -> Ranking:
    """A ranking that only one stage, `name`, has seen."""
    ranks = np.arange(1, len(documents) + 1, dtype=np.int64)
    return Ranking(documents, scores, {name: Stage(ranks, scores)})


def reordered(ranking: Ranking, scores: Floats, name: str) -> Ranking:
    """The ranking ordered by new scores (equal ones keep their order), with them as stage `name`."""
    order = np.argsort(-scores, kind="stable")
    ranks = np.arange(1, len(order) + 1, dtype=np.int64)
    stages = {k: Stage(s.ranks[order], s.scores[order]) for k, s in ranking.stages.items()}
    ordered = np.asarray(scores, dtype=np.float32)[order]
    documents = [ranking.documents[place] for place in order]
    return Ranking(documents, ordered, {**stages, name: Stage(ranks, ordered)})
