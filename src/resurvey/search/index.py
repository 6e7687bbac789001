"""The index: one snapshot opened, with the vectors and row numbers that every branch shares.

Whatever is derived from the corpus (means, term matrices) belongs here and can be rebuilt; what
was learned from judgments belongs to a recipe. Knows nothing about queries.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resurvey.data.chunk import Cut, cut
from resurvey.protocols import Encoder
from resurvey.search import postings as postings_of
from resurvey.search.postings import RULES, Postings
from resurvey.search.store import Store, build
from resurvey.search.vectors import VectorStore
from resurvey.settings import Settings
from resurvey.types import Document, Floats, Ints, Progress, silent

VIEWS = ("truncated", "passages", "titles")
TRANSFORMS = ("none", "center", "standardise")


class Index:
    """Documents by row, their passages, their text index, their vectors."""

    def __init__(
        self, folder: Path, store: Store, documents: Sequence[Document], parts: Cut, vectors: VectorStore
    ) -> None:
        self.folder = folder
        self.store = store
        self.documents = tuple(documents)
        self.ids = np.array([document.id for document in documents], dtype=object)
        self.rows = {document.id: row for row, document in enumerate(documents)}
        self.cut = parts
        self.owners = np.array([self.rows[p.document] for p in parts.passages], dtype=np.int64)
        self.vectors = vectors
        self.progress: Progress = silent
        self._views: dict[tuple[str, str], Floats] = {}
        self._postings: dict[str, Postings] = {}

    @property
    def encoder(self) -> Encoder:
        """The encoder whose space the vectors are in."""
        return self.vectors.encoder

    @property
    def language(self) -> str:
        """The language whose stemmer made the text index."""
        return self.store.snapshot.language

    @functools.cached_property
    def starts(self) -> Ints:
        """First passage row of every document."""
        return np.searchsorted(self.owners, np.arange(len(self.documents)))

    @functools.cached_property
    def truncated(self) -> Floats:
        """(documents, dimensions): whole documents, cut where the encoder stops reading."""
        return self.vectors.vectors([d.full_text for d in self.documents], "passage", self.progress)

    @functools.cached_property
    def passages(self) -> Floats:
        """(passages, dimensions)."""
        return self.vectors.vectors(self.cut.texts, "passage", self.progress)

    @functools.cached_property
    def titles(self) -> Floats:
        """(documents, dimensions): titles alone, the whole document where there is none."""
        return self.vectors.vectors([d.title or d.full_text for d in self.documents], "passage", self.progress)

    @functools.cached_property
    def center(self) -> Floats:
        """Mean passage vector."""
        return np.asarray(self.passages.mean(axis=0), dtype=np.float32)

    @functools.cached_property
    def spread(self) -> Floats:
        """Standard deviation of every dimension over the passages."""
        return np.asarray(np.maximum(self.passages.std(axis=0), 1e-6), dtype=np.float32)

    def transformed(self, vectors: Floats, transform: str) -> Floats:
        """Vectors centred, or standardised, by the corpus (Timkey and van Schijndel 2021), unit length again."""
        assert transform in TRANSFORMS, transform
        if transform == "none":
            return vectors
        moved = vectors - self.center
        if transform == "standardise":
            moved = moved / self.spread
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.maximum(lengths, 1e-12), dtype=np.float32)

    def view(self, name: str, transform: str) -> Floats:
        """The vectors of a view, transformed; computed once."""
        assert name in VIEWS, name
        if (name, transform) not in self._views:
            self._views[name, transform] = self.transformed(getattr(self, name), transform)
        return self._views[name, transform]

    def postings(self, column: str) -> Postings:
        """The postings of one text column; made once a snapshot and kept beside it."""
        if column not in self._postings:
            rule = RULES[column]
            name = f"{self.store.snapshot.key[:16]}-{column}-{rule.k1:g}-{rule.b:g}"
            folder = self.folder / "derived" / name
            if not folder.exists():
                postings_of.save(postings_of.build(self.store.column(column), rule), folder)
            self._postings[column] = postings_of.load(folder)
        return self._postings[column]

    def best_passages(self, similarities: Floats) -> Floats:
        """(queries, passages) to (queries, documents): a document scores as its best passage."""
        if len(self.owners) == len(self.documents):
            return similarities
        return np.asarray(np.maximum.reduceat(similarities, self.starts, axis=1), dtype=np.float32)


def open_index(
    folder: Path, documents: Sequence[Document], encoder: Encoder, settings: Settings, vectors: Path | None = None
) -> Index:
    """Build what is missing below `folder` and open it; vectors may live elsewhere and be shared."""
    parts = cut(documents, encoder, settings.integer("passage_tokens"))
    snapshot = build(folder, documents, parts, settings.text("language"))
    store = VectorStore(vectors or folder / "vectors", encoder)
    return Index(folder, Store(folder, snapshot), documents, parts, store)
