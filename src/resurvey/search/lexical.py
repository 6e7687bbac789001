"""The lexical branch: BM25 over the stems of the store's passages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resurvey.search.analyse import words
from resurvey.search.compose import Composable, best, first_stage
from resurvey.search.index import Index
from resurvey.types import Floats, Ints, Query, Run

NAME = "lexical"
SPARE = 1.5


class Lexical(Composable):
    """BM25; a document scores as its best passage."""

    name = NAME

    def __init__(self, index: Index, depth: int = 100) -> None:
        self.index = index
        self.depth = depth
        crowding = len(index.owners) / max(1, len(index.documents))
        self._most = depth if crowding == 1 else int(depth * crowding * SPARE) + 1

    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best documents for every query."""
        rankings = {}
        for done, query in enumerate(queries):
            if done % 200 == 0:
                self.index.progress("matching words", done, len(queries))
            owners, top = self._matches(" ".join(words(query.text, self.index.language)))
            places, kept = best(top, self.depth)
            rankings[query.id] = first_stage(NAME, self.index.ids[owners[places]].tolist(), kept)
        return Run(NAME, rankings)

    def _matches(self, terms: str) -> tuple[Ints, Floats]:
        """Documents and their best passages' scores; asks for more where a few documents crowd out the rest."""
        most = self._most
        while True:
            rows, scores = self.index.store.match(terms, most)
            owners, inverse = np.unique(self.index.owners[rows], return_inverse=True)
            if len(owners) >= self.depth or len(rows) < most:
                top = np.zeros(len(owners), dtype=np.float32)
                np.maximum.at(top, inverse, scores.astype(np.float32))
                return owners, top
            most *= 4
