"""Evidence for the feature ranker: one row of numbers for every (query, candidate) pair.

Each source scores the candidates of a block of queries and nothing else, so the time does not grow
with the corpus; a candidate gets the raw score, its share of the best candidate's, its standard score
and its rank among the candidates. Two fusions and a few facts complete the row. Knows nothing about
judgments except through the memory it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.search.analyse import literals, tokens
from resurvey.search.compose import ranges
from resurvey.search.dense import NAME as DENSE
from resurvey.search.fuse import RRF_K
from resurvey.search.index import VIEWS, Index
from resurvey.search.memory import COUNT, Memory
from resurvey.search.memory import SOURCES as MEMORIES
from resurvey.search.terms import KINDS, TermMatrix
from resurvey.types import Bools, Doubles, Floats, Ints, Query, Ranking, Run

BLOCK = 64
DECIMALS = 5
"""Of a score, kept as evidence: what comes after differs with a query's batch, and trees would split on it."""
SHAPES = ("score", "share", "z", "rank")
FUSED = ("stems", "passages")
MATCHED, HELD = "matched idf", "literal match"
ADAPTED = "adapted"
FACTS = (
    "convex fusion", "reciprocal ranks", MATCHED, HELD, "document length",
    "query length", "query literals", "best stems", "best passage", "passage gap",
)  # fmt: skip


GROUPS: Mapping[str, tuple[str, ...]] = {
    "words": ("stems", "title", "title cover", MATCHED, "best stems"),
    "codes and numbers": ("tokens", "segments", HELD, "query literals"),
    "spelling": ("characters",),
    "meaning": ("truncated", "passages", "titles", ADAPTED, "best passage", "passage gap"),
    "words and meaning together": ("convex fusion", "reciprocal ranks"),
    "judged queries": (*MEMORIES, "judged queries"),
    "length": ("document length", "query length"),
}
"""Features by what they look at, for people."""


def group_of(feature: str) -> str:
    """The group that a feature belongs to."""
    for group, members in GROUPS.items():
        if any(feature == member or feature in [f"{member} {shape}" for shape in SHAPES] for member in members):
            return group
    return feature


@dataclass(frozen=True, slots=True)
class Pairs:
    """Feature rows of many queries' candidates: `rows[starts[i]:starts[i + 1]]` are query i's."""

    starts: Ints
    rows: Floats


def shaped(scores: Floats) -> Doubles:
    """(sources, candidates) to (sources, 4, candidates): raw, over the best, standardised, and rank; NaN stays NaN."""
    found = scores.astype(np.float64).round(DECIMALS)
    told = ~np.isnan(found)
    many = np.maximum(told.sum(axis=1, keepdims=True), 1)
    top = np.where(told, found, -np.inf).max(axis=1, keepdims=True)
    mean = np.where(told, found, 0).sum(axis=1, keepdims=True) / many
    spread = np.sqrt((np.where(told, found - mean, 0) ** 2).sum(axis=1, keepdims=True) / many)
    ranks = np.where(told, _ranks(np.where(told, found, -np.inf)), np.nan)
    return np.stack([found, found / np.maximum(top, 1e-9), (found - mean) / np.maximum(spread, 1e-6), ranks], axis=1)


def _ranks(scores: Doubles) -> Doubles:
    """Rank of every score in its row, the highest 1; equal scores share the best of their ranks."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    first = np.ones(ordered.shape, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    places = np.maximum.accumulate(np.where(first, np.arange(1, ordered.shape[1] + 1), 0), axis=1)
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, places.astype(np.float64), axis=1)
    return ranks


class Evidence:
    """All sources over one index; `memory` adds what judged queries say, `adapted` what a dense branch found.

    A branch whose queries were moved first is asked for its own scores, as the run carries them: on queries that
    taught it, these are out of fold, and cosines computed here would not be.
    """

    def __init__(self, index: Index, memory: Memory | None = None, *, adapted: bool = False) -> None:
        self.index = index
        self.memory = memory
        self.adapted = adapted
        self._terms = {kind.name: TermMatrix(kind, index) for kind in KINDS}
        self._lengths = np.log1p([len(d.full_text.split()) for d in index.documents])
        self.sources = self._sources()

    def with_memory(self, memory: Memory) -> Evidence:
        """The same evidence, told what judged queries say; the matrices are shared."""
        told = copy.copy(self)
        told.memory = memory
        told.sources = told._sources()
        return told

    def _sources(self) -> tuple[str, ...]:
        return *self._terms, *VIEWS, *((ADAPTED,) if self.adapted else ()), *(MEMORIES if self.memory else ())

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in the order of the columns."""
        return (
            *(f"{name} {shape}" for name in self.sources for shape in SHAPES),
            *FACTS,
            *(("judged queries",) if self.memory else ()),
        )

    def pairs(self, queries: Sequence[Query], run: Run) -> Pairs:
        """Feature rows for every candidate of `run`, queries in the order given."""
        rows = []
        for start in range(0, len(queries), BLOCK):
            self.index.progress("gathering evidence", start, len(queries))
            rows += self._block(queries[start : start + BLOCK], run)
        starts = np.concatenate([[0], np.cumsum([len(one) for one in rows])]).astype(np.int64)
        return Pairs(starts, np.concatenate(rows) if rows else np.zeros((0, len(self.names)), dtype=np.float32))

    def silenced(self, rows: Floats, chosen: Bools) -> Floats:
        """The rows with the memory silent about those chosen, as about documents nobody has asked for."""
        told = rows.copy()
        first = (len(self.sources) - len(MEMORIES)) * len(SHAPES)
        told[chosen, first : first + len(MEMORIES) * len(SHAPES)] = np.nan
        told[chosen, -1] = 0.0
        return told

    def _block(self, queries: Sequence[Query], run: Run) -> list[Floats]:
        candidates = [
            np.array([self.index.rows[document] for document in run[query.id].documents], dtype=np.int64)
            for query in queries
        ]
        scored = {**self._words(queries, candidates), **self._cosines(queries, candidates)}
        if self.adapted:
            scored[ADAPTED] = [_found(run[query.id]) for query in queries]
        if self.memory is not None:
            scored |= self.memory.evidence(queries, candidates)
        return [
            self._one(query, {name: found[place] for name, found in scored.items()}, candidates[place])
            for place, query in enumerate(queries)
        ]

    def _words(self, queries: Sequence[Query], candidates: Sequence[Ints]) -> dict[str, list[Floats]]:
        """What the term matrices say, the share of the query's weight that is matched, and the literals held whole."""
        texts = [query.text for query in queries]
        counts = {matrix.kind.analyser: matrix for matrix in self._terms.values()}
        asked = {analyser: matrix.counts(texts) for analyser, matrix in counts.items()}
        found = {
            name: matrix.pairs(matrix.weighted(asked[matrix.kind.analyser]), candidates)
            for name, matrix in self._terms.items()
        }
        stems, codes = self._terms["stems"], self._terms["tokens"]
        weights = stems.weighted(asked[stems.kind.analyser]).multiply(stems.idf).sum(axis=1)
        matched = [one / max(weight, 1e-9) for one, weight in zip(found["stems"], weights, strict=True)]
        held = codes.pairs(codes.weighted(codes.counts([" ".join(literals(text)) for text in texts])), candidates)
        return {**found, MATCHED: matched, HELD: held}

    def _cosines(self, queries: Sequence[Query], candidates: Sequence[Ints]) -> dict[str, list[Floats]]:
        """Cosines with every view of the candidates; over passages, a document's best one counts."""
        vectors = self.index.vectors.vectors([query.text for query in queries], "query", self.index.progress)
        found: dict[str, list[Floats]] = {}
        for view in VIEWS:
            matrix = self.index.view(view, "none")
            reach = self._passages if view == "passages" else _alone
            found[view] = []
            for vector, rows in zip(vectors, candidates, strict=True):
                places, firsts = reach(rows)
                cosines = matrix[places] @ vector
                found[view].append(np.maximum.reduceat(cosines, firsts) if len(rows) else cosines)
        return found

    def _passages(self, rows: Ints) -> tuple[Ints, Ints]:
        """The passages of some documents, and where each document's begin among them."""
        starts = self.index.starts
        counts = np.append(starts, len(self.index.owners))[rows + 1] - starts[rows]
        return ranges(starts[rows], counts)

    def _one(self, query: Query, scored: Mapping[str, Floats], rows: Ints) -> Floats:
        if not len(rows):
            return np.zeros((0, len(self.names)), dtype=np.float32)
        shapes = shaped(np.stack([scored[name] for name in self.sources]))
        fused = [self.sources.index(name) for name in FUSED]
        passages = np.sort(scored["passages"])[::-1]
        facts: list[Doubles | Floats | float] = [
            shapes[fused, 2].sum(axis=0),
            (1 / (RRF_K + shapes[fused, 3])).sum(axis=0),
            scored[MATCHED],
            scored[HELD],
            self._lengths[rows],
            len(tokens(query.text)),
            len(literals(query.text)),
            float(scored["stems"].max()),
            float(passages[0]),
            float(passages[0] - passages[min(9, len(passages) - 1)]),
        ]
        if self.memory is not None:
            facts.append(np.log1p(scored[COUNT]))
        columns = np.empty((len(rows), len(self.names)), dtype=np.float32)
        columns[:, : shapes.shape[0] * len(SHAPES)] = shapes.reshape(-1, len(rows)).T
        for place, fact in enumerate(facts, start=shapes.shape[0] * len(SHAPES)):
            columns[:, place] = fact
        return columns


def _found(ranking: Ranking) -> Floats:
    """What the dense branch gave every candidate; NaN where it did not return it."""
    stage = ranking.stages.get(DENSE)
    nothing = np.full(len(ranking), np.nan, dtype=np.float32)
    return nothing if stage is None else np.where(stage.ranks > 0, stage.scores, nothing)


def _alone(rows: Ints) -> tuple[Ints, Ints]:
    """Every document for itself."""
    return rows, np.arange(len(rows))
