"""Search within a filter: the best documents among those that pass, as many as were asked for.

The filter goes down to the branches. What stands above them (fusion, rankers, boosts) sees only documents that
pass, exactly as if the rest of the corpus were not there, save that words and vectors are weighed by the whole
corpus. A branch over vectors looks at the passing documents alone where they are few, which is exact; any other
branch is asked for more until enough pass or nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from resurvey.protocols import Retriever
from resurvey.search.compose import Composable, best, first_stage, ranges
from resurvey.search.dense import Dense
from resurvey.search.index import Index
from resurvey.search.trace import timed
from resurvey.types import Bools, Floats, Ints, Json, Query, Ranking, Run, Stage

FEW = 20_000
"""Passing documents up to which every one of them is looked at."""
MORE = 4
"""How many times as many documents are asked for when too few pass."""


def restricted(node: Json, where: str) -> Json:
    """A recipe's tree with every branch searched within a filter."""
    if node["stage"] == "filtered":
        return restricted(node["input"], f"({node['where']}) and ({where})")
    if "inputs" in node:
        return {**node, "inputs": [restricted(child, where) for child in node["inputs"]]}
    if "input" in node:
        return {**node, "input": restricted(node["input"], where)}
    return {"stage": "filtered", "input": node, "where": where}


class Within(Composable):
    """One branch, and the documents that it may return."""

    def __init__(self, index: Index, branch: Callable[[int], Retriever], allowed: Bools, depth: int) -> None:
        self.index = index
        self.branch = branch
        self.allowed = allowed
        self.depth = depth
        self.first = branch(depth)
        self.name = self.first.name

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best passing documents for every query, fewer where the branch finds no more."""
        if isinstance(self.first, Dense) and int(self.allowed.sum()) <= FEW:
            return self._exact(self.first, queries)
        found: dict[str, Ranking] = {}
        waiting, asked, retriever = list(queries), self.depth, self.first
        while waiting:
            run = retriever.search(waiting)
            for query in waiting:
                found[query.id] = self._passing(run[query.id])
            more = asked < len(self.allowed)
            waiting = [q for q in waiting if more and len(found[q.id]) < self._enough and len(run[q.id]) >= asked]
            asked = min(len(self.allowed), asked * MORE)
            retriever = self.branch(asked) if waiting else retriever
        return Run(self.name, {query.id: found[query.id] for query in queries})

    @property
    def _enough(self) -> int:
        return min(self.depth, int(self.allowed.sum()))

    def _passing(self, ranking: Ranking) -> Ranking:
        rows = [self.index.rows[document] for document in ranking.documents]
        places = np.flatnonzero(self.allowed[rows])[: self.depth]
        documents = [ranking.documents[place] for place in places]
        scores = ranking.scores[places]
        first = first_stage(self.name, documents, scores)
        own = {name: Stage(s.ranks[places], s.scores[places]) for name, s in ranking.stages.items()}
        return Ranking(documents, scores, {**own, **first.stages})

    def _exact(self, dense: Dense, queries: Sequence[Query]) -> Run:
        """Cosines with every passing document; one of several passages scores as its best."""
        index, rows = dense.index, np.flatnonzero(self.allowed)
        vectors, firsts = self._vectors(dense, rows)
        asked = index.vectors.vectors([query.text for query in queries], "query", index.progress)
        rankings: dict[str, Ranking] = {}
        for query, vector in zip(queries, index.transformed(asked, dense.transform), strict=True):
            cosines = vectors @ vector
            scores = np.maximum.reduceat(cosines, firsts) if len(rows) else cosines
            places, kept = best(np.asarray(scores, dtype=np.float32), self.depth)
            rankings[query.id] = first_stage(self.name, index.ids[rows[places]].tolist(), kept)
        return Run(self.name, rankings)

    def _vectors(self, dense: Dense, rows: Ints) -> tuple[Floats, Ints]:
        """The vectors of the passing documents one after another, and where each document's begin."""
        view = dense.index.view(dense.view, dense.transform)
        if dense.view != "passages":
            return np.asarray(view[rows]), np.arange(len(rows))
        ends = np.append(dense.index.starts[1:], len(dense.index.owners))
        wanted, firsts = ranges(dense.index.starts[rows], ends[rows] - dense.index.starts[rows])
        return np.asarray(view[wanted]), firsts
