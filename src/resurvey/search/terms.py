"""Term matrices: every document as weighted terms, so that any (query, document) pair has a score.

Derived from a snapshot, kept beside it and rebuilt at will. Kinds of terms: stems of the
whole document, stems of its title, raw tokens with their punctuation, character n-grams. Terms are
hashed, so a matrix needs no vocabulary. Knows nothing about vectors or judgments.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, load_npz, save_npz
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.preprocessing import normalize

from resurvey.search.analyse import tokens, words
from resurvey.search.compose import Composable, best, first_stage
from resurvey.search.index import Index
from resurvey.search.postings import rarity
from resurvey.search.segments import segments
from resurvey.search.trace import timed
from resurvey.types import Document, Floats, Ints, Query, Run
from resurvey.workspace import writing

CHARACTERS = "characters"
HASHES = 2**20
K1, B = 1.5, 0.75
BLOCK = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """One kind of terms: which text it reads, how it cuts it, how it weighs what it finds."""

    name: str
    sentence: str
    field: Callable[[Document], str]
    analyser: Callable[[str, str], list[str]] | None
    """(text, language) to terms; None cuts character n-grams of 3 to 5 inside words."""


KINDS: tuple[Terms, ...] = (
    Terms("stems", "BM25 over the stems of title and text", lambda d: d.full_text, words),
    Terms("title", "BM25 over the stems of the title", lambda d: d.title, words),
    Terms("title cover", "Share of the title's word weight that the query holds", lambda d: d.title, words),
    Terms("tokens", "BM25 over raw tokens, punctuation kept", lambda d: d.full_text, lambda text, _: tokens(text)),
    Terms(
        "segments",
        "BM25 over what codes and numbers are made of",
        lambda d: d.full_text,
        lambda text, _: segments(text),
    ),
    Terms(CHARACTERS, "TF-IDF cosine over character n-grams", lambda d: d.full_text, None),
)


def hashed(texts: Sequence[str], analyser: Callable[[str], list[str]] | None) -> csr_array:
    """Counts of hashed terms, (texts, HASHES); without an analyser, character n-grams of 3 to 5 inside words.

    N-grams do not reach over the ends of words, so each different word is cut once, however often it stands.
    """
    if analyser is not None:
        return csr_array(_hashing(analyzer=analyser).transform(list(texts)))
    counter = CountVectorizer(analyzer=lambda text: text.lower().split(), dtype=np.float32)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # not one word
        return csr_array((len(texts), HASHES), dtype=np.float32)
    return csr_array(
        counts @ _hashing(analyzer="char_wb", ngram_range=(3, 5)).transform(counter.get_feature_names_out())
    )


def _hashing(**cutting: Any) -> HashingVectorizer:
    return HashingVectorizer(**cutting, n_features=HASHES, norm=None, alternate_sign=False, dtype=np.float32)


class TermMatrix:
    """Weighted terms of all documents; rows as in the index."""

    def __init__(self, kind: Terms, index: Index) -> None:
        self.kind = kind
        self._language = index.language
        path = index.folder / "derived" / f"{index.store.snapshot.texts[:16]}-{kind.name}.npz"
        self.matrix = csr_array(load_npz(path)) if path.exists() else self._build(index)
        if not path.exists():
            with writing(path) as file:
                save_npz(file, self.matrix, compressed=False)
        self._by_term = self.matrix.T.tocsr()
        self._lengths, self._frequency = np.diff(self.matrix.indptr), np.diff(self._by_term.indptr)
        self.idf = rarity(self._frequency, self.matrix.shape[0])

    def counts(self, texts: Sequence[str]) -> csr_array:
        """Unweighted terms of queries, (queries, hashes); the same for all kinds with the same analyser."""
        analyser, language = self.kind.analyser, self._language
        return hashed(texts, None if analyser is None else lambda text: analyser(text, language))

    def _build(self, index: Index) -> csr_array:
        counts = self.counts([self.kind.field(d) for d in index.documents])
        idf = rarity(np.bincount(counts.indices, minlength=HASHES), counts.shape[0])
        data = counts.data
        if self.kind.analyser is None:
            counts.data = (1 + np.log(data)) * idf[counts.indices]
            return csr_array(normalize(counts))
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        if self.kind.name == "title cover":
            counts.data = idf[counts.indices]
            mass = np.bincount(rows, weights=counts.data, minlength=counts.shape[0])
            counts.data = (counts.data / mass[rows]).astype(np.float32)
            return counts
        lengths = np.bincount(rows, weights=data, minlength=counts.shape[0])
        share = lengths / max(float(lengths.mean()), 1e-9)
        saturation = data + K1 * (1 - B + B * share[rows])
        counts.data = (idf[counts.indices] * data * (K1 + 1) / saturation).astype(np.float32)
        return counts

    def weighted(self, counts: csr_array) -> csr_array:
        """`counts` of queries weighted as this kind weighs them."""
        asked = counts.copy()
        if self.kind.analyser is None:
            asked.data = (1 + np.log(asked.data)) * self.idf[asked.indices]
            return csr_array(normalize(asked))
        asked.data = np.ones_like(asked.data)
        return asked

    def scores(self, texts: Sequence[str]) -> Floats:
        """(queries, documents) scores."""
        return np.asarray((self.weighted(self.counts(texts)) @ self._by_term).toarray(), dtype=np.float32)

    def pairs(self, asked: csr_array, candidates: Sequence[Ints]) -> list[Floats]:
        """Scores of each weighted query's own candidates, in their order.

        Two ways to the same sums: all postings of the queries' terms, or all terms of the candidates; the
        shorter one is taken, so that the time stays bounded however large the corpus is.
        """
        postings = int(self._frequency[asked.indices].sum())
        if postings <= sum(int(self._lengths[rows].sum()) for rows in candidates):
            return _picked(csr_array(asked @ self._by_term), candidates)
        found, weights = [], np.zeros(HASHES, dtype=np.float32)
        for (terms, values), rows in zip(_by_row(asked), candidates, strict=True):
            weights[terms] = values
            found.append(np.asarray(self.matrix[rows] @ weights, dtype=np.float32))
            weights[terms] = 0
        return found


def _by_row(matrix: csr_array) -> Iterator[tuple[Ints, Floats]]:
    """(columns, values) of every row."""
    for start, end in itertools.pairwise(matrix.indptr):
        yield matrix.indices[start:end], matrix.data[start:end]


def _picked(scores: csr_array, candidates: Sequence[Ints]) -> list[Floats]:
    """Some columns of every row, without ever holding all of them for more than one row."""
    found, row = [], np.zeros(scores.shape[1], dtype=np.float32)
    for (columns, values), wanted in zip(_by_row(scores), candidates, strict=True):
        row[columns] = values
        found.append(row[wanted])
        row[columns] = 0
    return found


class Characters(Composable):
    """The character branch: cosine of n-gram weights; finds what spelling and inflection hide."""

    name = CHARACTERS

    def __init__(self, index: Index, depth: int = 100) -> None:
        self.index = index
        self.depth = depth
        self.terms = TermMatrix(next(kind for kind in KINDS if kind.name == CHARACTERS), index)

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best documents for every query; those without a common n-gram are left out."""
        rankings = {}
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            for query, scores in zip(block, self.terms.scores([q.text for q in block]), strict=True):
                rows, kept = best(scores, self.depth)
                rankings[query.id] = first_stage(CHARACTERS, self.index.ids[rows[kept > 0]].tolist(), kept[kept > 0])
        return Run(CHARACTERS, rankings)
