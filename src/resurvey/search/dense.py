"""The dense branch: exact inner products with every passage, or with truncated documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resurvey.search.compose import Composable, best, first_stage
from resurvey.search.index import Index
from resurvey.types import Floats, Query, Run

NAME = "dense"
BLOCK = 128


def similarities(index: Index, queries: Sequence[Query], view: str, transform: str) -> Floats:
    """Cosines of shape (queries, documents); over passages, a document's best one counts."""
    vectors = index.vectors.vectors([query.text for query in queries], "query", index.progress)
    found = index.transformed(vectors, transform) @ index.view(view, transform).T
    return index.best_passages(found) if view == "passages" else found


class Dense(Composable):
    """Cosine search over one view of the corpus, centred or standardised if asked."""

    name = NAME

    def __init__(self, index: Index, view: str = "passages", transform: str = "none", depth: int = 100) -> None:
        self.index = index
        self.view = view
        self.transform = transform
        self.depth = depth

    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best documents for every query."""
        rankings = {}
        self.index.vectors.vectors([query.text for query in queries], "query", self.index.progress)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            for query, scores in zip(block, similarities(self.index, block, self.view, self.transform), strict=True):
                rows, kept = best(np.asarray(scores, dtype=np.float32), self.depth)
                rankings[query.id] = first_stage(NAME, self.index.ids[rows].tolist(), kept)
        return Run(NAME, rankings)
