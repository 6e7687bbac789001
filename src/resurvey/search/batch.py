"""Nearest vectors for thousands of queries at once: a coarse sweep that cannot miss, then exact scores.

Tiles (some queries, some rows) are multiplied in bfloat16 where the processor can, which halves the work. How far a
coarse score can be off is bounded by the rounding itself, so whatever might be among the best k is kept, scored
exactly, and ordered. `Sweep` looks at every row and is exact. `Clustered` looks only at the rows of the clusters
near a query, as many clusters as some of the queries show to be needed. Knows matrices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import faiss
import numpy as np

from resurvey.search.coarse import Coarse, Hits, above, finish, first
from resurvey.types import Bools, Floats, Ints

Search: TypeAlias = Callable[[Floats, int], tuple[Ints, Floats]]
QUERIES = 2048
"""Queries of one tile at most."""
ROWS = 2048
"""Rows of one tile of a sweep."""
OPENING = 3
"""Times k rows that a query sees before its floor is raised for the first time."""
WAVE = 8192
"""Queries that visit the clusters together."""
TRAINED = 64
"""Vectors a cluster's centre is made from."""
SAMPLED = 256
"""Queries that show how many clusters must be looked at."""
SPARE = 0.005
"""Recall that the sampled queries must show beyond what is wanted, as others may need more."""


def _in_parts(search: Search, queries: Floats, k: int, most: int) -> tuple[Ints, Floats]:
    """A search of at most so many queries at a time, the parts on as many threads as torch would use.

    Each thread multiplies alone: beside other work, threads that wait for each other in every small step took ten
    times as long.
    """
    import torch

    workers = torch.get_num_threads()
    size = max(1, min(most, -(-len(queries) // workers)))
    parts = [queries[start : start + size] for start in range(0, len(queries), size)] if k else []
    if workers == 1 or len(parts) < 2:
        found = [search(part, k) for part in parts]
    else:
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
        hits = Hits(len(queries), k, error)
        again = 1
        for number, low in enumerate(range(0, len(self.vectors), ROWS), 1):
            scores = self._coarse.tile(coarse, low, min(low + ROWS, len(self.vectors)))
            places, columns, kept = first(scores, k, error) if number == 1 else above(scores, hits.floor)
            hits.add(places, columns + low, kept)
            if number == again:  # the floor rises with the logarithm of what was seen
                hits.raise_floor()
                again *= 2
        return finish(hits, queries, self.vectors)


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
        best, _ = Sweep(self.vectors).search(sample, k)
        nearness = np.empty((len(sample), len(self.centres)), dtype=np.int64)
        order = np.argsort(-(sample @ self.centres.T), axis=1, kind="stable")
        np.put_along_axis(nearness, order, np.arange(len(self.centres))[None, :], axis=1)
        needed = np.take_along_axis(nearness, self._owner[best], axis=1)
        shares = np.cumsum(np.bincount(needed.ravel(), minlength=len(self.centres))) / needed.size
        enough = int(np.flatnonzero(shares >= min(1.0, wanted + SPARE))[0])
        return 1 + enough, float(shares[enough])

    def _block(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        coarse, error = self._coarse.queries(queries)
        hits = Hits(len(queries), k, error)
        _, near = faiss.knn(queries, self.centres, self.looked_at, metric=faiss.METRIC_INNER_PRODUCT)
        before = np.cumsum(sizes := np.diff(self._starts)[near], axis=1) - sizes
        for opening in (True, False):  # until a query has seen a few times k rows, nothing says what is too far off
            for cluster, asked in _by_cluster(near, (before < OPENING * k) == opening, len(self.centres)):
                start, stop = self._starts[cluster], self._starts[cluster + 1]
                scores = self._coarse.odd_tile(coarse, asked, start, stop)
                chosen = first(scores, k, error[asked]) if opening else above(scores, hits.floor[asked])
                hits.add(asked[chosen[0]], self._rows[start + chosen[1]], chosen[2])
            hits.raise_floor()
        return finish(hits, queries, self.vectors)


def _by_cluster(near: Ints, now: Bools, clusters: int) -> Iterator[tuple[int, Ints]]:
    """For every cluster that queries are near to, the places of those whose turn it is."""
    queries, _ = np.nonzero(now)
    wanted = near[now]
    order = np.argsort(wanted.astype(np.uint16) if clusters <= 1 << 16 else wanted, kind="stable")
    bounds = np.searchsorted(wanted[order], np.arange(clusters + 1))
    for cluster in range(clusters):
        if bounds[cluster] < bounds[cluster + 1]:
            yield cluster, queries[order[bounds[cluster] : bounds[cluster + 1]]]
