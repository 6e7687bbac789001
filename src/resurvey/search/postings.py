"""Postings: for every term of a column, the passages that hold it and what it counts for in each (BM25).

One sparse matrix a stream, made from a column of the store, kept beside it as plain arrays and mapped into memory;
many queries are one product with it. Every (query, passage) pair has its exact score, so streams can be added.
Knows terms; knows nothing about how texts become terms.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from resurvey.types import Floats, Ints
from resurvey.workspace import make_folder, sync, sync_tree

TERMS, ARRAYS = "terms.txt", ("starts", "rows", "weights")
BLOCK, MOST = 64, 4_000_000
"""Queries that are scored at once, and postings that they may touch together."""


@dataclass(frozen=True, slots=True)
class Rule:
    """BM25's two constants: how soon repeating a term stops counting, and how much length does."""

    k1: float
    b: float


RULES = {"words": Rule(2.0, 0.75), "identifiers": Rule(1.2, 0.0)}
"""By column. Chosen on train and dev queries of five collections (docs/decisions.md); LanceDB has 1.2 and 0.75, fixed."""


class Postings:
    """One column's terms, searchable."""

    def __init__(self, terms: Sequence[str], weights: csr_array) -> None:
        self.weights = weights
        """(terms, passages)."""
        self._places = {term: place for place, term in enumerate(terms)}

    def scores(self, asked: Sequence[Sequence[str]]) -> csr_array:
        """(queries, passages): the sum of what the terms of each query count for; one asked twice counts twice."""
        known = [[self._places[term] for term in terms if term in self._places] for terms in asked]
        starts = np.cumsum([0, *map(len, known)], dtype=np.int32)
        columns = np.array([place for places in known for place in places], dtype=np.int32)
        ones = np.ones(len(columns), dtype=np.float32)
        return csr_array((ones, columns, starts), shape=(len(asked), len(self._places))) @ self.weights

    def blocks(self, asked: Sequence[Sequence[str]]) -> Iterator[slice]:
        """Successive queries that together touch no more postings than fit in bounded memory."""
        start, touched = 0, 0
        for place, terms in enumerate(asked):
            cost = sum(self.count(term) for term in terms)
            if place > start and (place - start == BLOCK or touched + cost > MOST):
                yield slice(start, place)
                start, touched = place, 0
            touched += cost
        if start < len(asked):
            yield slice(start, len(asked))

    def count(self, term: str) -> int:
        """Passages that hold a term."""
        place = self._places.get(term)
        return 0 if place is None else int(self.weights.indptr[place + 1] - self.weights.indptr[place])

    def most(self, term: str) -> float:
        """The most that a term counts for in any passage; 0 where none holds it."""
        place = self._places.get(term)
        if place is None:
            return 0.0
        return float(self.weights.data[self.weights.indptr[place] : self.weights.indptr[place + 1]].max(initial=0.0))


def rarity(frequency: Ints, documents: int) -> Floats:
    """BM25's inverse document frequency, never negative (Lucene's variant)."""
    return np.asarray(np.log1p((documents - frequency + 0.5) / (frequency + 0.5)), dtype=np.float32)


def build(column: pa.ChunkedArray, rule: Rule) -> Postings:
    """Postings of a column of space-joined terms, a row a passage."""
    texts = column.combine_chunks()
    lists = pc.split_pattern(pc.if_else(pc.equal(texts, ""), None, texts), " ")
    coded = lists.values.dictionary_encode()
    starts = lists.offsets.to_numpy()
    ones = np.ones(len(coded), dtype=np.float32)
    shape = (len(column), len(coded.dictionary))
    held = csr_array((ones, coded.indices.to_numpy(), starts), shape=shape).T.tocsr()
    held.sum_duplicates()
    lengths = np.diff(starts).astype(np.float32)
    frequency = np.diff(held.indptr)
    room = rule.k1 * (1 - rule.b + rule.b * lengths / max(float(lengths.mean()) if len(lengths) else 0.0, 1e-9))
    held.data = (
        np.repeat(rarity(frequency, shape[0]), frequency) * held.data * (rule.k1 + 1) / (held.data + room[held.indices])
    )
    held.data = held.data.astype(np.float32)
    return Postings(coded.dictionary.to_pylist(), held)


def save(postings: Postings, folder: Path) -> None:
    """Write to a folder that appears whole or not at all."""
    make_folder(folder.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (partial / TERMS).write_text("".join(f"{term}\n" for term in postings._places), encoding="utf-8")
        kept = (postings.weights.indptr, postings.weights.indices, postings.weights.data)
        for name, array in zip(ARRAYS, kept, strict=True):
            np.save(partial / f"{name}.npy", array)
        np.save(partial / "passages.npy", postings.weights.shape[1])
        sync_tree(partial)
        os.rename(partial, folder)
        sync(folder.parent)
    except OSError:  # another process was first
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load(folder: Path) -> Postings:
    """What `save` wrote, mapped into memory."""
    starts, rows, weights = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS)
    terms = (folder / TERMS).read_text(encoding="utf-8").split("\n")[:-1]
    shape = (len(starts) - 1, int(np.load(folder / "passages.npy")))
    return Postings(terms, csr_array((weights, rows, starts), shape=shape, copy=False))
