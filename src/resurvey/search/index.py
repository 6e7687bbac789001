"""The index: one snapshot opened, with the vectors and row numbers that every branch shares.

Whatever is derived from the corpus (means, term matrices) belongs here and can be rebuilt; what
was learned from judgments belongs to a recipe. Knows nothing about queries.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from resurvey.data.chunk import Cut, cut
from resurvey.protocols import Encoder
from resurvey.search import approximate
from resurvey.search import postings as postings_of
from resurvey.search.derived import Derived
from resurvey.search.mapped import kept_matrix, release, rows_within, slices
from resurvey.search.nearest import Exact, Nearest
from resurvey.search.postings import RULES, Postings
from resurvey.search.store import Store, build
from resurvey.search.vectors import VectorStore
from resurvey.settings import Settings
from resurvey.types import Document, Floats, Ints, Progress, silent
from resurvey.workspace import digest

VIEWS = ("truncated", "passages", "titles")
TRANSFORMS = ("none", "center", "standardise")
SPARE = 1.5
"""Passages asked for beyond what documents have on average, before asking again."""


class Index:
    """Documents by row, their passages, their text index, their vectors.

    Every view of the corpus is a matrix on disk, mapped: (documents or passages, dimensions), unit rows.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        documents: Sequence[Document],
        parts: Cut,
        vectors: VectorStore,
        settings: Settings,
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
        self._derived = Derived(folder / "derived")
        self._settings = settings
        self._memory = settings.number("memory")
        self._exact_up_to = settings.integer("exact_up_to")
        self._views: dict[tuple[str, str], Floats] = {}
        self._searched: dict[tuple[str, str], Nearest] = {}
        self._texts: Mapping[str, Callable[[], Sequence[str]]] = {
            "passages": lambda: self.cut.texts,
            "truncated": lambda: [d.full_text for d in self.documents],
            "titles": lambda: [d.title or d.full_text for d in self.documents],
        }
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

    @property
    def truncated(self) -> Floats:
        """(documents, dimensions): whole documents, cut where the encoder stops reading."""
        return self.view("truncated")

    @property
    def passages(self) -> Floats:
        """(passages, dimensions)."""
        return self.view("passages")

    @property
    def titles(self) -> Floats:
        """(documents, dimensions): titles alone, the whole document where there is none."""
        return self.view("titles")

    @property
    def center(self) -> Floats:
        """Mean passage vector."""
        return np.asarray(self._moments[0])

    @property
    def spread(self) -> Floats:
        """Standard deviation of every dimension over the passages."""
        return np.asarray(self._moments[1])

    @functools.cached_property
    def _moments(self) -> Floats:
        """(2, dimensions): mean and standard deviation, kept on disk."""
        shape = 2, self.encoder.dimensions
        return kept_matrix(self._path("moments", "npy"), shape, lambda: [moments(self.passages, self._block)])

    def under(self, encoder: Encoder) -> Index:
        """The same snapshot and passages in another encoder's space; vectors lie beside this one's."""
        other = Index(self.folder, self.store, self.documents, self.cut, self.vectors.beside(encoder), self._settings)
        other.progress, other._postings = self.progress, self._postings
        return other

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

    def view(self, name: str, transform: str = "none") -> Floats:
        """The vectors of a view, transformed: a mapped matrix, written when first asked for."""
        assert name in VIEWS, name
        if (name, transform) not in self._views:
            texts = self._texts[name]()
            self._views[name, transform] = kept_matrix(
                self._path(f"{name}-{transform}", "npy"),
                (len(texts), self.encoder.dimensions),
                lambda: self._read(texts) if transform == "none" else self._moved(name, transform),
            )
        return self._views[name, transform]

    def nearest(self, name: str, transform: str = "none", asked: Floats | None = None) -> Nearest:
        """A view made searchable: every row is looked at up to the setting `exact_up_to`, a graph leads beyond.

        Args:
            asked: vectors of queries, by which a graph that must be made first measures what it finds.
        """
        if (name, transform) not in self._searched:
            vectors = self.view(name, transform)
            if len(vectors) <= self._exact_up_to:
                found: Nearest = Exact(vectors, self._memory)
            else:
                path = self._path(f"{name}-{transform}", "hnsw")
                found = approximate.nearest(vectors, path, self._memory, self.progress, asked)
            self._searched[name, transform] = found
        return self._searched[name, transform]

    @property
    def _block(self) -> int:
        return rows_within(self._memory, self.encoder.dimensions)

    def _path(self, kind: str, suffix: str) -> Path:
        return self._derived.path(kind, digest(self.store.snapshot.texts, self.encoder.fingerprint), suffix)

    def _read(self, texts: Sequence[str]) -> Iterator[Floats]:
        keys = self.vectors.embed(texts, "passage", self.progress)
        for part in slices(len(keys), self._block):
            yield self.vectors.read(keys[part])

    def _moved(self, name: str, transform: str) -> Iterator[Floats]:
        plain = self.view(name)
        for part in slices(len(plain), self._block):
            yield self.transformed(plain[part], transform)
            release(plain)

    def postings(self, column: str) -> Postings:
        """The postings of one text column; made once a snapshot and kept beside it."""
        if column not in self._postings:
            rule = RULES[column]
            name = f"{self.store.snapshot.texts[:16]}-{column}-{rule.k1:g}-{rule.b:g}"
            folder = self.folder / "derived" / name
            if not folder.exists():
                postings_of.save(postings_of.build(self.store.column(column), rule), folder)
            self._postings[column] = postings_of.load(folder)
        return self._postings[column]

    def passages_for(self, documents: int) -> int:
        """Passages to ask for so that they belong to about so many documents; whoever gets fewer asks again."""
        crowding = len(self.owners) / max(1, len(self.documents))
        return documents if crowding == 1 else int(documents * crowding * SPARE) + 1

    def best_passages(self, similarities: Floats) -> Floats:
        """(queries, passages) to (queries, documents): a document scores as its best passage."""
        if len(self.owners) == len(self.documents):
            return similarities
        return np.asarray(np.maximum.reduceat(similarities, self.starts, axis=1), dtype=np.float32)


def moments(vectors: Floats, block: int) -> Floats:
    """(2, dimensions): mean and standard deviation (at least 1e-6) of the rows, read in blocks."""
    mean = np.zeros(vectors.shape[1])
    for part in slices(len(vectors), block):
        mean += vectors[part].sum(axis=0, dtype=np.float64) / len(vectors)
        release(vectors)
    variance = np.zeros(vectors.shape[1])
    for part in slices(len(vectors), block):
        variance += ((vectors[part] - mean.astype(np.float32)) ** 2).sum(axis=0, dtype=np.float64) / len(vectors)
        release(vectors)
    return np.stack([mean, np.maximum(np.sqrt(variance), 1e-6)]).astype(np.float32)


def open_index(
    folder: Path, documents: Sequence[Document], encoder: Encoder, settings: Settings, vectors: Path | None = None
) -> Index:
    """Build what is missing below `folder` and open it; vectors may live elsewhere and be shared."""
    parts = cut(documents, encoder, settings.integer("passage_tokens"))
    snapshot = build(folder, documents, parts, settings.text("language"))
    store = VectorStore(vectors or folder / "vectors", encoder)
    return Index(folder, Store(folder, snapshot), documents, parts, store, settings)


def index_at(folder: Path, store: Store, documents: Sequence[Document], encoder: Encoder, settings: Settings) -> Index:
    """The index of a snapshot as it was made: nothing is cut or analysed again."""
    vectors = VectorStore(folder / "vectors", encoder)
    return Index(folder, store, documents, store.cut(documents), vectors, settings)
