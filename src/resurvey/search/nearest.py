"""Nearest vectors: the rows of a matrix with the largest inner products, for many queries at once.

Knows matrices; knows nothing about documents, passages or encoders.
"""

from __future__ import annotations

from typing import Protocol

import faiss

from resurvey.types import Floats, Ints


class Nearest(Protocol):
    """A matrix made searchable."""

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """Rows and inner products of shape (queries, min(k, rows)), best first; equal ones by row."""
        ...


class Exact:
    """Every row is looked at."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """As `Nearest` says."""
        scores, rows = faiss.knn(queries, self.vectors, min(k, len(self.vectors)), metric=faiss.METRIC_INNER_PRODUCT)
        return rows, scores
