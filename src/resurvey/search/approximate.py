"""Approximate nearest vectors: a graph of small codes finds candidates, the full vectors decide.

The graph (faiss HNSW over 8-bit codes) is derived from a matrix and kept beside it, with a note of what it is
worth: its recall against an exact search, measured when it is made. As many threads make it as there are, so two
makings differ a little; one file always answers alike. Where no search depth is good enough, or the graph would not
fit into the memory that may be used, the note says so and every row is looked at. Knows matrices and files only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from resurvey.errors import ResurveyError
from resurvey.search.mapped import GIGABYTE, release, rows_within, slices
from resurvey.search.nearest import QUERIES, Exact, Nearest, rescored
from resurvey.types import Floats, Ints, Json, Progress, silent
from resurvey.workspace import read_json, write_json, writing

LINKS = 32
"""Neighbours of a row in the graph."""
CONSTRUCTION = 128
"""Candidates among which a new row's neighbours are chosen."""
TRAINED = 100_000
"""Rows from which the range of the codes is learned."""
WANTED = 0.98
"""Recall of the 100 nearest: what is measured is at least a standard error above it."""
K = 100
DEPTHS = (128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048, 2560, 3072, 4096)
"""Candidates kept on the way through the graph; the first that is good enough is used."""
PROBES = 512
"""Vectors by which recall is measured: queries, where so many as FEW are known."""
FEW = 100
ASIDE = 0.4
"""How far a probe leans from one row to another: about as hard to answer as real queries are."""
FETCHED = 1.3
"""Rows fetched for each one asked for, since codes are less exact than vectors."""
ADDED = 20_000
"""Rows put into the graph between two signs of life."""
LINKED = 300
"""Bytes that the links of a row take, besides a byte a dimension."""
DOING = "building the vector graph"
NOTE = ".json"


class Approximate:
    """Most of the nearest rows, much faster than looking at all; exact inner products of those found."""

    def __init__(self, vectors: Floats, graph: Any, depth: int, memory: float = 1.0) -> None:
        self.vectors = vectors
        self.depth = depth
        self._graph = graph
        self._exact = Exact(vectors, memory)

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        """As `Nearest` says, but for rows that the graph does not find."""
        k = min(k, len(self.vectors))
        depth = int(self.depth * max(1.0, k / K))
        if 8 * depth > len(self.vectors):  # the graph would lead everywhere anyway
            return self._exact.search(queries, k)
        rows = np.empty((len(queries), k), dtype=np.int64)
        scores = np.empty((len(queries), k), dtype=np.float32)
        for part in slices(len(queries), QUERIES):
            rows[part], scores[part] = self._some(np.ascontiguousarray(queries[part], dtype=np.float32), k, depth)
        return rows, scores

    def _some(self, queries: Floats, k: int, depth: int) -> tuple[Ints, Floats]:
        most = int(FETCHED * k)
        found = self._graph.search(queries, most, params=faiss.SearchParametersHNSW(efSearch=max(depth, most)))[1]
        rows, scores = rescored(queries, self.vectors, found, k)
        if len(lost := np.flatnonzero(rows[:, -1] < 0)):  # an island of the graph
            rows[lost], scores[lost] = self._exact.search(queries[lost], k)
        return rows, scores


def nearest(
    vectors: Floats, path: Path, memory: float, progress: Progress = silent, asked: Floats | None = None
) -> Nearest:
    """The graph at `path` over these vectors, made and measured if it is not there; exact search where it is no good.

    Args:
        vectors: unit rows, mapped or in memory.
        path: where the graph is or will be; its note lies beside it. The name must change when the vectors do.
        memory: gigabytes that may be used.
        asked: vectors of queries; recall is measured on these, where they are at least FEW.
    """
    made = _made(vectors)
    note = _read(path, made, memory)
    if note is None:
        note = {**made, **_make(vectors, path, memory, progress, asked)}
        write_json(path.with_suffix(NOTE), note)
    if note["refused"]:
        return Exact(vectors, memory)
    return Approximate(vectors, _open(path, made), int(note["depth"]), memory)


def _made(vectors: Floats) -> Json:
    """What a note must say for its graph to be used: how it was made, and of how many vectors."""
    return {
        "kind": f"HNSW{LINKS},SQ8",
        "construction": CONSTRUCTION,
        "wanted": WANTED,
        "rows": len(vectors),
        "dimensions": vectors.shape[1],
    }


def _read(path: Path, made: Mapping[str, Any], memory: float) -> Json | None:
    """The note of a graph that can be used, or of why there is none; None where it must be made."""
    try:
        note = read_json(path.with_suffix(NOTE))
    except ResurveyError:
        return None
    if any(note.get(name) != value for name, value in made.items()):
        return None
    if note["refused"]:
        return None if note["recall"] is None and note["needs"] <= memory else note
    return note if _open(path, made) is not None else None


def _open(path: Path, made: Mapping[str, Any]) -> Any:
    """The graph at `path`, mapped where faiss can; None where it is missing, damaged or of other vectors."""
    try:
        graph = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError:
        return None
    return graph if (graph.ntotal, graph.d) == (made["rows"], made["dimensions"]) else None


def _make(vectors: Floats, path: Path, memory: float, progress: Progress, asked: Floats | None) -> Json:
    """Build, measure and keep a graph; what it is worth, or why there is none."""
    needs = len(vectors) * (vectors.shape[1] + LINKED) / GIGABYTE
    note: Json = {"needs": round(needs, 3), "depth": None, "recall": None, "refused": ""}
    if needs > memory:
        return {**note, "refused": f"the graph would take {needs:.1f} GB, and `memory` is {memory:g}"}
    graph = _built(vectors, rows_within(memory, vectors.shape[1]), progress)
    known = asked is not None and len(asked) >= FEW
    probes = asked[_some_rows(len(asked), PROBES)] if known and asked is not None else _probes(vectors)
    note |= {"probes": "queries" if known else "rows", **_measured(vectors, graph, probes, memory)}
    if not note["refused"]:
        with writing(path) as file:
            faiss.write_index(graph, str(file.name))
    return note


def _built(vectors: Floats, block: int, progress: Progress) -> Any:
    graph = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = CONSTRUCTION
    graph.train(vectors[_some_rows(len(vectors), min(block, TRAINED))])
    for part in slices(len(vectors), min(block, ADDED)):
        progress(DOING, part.start, len(vectors))
        graph.add(np.ascontiguousarray(vectors[part]))
        release(vectors)
    progress(DOING, len(vectors), len(vectors))
    return graph


def _measured(vectors: Floats, graph: Any, probes: Floats, memory: float) -> Json:
    """The first depth that is good enough, with its recall; all rows are looked at to know that."""
    k = min(K, len(vectors))
    wanted = Exact(vectors, memory).search(probes, k)[0]
    recall = 0.0
    for depth in DEPTHS:
        found = Approximate(vectors, graph, depth, memory).search(probes, k)[0]
        shares = [len(np.intersect1d(a, b)) / k for a, b in zip(found, wanted, strict=True)]
        recall, error = float(np.mean(shares)), float(np.std(shares) / np.sqrt(len(shares)))
        if recall - error >= WANTED:
            return {"depth": depth, "recall": round(recall, 4)}
    refused = f"recall@{k} reaches {recall:.3f}, and {WANTED} is wanted"
    return {"recall": round(recall, 4), "refused": refused}


def _probes(vectors: Floats) -> Floats:
    """Unit vectors beside random rows: farther from every row than rows are from each other, as queries are."""
    rng = np.random.default_rng(0)
    near, aside = (vectors[rng.integers(0, len(vectors), PROBES)] for _ in range(2))
    moved = near + ASIDE * aside
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _some_rows(rows: int, most: int) -> Ints:
    """Up to `most` random rows; in order, for which a disk is thankful."""
    return np.sort(np.random.default_rng(0).choice(rows, min(most, rows), replace=False))
