"""The memory: judged queries point at the documents that answered them.

Four readings of how much a new query resembles those a document answered: the nearest one, the
neighbours' votes, the mean of their vectors, BM25 over their words. Nothing is re-indexed.
Whatever is *fitted* on judged queries must see them without themselves: `leave_out` hides a
query's own entry and its near-duplicates. Documents that no judged query names have no reading
(NaN, never 0: absence of evidence is not evidence).
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from resurvey.search.analyse import words
from resurvey.search.compose import Composable, best, first_stage
from resurvey.search.index import Index
from resurvey.search.postings import rarity
from resurvey.search.terms import K1, B, hashed
from resurvey.search.trace import timed
from resurvey.types import Floats, Ints, Qrels, Query, Run

NAME = "memory"
SOURCES = ("nearest query", "votes", "mean query", "asked words")
COUNT = "count"
NEAR = 0.95
"""Cosine from which another judged query counts as the same one when queries are left out."""
BLOCK = 64
NEIGHBOURS = 50
SHARPNESS = 20.0
"""Inverse temperature of the neighbours' votes."""
HIDDEN = -1.0
ASKED_AGAIN = 0.5
"""From this share on judged queries that share a document are evidence for new ones (docs/decisions.md)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged queries with their relevant documents: what a recipe keeps of the judgments."""

    texts: tuple[str, ...]
    documents: tuple[tuple[str, ...], ...]

    @property
    def asked_again(self) -> float:
        """Share of the queries that share a relevant document with another."""
        named = Counter(document for row in self.documents for document in row)
        again = sum(any(named[document] > 1 for document in row) for row in self.documents)
        return again / max(1, len(self.documents))

    def dump(self) -> bytes:
        """As an artefact."""
        return json.dumps({"texts": self.texts, "documents": self.documents}, ensure_ascii=False).encode("utf-8")


def judged(queries: Sequence[Query], qrels: Qrels) -> Judged:
    """The queries that have a relevant document, with all of them."""
    rows = [(q.text, tuple(sorted(d for d, grade in qrels.get(q.id, {}).items() if grade > 0))) for q in queries]
    rows = [row for row in rows if row[1]]
    return Judged(tuple(text for text, _ in rows), tuple(documents for _, documents in rows))


def load_judged(data: bytes) -> Judged:
    """What `dump` wrote."""
    value = json.loads(data)
    return Judged(tuple(value["texts"]), tuple(tuple(documents) for documents in value["documents"]))


class Memory(Composable):
    """Judged queries over one index; `leave_out` for queries that are judged themselves."""

    name = NAME

    def __init__(self, index: Index, entries: Judged, *, depth: int = 100, leave_out: bool = False) -> None:
        self.index = index
        self.entries = entries
        self.depth = depth
        self.leave_out = leave_out
        pairs = sorted(
            (index.rows[d], place) for place, row in enumerate(entries.documents) for d in row if d in index.rows
        )
        self._documents = np.array([row for row, _ in pairs], dtype=np.int64)
        self._entries = np.array([place for _, place in pairs], dtype=np.int64)
        self.known, self._starts = np.unique(self._documents, return_index=True)
        self.vectors = index.vectors.vectors(entries.texts, "query", index.progress)

    @functools.cached_property
    def incidence(self) -> csr_array:
        """(judged queries, known documents): 1 where the document was relevant."""
        columns = np.searchsorted(self.known, self._documents)
        ones = np.ones(len(columns), dtype=np.float32)
        return csr_array((ones, (self._entries, columns)), shape=(len(self.entries.texts), len(self.known)))

    @functools.cached_property
    def _same_words(self) -> dict[tuple[str, ...], list[int]]:
        found: dict[tuple[str, ...], list[int]] = {}
        for place, text in enumerate(self.entries.texts):
            found.setdefault(self._stems(text), []).append(place)
        return found

    def _stems(self, text: str) -> tuple[str, ...]:
        return tuple(sorted(words(text, self.index.language)))

    def similarities(self, queries: Sequence[Query]) -> Floats:
        """(queries, judged queries) cosines; HIDDEN where an entry is left out."""
        asked = self.index.vectors.vectors([query.text for query in queries], "query", self.index.progress)
        found = np.asarray(asked @ self.vectors.T, dtype=np.float32)
        if self.leave_out:
            found[found >= NEAR] = HIDDEN
            for row, query in enumerate(queries):
                found[row, self._same_words.get(self._stems(query.text), [])] = HIDDEN
        return found

    def evidence(self, queries: Sequence[Query], candidates: Sequence[Ints]) -> dict[str, list[Floats]]:
        """The four readings by name, and `count`, how many judged queries speak, for each query's own candidates."""
        if not len(self.known):
            nothing = [np.full(len(rows), np.nan, dtype=np.float32) for rows in candidates]
            return {**dict.fromkeys(SOURCES, nothing), COUNT: [np.nan_to_num(one) for one in nothing]}
        found = self.readings(queries)
        places = [np.minimum(np.searchsorted(self.known, rows), len(self.known) - 1) for rows in candidates]
        asked_for = [self.known[place] == rows for place, rows in zip(places, candidates, strict=True)]

        def picked(values: Floats, elsewhere: float) -> list[Floats]:
            rows = zip(values, asked_for, places, strict=True)
            return [np.where(known, row[place], np.float32(elsewhere)) for row, known, place in rows]

        return {name: picked(values, 0.0 if name == COUNT else np.nan) for name, values in found.items()}

    def readings(self, queries: Sequence[Query]) -> dict[str, Floats]:
        """The four readings and `count` of all known documents: (queries, known), NaN where nobody speaks."""
        similar = self.similarities(queries)
        counts = self._counts(similar)
        readings = (
            self._nearest(similar),
            self._votes(similar),
            self._mean(queries, similar),
            self._words(queries, similar),
        )
        silent = counts <= 0
        found = {
            name: np.where(silent, np.float32(np.nan), values) for name, values in zip(SOURCES, readings, strict=True)
        }
        return {**found, COUNT: counts}

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` documents that the readings, standardised and summed, speak for most."""
        rankings = {}
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            found = self.readings(block) if len(self.known) else {}
            for place, query in enumerate(block):
                rows = np.flatnonzero(found[COUNT][place] > 0) if found else np.zeros(0, dtype=np.int64)
                total = np.zeros(len(rows), dtype=np.float32)
                for name in SOURCES[1:] if len(rows) else ():
                    values = found[name][place, rows]
                    total += (values - values.mean()) / max(float(values.std()), 1e-6)
                places, kept = best(total, self.depth)
                documents = self.index.ids[self.known[rows[places]]].tolist()
                rankings[query.id] = first_stage(NAME, documents, kept)
        return Run(NAME, rankings)

    @functools.cached_property
    def _named(self) -> Floats:
        """How many judged queries name each known document."""
        return np.bincount(np.searchsorted(self.known, self._documents)).astype(np.float32)

    def _counts(self, similar: Floats) -> Floats:
        counts = np.repeat(self._named[None, :], len(similar), axis=0)
        for row, (hidden, _) in enumerate(map(self._touched, similar)) if self.leave_out else ():
            counts[row] -= self.incidence[hidden].sum(axis=0)
        return counts

    def _nearest(self, similar: Floats) -> Floats:
        return np.asarray(np.maximum.reduceat(similar[:, self._entries], self._starts, axis=1), dtype=np.float32)

    def _votes(self, similar: Floats) -> Floats:
        """Shares of the nearest judged queries' weight; those left out have none."""
        count = min(NEIGHBOURS, similar.shape[1])
        floor = np.partition(similar, -count, axis=1)[:, [-count]]
        rows, places = np.nonzero((similar >= floor) & (similar > HIDDEN))
        weights = np.exp(SHARPNESS * (similar[rows, places] - 1))
        total = np.bincount(rows, weights=weights, minlength=len(similar))
        shares = (weights / np.maximum(total, 1e-12)[rows]).astype(np.float32)
        return np.asarray((csr_array((shares, (rows, places)), shape=similar.shape) @ self.incidence).toarray())

    @functools.cached_property
    def _sums(self) -> Floats:
        return np.asarray(self.incidence.T @ self.vectors, dtype=np.float32)

    def _mean(self, queries: Sequence[Query], similar: Floats) -> Floats:
        """Cosine with the mean vector of a document's queries, those left out taken off it."""
        asked = self.index.vectors.vectors([query.text for query in queries], "query")
        dots = np.asarray(asked @ self._sums.T, dtype=np.float32)
        norms = np.repeat(np.linalg.norm(self._sums, axis=1)[None, :], len(queries), axis=0)
        for row, (hidden, touched) in enumerate(map(self._touched, similar)):
            if len(touched):
                sums = self._sums[touched] - self.incidence[hidden][:, touched].T @ self.vectors[hidden]
                dots[row, touched], norms[row, touched] = sums @ asked[row], np.linalg.norm(sums, axis=1)
        return np.asarray(dots / np.maximum(norms, 1e-6), dtype=np.float32)

    def _touched(self, similar: Floats) -> tuple[Ints, Ints]:
        """The hidden entries of one query, and the known documents they were relevant to."""
        hidden = np.flatnonzero(similar <= HIDDEN)
        return hidden, np.unique(self.incidence[hidden].indices).astype(np.int64) if len(hidden) else hidden

    @functools.cached_property
    def _hashed_entries(self) -> csr_array:
        return self._hashed(self.entries.texts)

    @functools.cached_property
    def _vocabulary(self) -> Ints:
        """The hashes that occur in judged queries: a few thousand columns instead of a million."""
        return np.unique(self._hashed_entries.indices).astype(np.int64)

    @functools.cached_property
    def _entry_terms(self) -> csr_array:
        return self._narrow(self._hashed_entries)

    def _hashed(self, texts: Sequence[str]) -> csr_array:
        return hashed(texts, lambda text: words(text, self.index.language))

    def _narrow(self, counts: csr_array) -> csr_array:
        """Counts by place in the vocabulary; terms that no judged query has are left out."""
        places = np.minimum(np.searchsorted(self._vocabulary, counts.indices), len(self._vocabulary) - 1)
        known = self._vocabulary[places] == counts.indices
        starts = np.concatenate([[0], np.cumsum(known)])[counts.indptr]
        return csr_array((counts.data[known], places[known], starts), shape=(counts.shape[0], len(self._vocabulary)))

    @functools.cached_property
    def _document_terms(self) -> csr_array:
        return csr_array(self.incidence.T @ self._entry_terms)

    @functools.cached_property
    def _word_scores(self) -> tuple[csr_array, Floats, float]:
        """BM25 weights (terms, known documents), idf of every term, mean length."""
        counts = self._document_terms
        idf = rarity(np.bincount(counts.indices, minlength=counts.shape[1]), counts.shape[0])
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        average = max(float(lengths.mean()), 1e-9)
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        weighted = counts.copy()
        weighted.data = _saturated(counts.data, lengths[rows], average) * idf[counts.indices]
        return csr_array(weighted.T), idf, average

    def _words(self, queries: Sequence[Query], similar: Floats) -> Floats:
        """BM25 of a query over all words of the queries a document answered, those left out taken off."""
        by_term, idf, average = self._word_scores
        asked = self._narrow(self._hashed([query.text for query in queries]))
        asked.data = np.ones_like(asked.data)
        found = np.asarray((asked @ by_term).toarray(), dtype=np.float32)
        for row, (hidden, touched) in enumerate(map(self._touched, similar)):
            if len(touched):
                terms = asked.indices[asked.indptr[row] : asked.indptr[row + 1]]
                rest = self._document_terms[touched] - self.incidence[hidden][:, touched].T @ self._entry_terms[hidden]
                lengths = np.asarray(rest.sum(axis=1)).reshape(-1, 1)
                found[row, touched] = (_saturated(rest[:, terms].toarray(), lengths, average) * idf[terms]).sum(axis=1)
        return found


def _saturated(counts: Floats, lengths: Floats, average: float) -> Floats:
    return np.asarray(counts / np.maximum(counts + K1 * (1 - B + B * lengths / average), 1e-9), dtype=np.float32)
