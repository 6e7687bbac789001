"""Reranking: the first documents of a ranking, reordered by what a scorer makes of query and text together.

Only the first `depth` are asked about; the rest keep their order below. The scorer's word and the order it was given
are blended as standard scores (cross-encoders alone often harm; measured weights are in the recipe). A scorer that
is late or down is done without: the documents keep their order, their hits lack the stage, and it is counted.
Knows nothing about what the scorer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from resurvey.search.breaker import Breaker
from resurvey.search.candidates import best_passages as nearest_parts
from resurvey.search.index import Index
from resurvey.search.scorers import Scorer, UnansweredError
from resurvey.search.trace import skipped, timed
from resurvey.types import Doubles, Floats, Query, Ranking, Run, Stage

NAME = "reranker"
BEFORE = "retrieved"
"""The stage that keeps what a reranked document's place and score were before."""
Texts: TypeAlias = Callable[[Query, Sequence[str]], list[str]]
"""A query and document ids to what the scorer reads of each document."""


def wholes(index: Index) -> Texts:
    """Titles and texts from their beginnings; the scorer cuts them where it stops reading."""
    return lambda _, documents: [index.documents[index.rows[document]].full_text for document in documents]


def best_passages(index: Index) -> Texts:
    """Of every document that passage which the encoder holds to be nearest to the query."""

    def read(query: Query, documents: Sequence[str]) -> list[str]:
        asked = index.vectors.vectors([query.text], "query", index.progress)[0]
        rows = np.array([index.rows[document] for document in documents], dtype=np.int64)
        starts = np.append(index.starts, len(index.owners))
        return [index.cut.texts[row] for row in nearest_parts(asked, rows, index.passages, starts)]

    return read


READ = {"documents": wholes, "passages": best_passages}
"""What a scorer may read of a document, as a recipe names it."""


class Reranking:
    """A scorer behind the `Reranker` protocol.

    The deadline holds for a search of one query: somebody waits for it. A batch of queries is exact instead.
    `skipped` counts the queries answered without the scorer, `why` is the last one's reason.
    """

    name = NAME

    def __init__(
        self,
        scorer: Scorer,
        texts: Texts,
        *,
        depth: int,
        blend: float = 1.0,
        deadline: float | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.scorer = scorer
        self.texts = texts
        self.depth = depth
        self.blend = blend
        self.deadline = deadline
        self.breaker = breaker or Breaker()
        self.skipped = 0
        self.why = ""

    @timed
    def rerank(self, queries: Sequence[Query], run: Run) -> Run:
        """The same documents, the first `depth` of each query in the blended order."""
        seconds = self.deadline if len(queries) == 1 else None
        rankings = {}
        for query in queries:
            scores = self.scores(query, run[query.id], seconds)
            rankings[query.id] = run[query.id] if scores is None else blended(run[query.id], scores, self.blend)
        return Run(NAME, rankings)

    def scores(self, query: Query, ranking: Ranking, seconds: float | None = None) -> Floats | None:
        """The scorer's raw word on the first `depth` documents; None where it gave none."""
        documents = list(ranking.documents[: self.depth])
        if not documents:
            return None
        if not self.breaker.allows():
            self.skipped += 1
            skipped(NAME, f"left alone for a while: {self.why}")
            return None
        try:
            found = self.scorer.scores(query.text, self.texts(query, documents), seconds)
        except UnansweredError as error:
            self.breaker.failed()
            self.skipped += 1
            self.why = str(error)
            skipped(NAME, self.why)
            return None
        self.breaker.succeeded()
        return found


def standard(scores: Floats) -> Doubles:
    """Standard scores; zeros where all are equal."""
    exact = scores.astype(np.float64)
    spread = exact.std()
    return (exact - exact.mean()) / spread if spread > 0 else np.zeros(len(exact))


def blended(ranking: Ranking, scores: Floats, blend: float) -> Ranking:
    """The first documents ordered by (1 - blend) of their own and `blend` of the new standard scores.

    Args:
        scores: one for each of the first documents; those beyond keep their order and stay below.
        blend: 0 keeps the order, 1 forgets it.
    """
    depth, whole = len(scores), len(ranking)
    own = standard(ranking.scores[:depth])
    mixed = (1 - blend) * own + blend * standard(scores)
    order = np.argsort(-mixed, kind="stable")
    rest = ranking.scores[depth:].astype(np.float64)
    below = mixed.min() - 1 - (rest[0] - rest if len(rest) else rest)
    places = np.concatenate([order, np.arange(depth, whole)]).astype(np.int64)
    ranks, seen = np.zeros(whole, dtype=np.int64), np.full(whole, np.nan, dtype=np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, depth + 1)
    seen[:depth] = scores
    columns = {**ranking.stages, BEFORE: Stage(np.arange(1, whole + 1), ranking.scores), NAME: Stage(ranks, seen)}
    stages = {name: Stage(stage.ranks[places], stage.scores[places]) for name, stage in columns.items()}
    documents = [ranking.documents[place] for place in places]
    return Ranking(documents, np.concatenate([mixed[order], below]).astype(np.float32), stages)
