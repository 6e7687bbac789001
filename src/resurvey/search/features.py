"""Evidence for the feature ranker: one row of numbers for every (query, candidate) pair.

Each source scores all documents for a block of queries; a candidate gets the raw score, its share
of the best candidate's, its standard score and its rank among the candidates. Two fusions and a
few facts of query and document complete the row. Knows nothing about judgments except through the
memory it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from resurvey.search.analyse import literals, tokens
from resurvey.search.dense import similarities
from resurvey.search.fuse import RRF_K
from resurvey.search.index import Index
from resurvey.search.memory import SOURCES as MEMORIES
from resurvey.search.memory import Memory
from resurvey.search.terms import KINDS, TermMatrix
from resurvey.types import Bools, Doubles, Floats, Ints, Query, Run

BLOCK = 64
DECIMALS = 5
"""Of a score, kept as evidence: what comes after differs with a query's batch, and trees would split on it."""
SHAPES = ("score", "share", "z", "rank")
FUSED = ("stems", "passages")
FACTS = (
    "convex fusion", "reciprocal ranks", "matched idf", "literal match", "document length",
    "query length", "query literals", "best stems", "best passage", "passage gap",
)  # fmt: skip

Source = Callable[[Sequence[Query]], Floats]
"""Queries to (queries, documents) scores."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Feature rows of many queries' candidates: `rows[starts[i]:starts[i + 1]]` are query i's."""

    starts: Ints
    rows: Floats


def _shapes(scores: Floats) -> list[Doubles]:
    """Raw, over the best, standardised, and rank; NaN stays NaN."""
    found = scores.astype(np.float64).round(DECIMALS)
    told = ~np.isnan(found)
    if not told.any():
        return [found] * len(SHAPES)
    top, mean, spread = np.nanmax(found), np.nanmean(found), np.nanstd(found)
    ranks = np.full(len(found), np.nan)
    ranks[told] = rankdata(-found[told], method="min")
    return [found, found / max(top, 1e-9), (found - mean) / max(spread, 1e-6), ranks]


class Evidence:
    """All sources over one index; `memory` adds what judged queries say."""

    def __init__(self, index: Index, memory: Memory | None = None) -> None:
        self.index = index
        self.memory = memory
        self._terms = {kind.name: TermMatrix(kind, index) for kind in KINDS}
        self._lengths = np.log1p([len(d.full_text.split()) for d in index.documents])
        self.sources: dict[str, Source] = {
            **{name: self._term_source(matrix) for name, matrix in self._terms.items()},
            "truncated": lambda queries: similarities(index, queries, "truncated", "none"),
            "passages": lambda queries: similarities(index, queries, "passages", "none"),
            "titles": lambda queries: similarities(index, queries, "titles", "none"),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in the order of the columns."""
        sources = [*self.sources, *(MEMORIES if self.memory else ())]
        return (
            *(f"{name} {shape}" for name in sources for shape in SHAPES),
            *FACTS,
            *(("judged queries",) if self.memory else ()),
        )

    def pairs(self, queries: Sequence[Query], run: Run) -> Pairs:
        """Feature rows for every candidate of `run`, queries in the order given."""
        blocks = []
        for start in range(0, len(queries), BLOCK):
            self.index.progress("gathering evidence", start, len(queries))
            blocks.append(self._block(queries[start : start + BLOCK], run))
        starts = np.concatenate([[0], np.cumsum([len(run[query.id]) for query in queries])]).astype(np.int64)
        rows = np.concatenate(blocks) if blocks else np.zeros((0, len(self.names)), dtype=np.float32)
        return Pairs(starts, rows)

    def silenced(self, rows: Floats, chosen: Bools) -> Floats:
        """The rows with the memory silent about those chosen, as about documents nobody has asked for."""
        told = rows.copy()
        first = len(self.sources) * len(SHAPES)
        told[chosen, first : first + len(MEMORIES) * len(SHAPES)] = np.nan
        told[chosen, -1] = 0.0
        return told

    def _term_source(self, matrix: TermMatrix) -> Source:
        return lambda queries: matrix.scores([query.text for query in queries])

    def _block(self, queries: Sequence[Query], run: Run) -> Floats:
        scored = {name: source(queries) for name, source in self.sources.items()}
        if self.memory is not None:
            scored |= self.memory.evidence(queries)
        rows = [
            self._one(query, {name: found[place] for name, found in scored.items()}, run[query.id].documents)
            for place, query in enumerate(queries)
        ]
        return np.concatenate(rows)

    def _one(self, query: Query, scored: Mapping[str, Floats], documents: Sequence[str]) -> Floats:
        columns = np.array([self.index.rows[document] for document in documents], dtype=np.int64)
        if not len(columns):
            return np.zeros((0, len(self.names)), dtype=np.float32)
        shaped = {name: _shapes(scored[name][columns]) for name in self.sources}
        parts: list[Floats | Doubles] = [column for shapes in shaped.values() for column in shapes]
        if self.memory is not None:
            for name in MEMORIES:
                parts += _shapes(scored[name][columns])
        parts.append(sum((shaped[name][2] for name in FUSED), np.zeros(len(columns))))
        parts.append(sum((1 / (RRF_K + shaped[name][3]) for name in FUSED), np.zeros(len(columns))))
        parts += [
            scored["stems"][columns] / self._reachable(query),
            self._literal(query, columns),
            self._lengths[columns],
        ]
        parts += [np.full(len(columns), fact) for fact in self._facts(query, scored)]
        if self.memory is not None:
            parts.append(np.log1p(scored["count"][columns]))
        return np.column_stack(parts).astype(np.float32)

    def _reachable(self, query: Query) -> float:
        stems = self._terms["stems"]
        return max(float(stems.queries([query.text]).multiply(stems.idf).sum()), 1e-9)

    def _literal(self, query: Query, columns: Ints) -> Doubles:
        """Weight of the query's codes and identifiers that a document holds, whole."""
        codes = literals(query.text)
        if not codes:
            return np.zeros(len(columns))
        matrix = self._terms["tokens"]
        held = matrix.matrix[columns] @ matrix.queries([" ".join(codes)]).T
        return np.asarray(held.toarray()[:, 0], dtype=np.float64)

    def _facts(self, query: Query, scored: Mapping[str, Floats]) -> list[float]:
        passages = np.sort(scored["passages"])[::-1]
        tenth = float(passages[min(9, len(passages) - 1)])
        return [
            len(tokens(query.text)),
            len(literals(query.text)),
            float(scored["stems"].max()),
            float(passages[0]),
            float(passages[0]) - tenth,
        ]
