"""The dense branch: inner products with passages or truncated documents, exact up to a size, a graph beyond."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from resurvey.errors import ResurveyError
from resurvey.search.adapter import Adapter
from resurvey.search.compose import Composable, first_stage
from resurvey.search.index import Index
from resurvey.search.mapped import slices
from resurvey.search.trace import timed
from resurvey.types import Floats, Ints, Query, Run

NAME = "dense"
BLOCK = 1024


def similarities(index: Index, queries: Sequence[Query], view: str, transform: str) -> Floats:
    """Cosines of shape (queries, documents); over passages, a document's best one counts."""
    vectors = index.vectors.vectors([query.text for query in queries], "query", index.progress)
    found = index.transformed(vectors, transform) @ index.view(view, transform).T
    return index.best_passages(found) if view == "passages" else found


class Dense(Composable):
    """Cosine search over one view of the corpus, centred or standardised if asked, queries adapted if asked."""

    name = NAME

    def __init__(
        self,
        index: Index,
        view: str = "passages",
        transform: str = "none",
        depth: int = 100,
        adapter: Adapter | None = None,
    ) -> None:
        if adapter is not None and adapter.dimensions != index.encoder.dimensions:
            raise ResurveyError(
                f"the adapter maps vectors of {adapter.dimensions} numbers, the encoder's have {index.encoder.dimensions}",
                "resurvey treat DIR adapter",
            )
        self.index = index
        self.adapter = adapter
        self.view = view
        self.transform = transform
        self.depth = depth
        self._most = index.passages_for(depth) if view == "passages" else depth

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best documents for every query; a document scores as its best passage."""
        rankings = {}
        asked = self.index.vectors.vectors([query.text for query in queries], "query", self.index.progress)
        for part in slices(len(queries), BLOCK):
            vectors = self.index.transformed(asked[part], self.transform)
            vectors = vectors if self.adapter is None else self.adapter.moved(vectors)
            for query, (rows, scores) in zip(queries[part], self._documents(vectors), strict=True):
                rankings[query.id] = first_stage(NAME, self.index.ids[rows].tolist(), scores)
        return Run(NAME, rankings)

    def _documents(self, vectors: Floats) -> Iterator[tuple[Ints, Floats]]:
        """Document rows and scores of every query; asks for more where a few documents crowd out the rest."""
        nearest = self.index.nearest(self.view, self.transform, vectors)
        for rows, scores, vector in zip(*nearest.search(vectors, self._most), vectors, strict=True):
            most = self._most
            found = self._first(rows)
            while len(found) < self.depth and len(rows) == most:
                most *= 4
                rows, scores = (part[0] for part in nearest.search(vector[None], most))  # noqa: PLW2901
                found = self._first(rows)
            owners = self.index.owners[rows[found]] if self.view == "passages" else rows[found]
            yield owners, scores[found]

    def _first(self, rows: Ints) -> Ints:
        """Places of the best passages of the `depth` best documents, best first."""
        if self.view != "passages":
            return np.arange(min(self.depth, len(rows)))
        places = np.unique(self.index.owners[rows], return_index=True)[1]
        places.sort()
        return np.asarray(places[: self.depth], dtype=np.int64)
