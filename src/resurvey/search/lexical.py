"""The lexical branch: BM25 over the store's two columns, words and, where they have a weight, identifiers.

Both streams are scored apart, for every passage; a passage counts for the sum, a document for its best passage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from resurvey.search.analyse import identifiers, words
from resurvey.search.compose import Composable, first_stage
from resurvey.search.index import Index
from resurvey.search.store import IDENTIFIERS, WORDS
from resurvey.search.trace import timed
from resurvey.types import Floats, Ints, Query, Ranking, Run

NAME = "lexical"


class Lexical(Composable):
    """BM25 of words, plus `weight` times BM25 of identifiers."""

    name = NAME

    def __init__(self, index: Index, depth: int = 100, weight: float = 0.0) -> None:
        self.index = index
        self.depth = depth
        self.weight = weight
        self._most = index.passages_for(depth)

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best documents for every query; those without a common term are left out."""
        language = self.index.language
        asked = [words(query.text, language) for query in queries]
        codes = [identifiers(query.text, language) if self.weight else [] for query in queries]
        postings, rankings = self.index.postings(WORDS), {}
        for block in postings.blocks(asked):
            self.index.progress("matching words", block.start, len(queries))
            found = postings.scores(asked[block])
            if any(codes[block]):
                found = found + self.weight * self.index.postings(IDENTIFIERS).scores(codes[block])
            for place, query in enumerate(queries[block]):
                rankings[query.id] = self._best(found, place)
        return Run(NAME, rankings)

    def _best(self, found: csr_array, place: int) -> Ranking:
        """The best documents of one query by their best passages, equal ones by row."""
        span = slice(found.indptr[place], found.indptr[place + 1])
        rows, scores = found.indices[span], found.data[span]
        most = self._most
        while True:
            kept, top = _highest(rows, scores, most)
            owners = self.index.owners[kept]
            firsts = np.sort(np.unique(owners, return_index=True)[1])[: self.depth]
            if len(firsts) == self.depth or len(kept) == len(rows):
                return first_stage(NAME, self.index.ids[owners[firsts]].tolist(), top[firsts])
            most *= 4  # a few documents crowd out the rest


def _highest(rows: Ints, scores: Floats, most: int) -> tuple[Ints, Floats]:
    """The passages with the `most` highest scores and those equal to the last of them, best first, then by row."""
    if len(scores) > most:
        chosen = scores >= np.partition(scores, len(scores) - most)[len(scores) - most]
        rows, scores = rows[chosen], scores[chosen]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order].astype(np.float32)
