"""The lexical branch: BM25 over the stems of the store's passages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resurvey.search.analyse import words
from resurvey.search.compose import Composable, best, first_stage
from resurvey.search.index import Index
from resurvey.types import Query, Run

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
            rows, scores = self.index.store.match(" ".join(words(query.text, self.index.language)), self._most)
            owners, inverse = np.unique(self.index.owners[rows], return_inverse=True)
            top = np.zeros(len(owners), dtype=np.float32)
            np.maximum.at(top, inverse, scores.astype(np.float32))
            places, kept = best(top, self.depth)
            rankings[query.id] = first_stage(NAME, self.index.ids[owners[places]].tolist(), kept)
        return Run(NAME, rankings)
