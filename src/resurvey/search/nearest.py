"""Nearest vectors: the rows of a matrix with the largest inner products, for many queries at once.

Whoever finds candidates, what is returned was computed pair by pair in one fixed order of additions, so that a
score depends on nothing but its query and its row, and equal rows are equal. Knows matrices; knows nothing about
documents, passages or encoders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import faiss
import numpy as np

from resurvey.search.mapped import GIGABYTE, SHARE, release, slices
from resurvey.types import Floats, Ints

SPARE = 28
"""Rows fetched beyond those asked for: room for rows that rounding or ties put in another order."""
CLOSE = 1e-5
"""Inner products of unit vectors that differ by less may come in any order from one way of adding to another."""
SHORT = 16
"""Up to so many dimensions faiss adds in another order when it is given one query."""
QUERIES = 1024
"""Queries of a block: enough for a matrix product to be fast."""


class Nearest(Protocol):
    """A matrix made searchable."""

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """Rows and inner products of shape (queries, min(k, rows)), best first; equal ones by row."""
        ...


class Exact:
    """Every row is looked at, in blocks: of a mapped matrix no more than `memory` gigabytes at a time."""

    def __init__(self, vectors: Floats, memory: float = 1.0) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._block = max(1, int(memory * GIGABYTE / 2) // (4 * max(1, vectors.shape[1])))
        self._wide = max(1, int(memory * GIGABYTE / SHARE) // 64)
        """Pairs whose rows and scores may be held at once."""

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """As `Nearest` says."""
        k = min(k, len(self.vectors))
        rows = np.empty((len(queries), k), dtype=np.int64)
        scores = np.empty((len(queries), k), dtype=np.float32)
        if k == 0:
            return rows, scores
        for part in slices(len(queries), min(QUERIES, max(1, self._wide // (k + SPARE)))):
            rows[part], scores[part] = self._some(np.ascontiguousarray(queries[part], dtype=np.float32), k)
        return rows, scores

    def _some(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        found, last = self._fetched(queries, min(k + SPARE, len(self.vectors)))
        rows, scores = rescored(queries, self.vectors, found, k)
        if found.shape[1] < len(self.vectors):
            # Whoever stands closely below the last fetched row might belong among the first k.
            lengths = np.linalg.norm(queries, axis=1) * np.linalg.norm(self.vectors[rows[:, 0]], axis=1)
            floors = scores[:, -1] - CLOSE * lengths
            for place in np.flatnonzero(last >= floors):
                rows[place], scores[place] = self._crowded(queries[place], k, float(floors[place]))
        return rows, scores

    def _fetched(self, queries: Floats, most: int) -> tuple[Ints, Floats]:
        """The rows of the `most` highest inner products, rounding aside, in no order that counts, and the lowest of them."""
        best: tuple[Floats, Ints] | None = None
        for part in self._parts():
            block = self.vectors[part]
            scores, rows = faiss.knn(queries, block, min(most, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            if best is None:
                best = scores, rows
                continue
            scores, rows = np.hstack([best[0], scores]), np.hstack([best[1], rows + part.start])
            kept = np.argpartition(-scores, min(most, scores.shape[1]) - 1, axis=1)[:, :most]
            best = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        assert best is not None
        return best[1], best[0].min(axis=1)

    def _crowded(self, query: Floats, k: int, floor: float) -> tuple[Ints, Floats]:
        """One query with more near-equal rows around its k-th than were fetched: all of these are compared."""
        near = [np.flatnonzero(self.vectors[part] @ query >= floor) + part.start for part in self._parts()]
        rows, scores = rescored(query[None], self.vectors, np.concatenate(near)[None], k)
        return rows[0], scores[0]

    def _parts(self) -> Iterator[slice]:
        """Blocks of rows; a matrix of several is let go of block by block."""
        for part in slices(len(self.vectors), self._block):
            yield part
            if len(self.vectors) > self._block:
                release(self.vectors)


def rescored(queries: Floats, vectors: Floats, rows: Ints, k: int) -> tuple[Ints, Floats]:
    """The first `k` of the rows (queries, candidates) by their inner products, equal ones by row; -1 comes last."""
    rows = np.ascontiguousarray(rows, dtype=np.int64)
    scores = np.empty(rows.shape, dtype=np.float32)
    if len(rows) == 1 and vectors.shape[1] > SHORT:
        # The same sums without threads: waking those costs one query more than all else, most of all on a busy machine.
        near = vectors[rows[0]]
        faiss.fvec_inner_products_ny(
            faiss.swig_ptr(scores), faiss.swig_ptr(queries), faiss.swig_ptr(near), vectors.shape[1], len(near)
        )
        scores[rows < 0] = -np.inf
    else:
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(scores), faiss.swig_ptr(queries), faiss.swig_ptr(vectors), faiss.swig_ptr(rows),
            vectors.shape[1], len(rows), rows.shape[1],
        )  # fmt: skip
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
