"""The store: documents, passages and their text index in LanceDB, read as a snapshot names them.

A snapshot names the table versions and the key of what they were built from; it is written after
every file it names is on disk. It holds all that opening needs: nothing is cut or analysed again. Knows nothing
about vectors, nor about how one snapshot follows another (`snapshots.py`).
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.query import MatchQuery

from resurvey.data.chunk import Cut
from resurvey.errors import Problem, ResurveyError
from resurvey.search.analyse import analysed, fingerprint
from resurvey.search.corpus import document_table, read_rows
from resurvey.search.language import AUTO, check, detect
from resurvey.search.tables import Tables, Version
from resurvey.types import Document, Doubles, Ints, Json, Passage
from resurvey.workspace import canonical, digest, read_json, write_json

fcntl: ModuleType | None = None
with contextlib.suppress(ImportError):  # not on every system; there, whoever reads a removed snapshot is told
    import fcntl

DOCUMENTS, PASSAGES = "documents", "passages"
WORDS, IDENTIFIERS = "words", "identifiers"
MOST = 2**20
"""Passages that a document has at most: a passage's row is its document's place times this, and its own."""
LEFT = 4
"""Snapshots that stay of a corpus which nobody promotes anything over."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent state of the store.

    `key` is a hash of all it was built from, `texts` the same without metadata: what is derived from texts is kept
    under that. `rule` says how documents became passages and terms, `budget` how many tokens a passage has at most.
    `corpus` is the version of the documents, 0 where they are nobody's to change.
    """

    number: int
    key: str
    versions: Mapping[str, Version]
    language: str
    texts: str = ""
    rule: str = ""
    budget: int = 0
    corpus: int = 0
    encoder: str = ""
    """Fingerprint of the encoder that cut the documents, in whose space their vectors are."""

    def write(self, folder: Path) -> None:
        """Publish it."""
        facts: Json = {
            "number": self.number, "key": self.key, "texts": self.texts, "rule": self.rule,
            "versions": {name: [at.table, at.number] for name, at in self.versions.items()},
            "language": self.language, "budget": self.budget, "corpus": self.corpus,
            "encoder": self.encoder,
        }  # fmt: skip
        write_json(folder / "snapshots" / f"{self.number}.json", facts)


def snapshot_key(documents: Sequence[Document], cut: Cut, language: str) -> str:
    """Hash of all that a snapshot is built from, the analyser and how the language is found included."""
    rows = (part for d in documents for part in (d.id, d.title, d.text, canonical(dict(d.metadata))))
    spans = [[p.document, p.start, p.end] for p in cut.passages]
    return digest(digest(*rows), canonical(spans), digest(*cut.texts), language, fingerprint())


def snapshots(folder: Path) -> list[Snapshot]:
    """All that are published below a folder, oldest first."""
    found = [read_snapshot(path) for path in (folder / "snapshots").glob("*.json")]
    return sorted((snapshot for snapshot in found if snapshot), key=lambda snapshot: snapshot.number)


def read_snapshot(path: Path) -> Snapshot | None:
    """The snapshot a file describes; None for one of an older make, whose tables had no generations."""
    facts = read_json(path)
    if "texts" not in facts:
        return None
    versions = {name: Version(*at) for name, at in facts["versions"].items()}
    rest = {name: facts[name] for name in ("language", "texts", "rule", "budget", "corpus")}
    return Snapshot(facts["number"], facts["key"], versions, **rest, encoder=str(facts.get("encoder", "")))


def next_number(folder: Path) -> int:
    """The number that the next snapshot gets; none is ever given twice."""
    return 1 + max((int(path.stem) for path in (folder / "snapshots").glob("*.json")), default=0)


def build(folder: Path, documents: Sequence[Document], cut: Cut, language: str = AUTO) -> Snapshot:
    """The snapshot of these documents: the one that is there when nothing changed, else a new one.

    `language` is a stemmer's, or `auto`: then the documents say which, once, and the snapshot keeps it.

    Raises:
        ResurveyError: when no stemmer has that name.
    """
    key = snapshot_key(documents, cut, language)
    there = snapshots(folder)
    for snapshot in reversed(there):
        if snapshot.key == key:
            return snapshot
    language = settled(language, documents)
    tables, placed = Tables(folder / "lance"), list(enumerate(documents))
    versions = {
        DOCUMENTS: tables.create(DOCUMENTS, document_table(placed)),
        PASSAGES: tables.create(PASSAGES, passage_table(placed, cut, language), (WORDS, IDENTIFIERS)),
    }
    made = Snapshot(next_number(folder), key, versions, language, texts=key)
    made.write(folder)
    for old in there[: -LEFT + 1]:
        (folder / "snapshots" / f"{old.number}.json").unlink(missing_ok=True)
    tables.drop({at.table for snapshot in (*there[-LEFT + 1 :], made) for at in snapshot.versions.values()})
    return made


def settled(language: str, documents: Sequence[Document]) -> str:
    """The language whose stemmer reads these documents.

    Raises:
        ResurveyError: when no stemmer has that name.
    """
    if language == AUTO:
        language = detect([document.full_text for document in documents])
    check(language)
    return language


def passage_table(placed: Sequence[tuple[int, Document]], cut: Cut, language: str) -> pa.Table:
    """Passages of these documents as the table keeps them, terms and all."""
    rows = {document.id: row for row, document in placed}
    owners = np.array([rows[p.document] for p in cut.passages], dtype=np.int64)
    first = np.searchsorted(owners, owners)  # where each passage's document begins
    found, codes = analysed(cut.texts, language)
    nothing = [0] * len(cut.passages)
    return pa.table({
        "document": pa.array(owners, pa.int64()),
        "start": pa.array([p.start for p in cut.passages], pa.int64()),
        "end": pa.array([p.end for p in cut.passages], pa.int64()),
        "head": pa.array(cut.heads or nothing, pa.int64()),
        "tokens": pa.array(cut.lengths or nothing, pa.int64()),
        WORDS: pa.array(found, pa.string()),
        IDENTIFIERS: pa.array(codes, pa.string()),
        "row": pa.array(owners * MOST + np.arange(len(owners)) - first, pa.int64()),
    })  # fmt: skip


class Store:
    """A snapshot opened for reading; its rows are counted from 0, whatever documents came and went before."""

    def __init__(self, folder: Path, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.folder = folder
        self.close = _pin(self, folder / "snapshots" / f"{snapshot.number}.json")
        """Say that nobody reads here any more; otherwise that is known when this object goes."""
        tables = Tables(folder / "lance")
        self._passages, self._documents = (
            tables.open(snapshot.versions[PASSAGES]),
            tables.open(snapshot.versions[DOCUMENTS]),
        )
        self._rows = self._numbers(self._passages)

    @staticmethod
    def _numbers(table: Any) -> Ints:
        return np.sort(np.asarray(table.search().select(["row"]).limit(None).to_arrow()["row"].to_numpy(), np.int64))

    def owners(self) -> Ints:
        """For every passage row, the row of its document."""
        return np.searchsorted(self._numbers(self._documents), self._rows // MOST).astype(np.int64)

    def documents(self) -> list[Document]:
        """All documents, in row order."""
        return [document for _, document in read_rows(self._documents.to_arrow().sort_by("row"))]

    def cut(self, documents: Sequence[Document]) -> Cut:
        """The passages, as they were cut when the snapshot was made; `documents` are its own."""
        names = ["row", "start", "end", "head", "tokens"]
        rows = self._passages.search().select(names).limit(None).to_arrow().sort_by("row")
        start, end, head, tokens = (rows[name].to_pylist() for name in names[1:])
        owned = [documents[row] for row in self.owners().tolist()]
        texts = (f"{d.title[:h]} {d.text[s:e]}".strip() for d, s, e, h in zip(owned, start, end, head, strict=True))
        passages = tuple(Passage(d.id, s, e) for d, s, e in zip(owned, start, end, strict=True))
        first = np.flatnonzero(np.diff(self._rows // MOST, prepend=-1))
        lengths, most = np.asarray(tokens, dtype=np.int64)[first], self.snapshot.budget
        over = np.maximum(lengths - most, 0)
        return Cut(
            passages,
            tuple(texts),
            int((over > 0).sum()),
            int(over.sum()),
            int(lengths.sum()),
            tuple(head),
            tuple(tokens),
        )

    def column(self, name: str) -> pa.ChunkedArray:
        """One text column of the passages, in row order: space-joined terms."""
        return self._passages.search().select(["row", name]).limit(None).to_arrow().sort_by("row")[name]

    def match(self, terms: str, most: int, column: str = WORDS) -> tuple[Ints, Doubles]:
        """Passage rows and LanceDB's own BM25 scores of the best passages for space-joined terms."""
        if not terms:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        query = self._passages.search(MatchQuery(terms, column), query_type="fts")
        found = query.select(["row", "_score"]).limit(most).to_arrow()
        rows = np.searchsorted(self._rows, np.asarray(found["row"].to_numpy(), dtype=np.int64))
        return rows.astype(np.int64), np.asarray(found["_score"].to_numpy(), dtype=np.float64)


def _pin(opened: Store, path: Path) -> Callable[[], object]:
    """Hold a snapshot's file while it is opened: nobody, in whichever process, removes what it names meanwhile."""
    if fcntl is None or not path.exists():
        return lambda: None
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return weakref.finalize(opened, os.close, handle)


def in_use(folder: Path, number: int) -> bool:
    """Whether somebody has a snapshot open."""
    if fcntl is None:
        return False
    try:
        with (folder / "snapshots" / f"{number}.json").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def lost(folder: Path, number: int) -> ResurveyError:
    """What to say of a snapshot that is named and not there."""
    return ResurveyError(
        [Problem(str(folder / "snapshots" / f"{number}.json"), "this snapshot is named, and is not there any more")],
        "resurvey refresh DIR makes a new one",
    )
