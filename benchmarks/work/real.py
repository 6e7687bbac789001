"""Real vectors to measure with: every collection's passages and training queries embedded once, and more by jitter.

Kept below the system's temporary folder; random Gaussian vectors have no neighbourhoods and would measure nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from resurvey.data.chunk import cut
from resurvey.data.read import Sources, read
from resurvey.search.encode import open_encoder
from resurvey.search.vectors import VectorStore
from resurvey.types import Floats
from work.side import COLLECTIONS, built_on

KEPT = Path(tempfile.gettempdir()) / "resurvey-benchmark"
JITTER = 0.3
"""Length of the noise beside a vector of length 1: two copies of one vector then have a cosine of about 0.92."""
QUERIES = 400
BLOCK = 20_000


def passages(data: Path) -> Floats:
    """(passages of all collections, 384), unit length; embedded once."""
    return _kept("passages", data)


def queries(data: Path) -> Floats:
    """(queries, 384): up to 400 training and development queries of every collection; embedded once."""
    return _kept("queries", data)


def jittered(base: Floats, rows: int, seed: int = 13) -> Iterator[Floats]:
    """Blocks of `rows` vectors in all: random ones of `base`, each moved by noise, unit length again."""
    rng = np.random.default_rng(seed)
    scale = JITTER / np.sqrt(base.shape[1])
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        moved = base[rng.integers(0, len(base), count)]
        moved = moved + scale * rng.standard_normal(moved.shape, dtype=np.float32)
        yield np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def _kept(name: str, data: Path) -> Floats:
    if not (KEPT / f"{name}.npy").exists():
        KEPT.mkdir(exist_ok=True)
        encoder = open_encoder("bundled", KEPT / "engines")
        store = VectorStore(KEPT / "vectors", encoder)
        texts: list[str] = []
        for collection in COLLECTIONS:
            if name == "passages":
                texts += cut(read(Sources(data / collection / "corpus.jsonl")).documents, encoder, 128).texts
            else:
                texts += _queries(data / collection)
        np.save(KEPT / f"{name}.npy", store.vectors(texts, "passage" if name == "passages" else "query"))
    return np.asarray(np.load(KEPT / f"{name}.npy"), dtype=np.float32)


def _queries(folder: Path) -> list[str]:
    """Queries that training or development judgments name; those of the test side stay unread."""
    brought = built_on(folder)
    judged = {j.query for rows in brought.judgments.values() for j in rows}
    return [query.text for query in brought.queries if query.id in judged][:QUERIES]
