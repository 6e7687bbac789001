"""Vector search beside faiss alone: exact against its flat index, approximate against the same graph without rescoring."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from resurvey.search import approximate
from resurvey.search.mapped import kept_matrix
from resurvey.search.nearest import Exact, Nearest
from resurvey.types import Floats, Ints, silent
from work import real
from work.side import Row, Work, timed

K = 100
BATCH = 1000
SINGLE = 200


def nearest(arguments: argparse.Namespace) -> list[Row]:
    """1,000 queries in a batch and one at a time over each number of vectors asked for."""
    base = real.passages(arguments.data)
    asked = real.queries(arguments.data)
    asked = asked[np.random.default_rng(0).permutation(len(asked))]
    asked, known = asked[:BATCH], asked[BATCH:]
    rows: list[Row] = []
    for count in arguments.vectors:
        with tempfile.TemporaryDirectory(dir=real.KEPT) as folder:
            path = Path(folder) / "vectors.npy"
            vectors = kept_matrix(path, (count, base.shape[1]), lambda: real.jittered(base, count))  # noqa: B023
            rows += _size(vectors, asked, known, path, arguments.rounds)
    return rows


def _size(vectors: Floats, asked: Floats, known: Floats, path: Path, rounds: int) -> list[Row]:
    made, ours = timed(approximate.nearest, vectors, path.with_suffix(".hnsw"), 2.0, silent, known)
    note = json.loads(path.with_suffix(".json").read_text())
    assert isinstance(ours, approximate.Approximate), note["refused"]
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    graph = faiss.read_index(str(path.with_suffix(".hnsw")))
    graph.hnsw.efSearch = ours.depth
    exact = Exact(vectors)
    held = f"peak memory above the vectors {_peak(exact, asked):.0f} MB exact, {_peak(ours, asked):.0f} MB graph"
    wanted, found, alone = exact.search(asked, K)[0], ours.search(asked, K)[0], graph.search(asked, K)[1]
    size = f"{len(vectors):,} vectors"
    same = np.mean(flat.search(asked, K)[1] == wanted)
    build = f"depth {ours.depth} chosen for a measured {note['recall']:.3f}, made and measured in {made:.0f} s, {path.with_suffix('.hnsw').stat().st_size / 1e6:.0f} MB"
    recalls = f"recall@100 of other queries than chose the depth: ours {_recall(found, wanted):.4f}, faiss {_recall(alone, wanted):.4f}"
    return [
        _batch(
            f"exact, {len(asked):,} queries, {size}",
            flat,
            exact,
            asked,
            rounds,
            f"{same:.2%} of places the same; {held}",
        ),
        _batch(f"graph, {len(asked):,} queries, {size}", graph, ours, asked, rounds, f"{recalls}; {build}"),
        _single(f"exact, one query p50, {size}", flat, exact, asked, rounds),
        _single(f"graph, one query p50, {size}", graph, ours, asked, rounds),
    ]


def _batch(name: str, peer: Any, ours: Nearest, asked: Floats, rounds: int, note: str) -> Row:
    row = Row(name, "0.83 (1.2 times its time)", note=note)
    for _ in range(rounds):
        row.peer.append(timed(peer.search, asked, K)[0])
        row.ours.append(timed(ours.search, asked, K)[0])
    return row


def _single(name: str, peer: Any, ours: Nearest, asked: Floats, rounds: int) -> Row:
    row = Row(name, "1 ms at 100,000" if name.startswith("graph") else "")
    for _ in range(rounds):
        for search, told in ((peer.search, row.peer), (ours.search, row.ours)):
            told.append(statistics.median(timed(search, query[None], K)[0] for query in asked[:SINGLE]))
    return row


def _recall(found: Ints, wanted: Ints) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, wanted, strict=True)]))


def _peak(ours: Nearest, asked: Floats) -> float:
    """Most megabytes of its own (not of mapped files) that the process took more while it searched a batch."""
    before, most, ended = _own(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.is_set():
            most = max(most, _own() - before)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    ours.search(asked, K)
    ended.set()
    watcher.join()
    return most


def _own() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


WORK: dict[str, Work] = {"nearest": nearest}
