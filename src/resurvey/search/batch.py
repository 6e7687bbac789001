"""Nearest vectors for thousands of queries at once: a coarse sweep that cannot miss, then exact scores.

Tiles (some queries, some rows) are multiplied in bfloat16 where the processor can, which halves the work. How far a
coarse score can be off is bounded by the rounding itself, so whatever might be among the best k is kept, scored
exactly, and ordered. `Sweep` looks at every row and is exact. `Clustered` looks only at the rows of the clusters
near a query, as many clusters as some of the queries show to be needed. Knows matrices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import faiss
import numpy as np

from resurvey.types import Bools, Floats, Ints

Search: TypeAlias = Callable[[Floats, int], tuple[Ints, Floats]]
_faiss: Any = faiss
"""Its functions over raw memory, which its type hints leave out."""
QUERIES = 2048
"""Queries of one tile at most."""
ROWS = 2048
"""Rows of one tile of a sweep."""
OPENING = 3
"""Times k rows that a query sees before its floor is raised for the first time."""
STEP = 128
"""Tiles of clusters are multiplied as if their sides were multiples of this."""
WAVE = 8192
"""Queries that visit the clusters together."""
SLACK = 2e-6
"""What summing in float32 in another order can change, per unit of length."""
CELLS = 1 << 21
"""Cells of a table of hits, a row a query."""
ROUNDING = 2.0**-8
"""Largest relative error of a bfloat16."""
TRAINED = 64
"""Vectors a cluster's centre is made from."""
SAMPLED = 256
"""Queries that show how many clusters must be looked at."""
SPARE = 0.005
"""Recall that the sampled queries must show beyond what is wanted, as others may need more."""


def rescored(queries: Floats, vectors: Floats, rows: Ints) -> Floats:
    """Exact inner products of every query (n, d) with its rows (n, k); -inf for row -1. The same in any block."""
    queries, rows = np.ascontiguousarray(queries), np.ascontiguousarray(rows, dtype=np.int64)
    found = np.full(rows.shape, -np.inf, dtype=np.float32)
    if rows.size:
        ends = (faiss.swig_ptr(found), faiss.swig_ptr(queries), faiss.swig_ptr(vectors), faiss.swig_ptr(rows))
        _faiss.fvec_inner_products_by_idx(*ends, queries.shape[1], *rows.shape)
        found[rows < 0] = -np.inf
    return found


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
class _Hits:
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
        for start in range(0, len(vectors), ROWS):
            part = torch.from_numpy(np.ascontiguousarray(vectors[start : start + ROWS]))
            self.vectors[start : start + ROWS] = part
            self.length = max(self.length, float(part.norm(dim=1).max()))
            if not self.exact:
                lost = (part - self.vectors[start : start + ROWS].float()).norm(dim=1)
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


def _above(scores: Any, floor: Floats) -> tuple[Ints, Ints, Floats]:
    """Query places, columns and scores of what is not below a row's floor."""
    import torch

    whole = torch.from_numpy(floor)
    low = whole.to(scores.dtype)  # compared in the scores' own kind, which is faster: never rounded up
    low = torch.where(low > whole, torch.nextafter(low, torch.full_like(low, -torch.inf)), low)
    there = np.flatnonzero((scores >= low[:, None]).numpy())
    queries, columns = np.divmod(there, scores.shape[1])
    return queries, columns, scores[torch.from_numpy(queries), torch.from_numpy(columns)].float().numpy()


def _finish(hits: _Hits, queries: Floats, vectors: Floats) -> tuple[Ints, Floats]:
    """The best k of the hits by exact scores, equal ones by row; -1 and -inf where there are fewer."""
    hits.raise_floor()
    bounds, (found,) = hits.sort(), hits.rows
    rows = np.full((hits.count, hits.k), -1, dtype=np.int64)
    scores = np.full((hits.count, hits.k), -np.inf, dtype=np.float32)
    for low, high in _slices(bounds):
        table = _padded(found, bounds[low : high + 1], -1)
        exact = rescored(queries[low:high], vectors, table)
        order = np.lexsort((table, -exact))[:, : hits.k]
        rows[low:high, : order.shape[1]] = np.take_along_axis(table, order, axis=1)
        scores[low:high, : order.shape[1]] = np.take_along_axis(exact, order, axis=1)
    return rows, scores


def _in_parts(search: Search, queries: Floats, k: int, most: int) -> tuple[Ints, Floats]:
    """A search of at most so many queries at a time, the parts on as many threads as torch would use.

    Each thread multiplies alone: beside other work, threads that wait for each other in every small step took ten
    times as long.
    """
    import torch

    workers = torch.get_num_threads()
    size = max(1, min(most, -(-len(queries) // workers)))
    parts = [queries[start : start + size] for start in range(0, len(queries), size)] if k else []
    try:
        with ThreadPoolExecutor(workers, initializer=_alone) as pool:
            found = list(pool.map(lambda part: search(part, k), parts))
    finally:
        torch.set_num_threads(workers)
    nothing = np.zeros((0, k), dtype=np.int64), np.zeros((0, k), dtype=np.float32)
    rows, scores = zip(nothing, *found, strict=True)
    return np.concatenate(rows), np.concatenate(scores)


def _alone() -> None:
    import torch

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


class Sweep:
    """Exact: every row is looked at, in tiles of a few megabytes; a `Nearest`."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._coarse = Coarse(self.vectors)

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """Rows and inner products of shape (queries, min(k, rows)), best first; equal ones by row."""
        k, queries = min(k, len(self.vectors)), np.ascontiguousarray(queries, dtype=np.float32)
        return _in_parts(self._block, queries, k, QUERIES)

    def _block(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        coarse, error = self._coarse.queries(queries)
        hits = _Hits(len(queries), k, error)
        again = 1
        for number, low in enumerate(range(0, len(self.vectors), ROWS), 1):
            scores = self._coarse.tile(coarse, low, min(low + ROWS, len(self.vectors)))
            places, columns, kept = _first(scores, k, error) if number == 1 else _above(scores, hits.floor)
            hits.add(places, columns + low, kept)
            if number == again:  # the floor rises with the logarithm of what was seen
                hits.raise_floor()
                again *= 2
        return _finish(hits, queries, self.vectors)


def _first(scores: Any, k: int, error: Floats) -> tuple[Ints, Ints, Floats]:
    """What may be among the best k of a first tile: its best k, and all that rounding may have put below them."""
    if scores.shape[1] <= k:
        return _best(scores, k)
    return _above(scores, np.asarray(_kth(scores, k) - 2 * error, dtype=np.float32))


def _kth(scores: Any, k: int) -> Floats:
    """The k-th largest of every row."""
    return np.asarray(scores.float().topk(k, dim=1, sorted=False).values.amin(dim=1).numpy(), dtype=np.float32)


class Clustered:
    """Approximate: only the rows of the clusters nearest to a query are looked at; a `Nearest`.

    As many clusters as some of the queries to come need for the recall that is wanted, against an exact search.
    Settled when it is made, so that what a query gets depends on no other query searched before.
    """

    def __init__(
        self, vectors: Floats, queries: Floats, k: int, *, recall: float = 0.98, clusters: int = 0, seed: int = 13
    ) -> None:
        """Build the clusters, and learn how many a query must visit.

        Args:
            queries: those to come, or like them (one or more); a sample is searched exactly for its best `k`.
            clusters: how many to make; 0 for the square root of the rows.
        """
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        count = clusters or max(1, int(len(vectors) ** 0.5))
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.permutation(len(vectors))[: count * TRAINED])
        means = faiss.Kmeans(vectors.shape[1], count, niter=5, seed=seed, spherical=True, min_points_per_centroid=1)
        means.train(vectors[sample])
        self.centres = np.asarray(means.centroids, dtype=np.float32)
        _, owner = faiss.knn(vectors, self.centres, 1, metric=faiss.METRIC_INNER_PRODUCT)
        self._rows = np.argsort(owner[:, 0], kind="stable").astype(np.int64)
        self._starts = np.searchsorted(owner[self._rows, 0], np.arange(count + 1))
        self._owner = owner[:, 0]
        self.vectors = vectors
        self._coarse = Coarse(vectors[self._rows])
        asked = np.ascontiguousarray(queries[np.sort(rng.permutation(len(queries))[:SAMPLED])], dtype=np.float32)
        self.looked_at, self.recall = self._learn(asked, min(k, len(vectors)), recall)
        """Clusters a query visits; and of the best k of the sampled queries, the share that is found."""

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """Rows and inner products of shape (queries, min(k, rows)), best first; -1 and -inf where too few were seen."""
        k = min(k, len(self.vectors))
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        return _in_parts(self._block, queries, k, WAVE)

    def _learn(self, sample: Floats, k: int, wanted: float) -> tuple[int, float]:
        """How many clusters a query must visit, so that the sample finds what is wanted; and what it then finds."""
        _, best = faiss.knn(sample, self.vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        nearness = np.empty((len(sample), len(self.centres)), dtype=np.int64)
        order = np.argsort(-(sample @ self.centres.T), axis=1, kind="stable")
        np.put_along_axis(nearness, order, np.arange(len(self.centres))[None, :], axis=1)
        needed = np.take_along_axis(nearness, self._owner[best], axis=1)
        shares = np.cumsum(np.bincount(needed.ravel(), minlength=len(self.centres))) / needed.size
        enough = int(np.flatnonzero(shares >= min(1.0, wanted + SPARE))[0])
        return 1 + enough, float(shares[enough])

    def _block(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        coarse, error = self._coarse.queries(queries)
        hits = _Hits(len(queries), k, error)
        _, near = faiss.knn(queries, self.centres, self.looked_at, metric=faiss.METRIC_INNER_PRODUCT)
        before = np.cumsum(sizes := np.diff(self._starts)[near], axis=1) - sizes
        for opening in (True, False):  # until a query has seen a few times k rows, nothing says what is too far off
            for cluster, asked in _by_cluster(near, (before < OPENING * k) == opening, len(self.centres)):
                start, stop = self._starts[cluster], self._starts[cluster + 1]
                scores = self._coarse.odd_tile(coarse, asked, start, stop)
                chosen = _first(scores, k, error[asked]) if opening else _above(scores, hits.floor[asked])
                hits.add(asked[chosen[0]], self._rows[start + chosen[1]], chosen[2])
            hits.raise_floor()
        return _finish(hits, queries, self.vectors)


def _by_cluster(near: Ints, now: Bools, clusters: int) -> Iterator[tuple[int, Ints]]:
    """For every cluster that queries are near to, the places of those whose turn it is."""
    queries, _ = np.nonzero(now)
    wanted = near[now]
    order = np.argsort(wanted.astype(np.uint16) if clusters <= 1 << 16 else wanted, kind="stable")
    bounds = np.searchsorted(wanted[order], np.arange(clusters + 1))
    for cluster in range(clusters):
        if bounds[cluster] < bounds[cluster + 1]:
            yield cluster, queries[order[bounds[cluster] : bounds[cluster + 1]]]
