"""Coarse scores with a bound on what rounding changed, what may be among the best by them, and exact scores.

Knows matrices only; `batch.py` says which rows are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np

from resurvey.search.nearest import rescored
from resurvey.types import Floats, Ints

_faiss: Any = faiss
"""Its functions over raw memory, which its type hints leave out."""
SLACK = 2e-6
"""What summing in float32 in another order can change, per unit of length."""
ROUNDING = 2.0**-8
"""Largest relative error of a bfloat16."""
CELLS = 1 << 21
"""Cells of a table of hits, a row a query."""
STEP = 128
"""Tiles of clusters are multiplied as if their sides were multiples of this."""
ROUNDED = 4096
"""Vectors that are rounded at a time."""


def paired(left: Floats, right: Floats, lefts: Ints, rights: Ints) -> Floats:
    """Inner products of pairs of rows, left[lefts[i]] with right[rights[i]], without gathering them."""
    found = np.empty(len(lefts), dtype=np.float32)
    if len(lefts):
        left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
        lefts, rights = np.ascontiguousarray(lefts, dtype=np.int64), np.ascontiguousarray(rights, dtype=np.int64)
        assert 0 <= lefts.min() <= lefts.max() < len(left), "a row that is not there"
        assert 0 <= rights.min() <= rights.max() < len(right), "a row that is not there"
        ends = (faiss.swig_ptr(a) for a in (left, lefts, right, rights, found))
        _faiss.pairwise_indexed_inner_product(left.shape[1], len(lefts), *ends)
    return found


@dataclass(slots=True)
class Hits:
    """What might be among the best k of each of `count` queries so far."""

    count: int
    k: int
    error: Floats
    """How far each query's coarse scores can be off."""
    queries: list[Ints] = field(default_factory=list)
    rows: list[Ints] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)
    floor: Floats = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """Coarse scores below this are not among the best k."""

    def __post_init__(self) -> None:
        assert self.count < 1 << 16, "queries are sorted as 16 bits"
        self.floor = np.full(self.count, -np.inf, dtype=np.float32)

    def add(self, queries: Ints, rows: Ints, scores: Floats) -> None:
        """Pairs, in any order."""
        self.queries.append(queries)
        self.rows.append(rows)
        self.scores.append(scores)

    def sort(self) -> Ints:
        """Put the hits of a query together; the bounds (queries + 1) of each one's."""
        none = np.zeros(0, dtype=np.int64)
        queries = np.concatenate([*self.queries, none])
        order = np.argsort(queries.astype(np.uint16), kind="stable")
        self.queries = [queries[order]]
        self.rows = [np.concatenate([*self.rows, none])[order]]
        self.scores = [np.concatenate([*self.scores, none.astype(np.float32)])[order]]
        return np.searchsorted(self.queries[0], np.arange(self.count + 1))

    def raise_floor(self) -> None:
        """Forget what the hits so far show to be beyond the best k: their k-th best, less twice the error."""
        import torch

        bounds, (scores,) = self.sort(), self.scores
        for low, high in _slices(bounds):
            table = _padded(scores, bounds[low : high + 1], -np.inf)
            if table.shape[1] >= self.k:
                self.floor[low:high] = _kth(torch.from_numpy(table), self.k) - 2 * self.error[low:high]
        stay = scores >= self.floor[self.queries[0]]
        self.queries, self.rows, self.scores = [self.queries[0][stay]], [self.rows[0][stay]], [scores[stay]]


def _slices(bounds: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of queries whose hits make a table of a bearable size."""
    low, counts = 0, np.diff(bounds)
    while low < len(counts):
        widest = np.maximum.accumulate(counts[low:])
        cells = widest * np.arange(1, len(widest) + 1)
        high = low + max(1, int(np.searchsorted(cells, CELLS)))
        yield low, high
        low = high


def _padded(values: Any, bounds: Ints, empty: float) -> Any:
    """Values that `bounds` divides among queries as one row a query, as wide as the longest."""
    counts = np.diff(bounds)
    table = np.full((len(counts), int(counts.max(initial=0))), empty, dtype=values.dtype)
    table[np.arange(table.shape[1]) < counts[:, None]] = values[bounds[0] : bounds[-1]]
    return table


class Coarse:
    """Vectors rounded to what the processor multiplies fastest, and a bound on what that changes."""

    def __init__(self, vectors: Floats) -> None:
        import torch

        self.kind = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
        self.exact = self.kind == torch.float32
        self.lost = self.length = 0.0
        self.vectors = torch.empty(vectors.shape, dtype=self.kind)
        for start in range(0, len(vectors), ROUNDED):
            part = torch.from_numpy(np.ascontiguousarray(vectors[start : start + ROUNDED]))
            self.vectors[start : start + ROUNDED] = part
            self.length = max(self.length, float(part.norm(dim=1).max()))
            if not self.exact:
                lost = (part - self.vectors[start : start + ROUNDED].float()).norm(dim=1)
                self.lost = max(self.lost, float(lost.max()))

    def queries(self, queries: Floats) -> tuple[Any, Floats]:
        """Rounded queries, and how far each one's coarse scores can be from the exact ones."""
        import torch

        whole = torch.from_numpy(np.ascontiguousarray(queries))
        round_ = whole.to(self.kind)
        lengths = whole.norm(dim=1)
        error = SLACK * lengths * self.length
        if not self.exact:
            lost = (whole - round_.float()).norm(dim=1)
            moved = lost * self.length + round_.float().norm(dim=1) * self.lost
            error = error + moved + ROUNDING * (lengths * self.length + moved)
        return round_, np.asarray(error.numpy() * np.float32(1.001), dtype=np.float32)

    def tile(self, queries: Any, low: int, high: int) -> Any:
        """Coarse scores (queries, high - low)."""
        import torch

        return torch.mm(queries, self.vectors[low:high].T)

    def odd_tile(self, queries: Any, asked: Ints, low: int, high: int) -> Any:
        """Coarse scores of the queries asked, for tiles of many sizes: a kernel is made for every new size.

        So sizes are rounded up to a multiple of STEP, and what was too much is cut off.
        """
        import torch

        places = np.concatenate([asked, np.repeat(asked[:1], -len(asked) % STEP)])
        until = min(low - (low - high) // STEP * STEP, len(self.vectors))
        return torch.mm(queries[torch.from_numpy(places)], self.vectors[low:until].T)[: len(asked), : high - low]


def _best(scores: Any, k: int) -> tuple[Ints, Ints, Floats]:
    """Query places, columns and scores of the best k columns of every row."""
    values, columns = scores.float().topk(min(k, scores.shape[1]), dim=1, sorted=False)
    count, width = columns.shape
    return np.repeat(np.arange(count), width), columns.numpy().ravel(), values.numpy().ravel()


def above(scores: Any, floor: Floats) -> tuple[Ints, Ints, Floats]:
    """Query places, columns and scores of what is not below a row's floor."""
    import torch

    low = torch.from_numpy(floor).to(scores.dtype)  # no score of that kind lies between a floor and its rounding
    there = np.flatnonzero((scores >= low[:, None]).numpy())
    queries, columns = np.divmod(there, scores.shape[1])
    return queries, columns, scores[torch.from_numpy(queries), torch.from_numpy(columns)].float().numpy()


def finish(hits: Hits, queries: Floats, vectors: Floats) -> tuple[Ints, Floats]:
    """The best k of the hits by exact scores, equal ones by row; -1 and -inf where there are fewer."""
    hits.raise_floor()
    bounds, (found,) = hits.sort(), hits.rows
    rows = np.full((hits.count, hits.k), -1, dtype=np.int64)
    scores = np.full((hits.count, hits.k), -np.inf, dtype=np.float32)
    for low, high in _slices(bounds):
        table = _padded(found, bounds[low : high + 1], -1)
        found_rows, exact = rescored(np.ascontiguousarray(queries[low:high]), vectors, table, hits.k)
        rows[low:high, : exact.shape[1]], scores[low:high, : exact.shape[1]] = found_rows, exact
    return rows, scores


def first(scores: Any, k: int, error: Floats) -> tuple[Ints, Ints, Floats]:
    """What may be among the best k of a first tile: its best k, and all that rounding may have put below them."""
    if scores.shape[1] <= k:
        return _best(scores, k)
    return above(scores, np.asarray(_kth(scores, k) - 2 * error, dtype=np.float32))


def _kth(scores: Any, k: int) -> Floats:
    """The k-th largest of every row."""
    return np.asarray(scores.float().topk(k, dim=1, sorted=False).values.amin(dim=1).numpy(), dtype=np.float32)
