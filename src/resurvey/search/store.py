"""The store: documents, passages and their text index in LanceDB, published as snapshots.

A snapshot names the table versions and the key of what they were built from; it is written after
every file it names is on disk (LanceDB itself never syncs). Knows nothing about vectors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS
from lancedb.query import MatchQuery

from resurvey.data.chunk import Cut
from resurvey.errors import Problem, ResurveyError
from resurvey.search.analyse import analysed, fingerprint
from resurvey.search.language import AUTO, check, detect
from resurvey.types import Document, Doubles, Ints, Json
from resurvey.workspace import canonical, digest, read_json, write_json

DOCUMENTS, PASSAGES = "documents", "passages"
WORDS, IDENTIFIERS = "words", "identifiers"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent state of the store."""

    number: int
    key: str
    versions: Mapping[str, int]
    language: str


def snapshot_key(documents: Sequence[Document], cut: Cut, language: str) -> str:
    """Hash of all that a snapshot is built from, the analyser and how the language is found included."""
    rows = (part for d in documents for part in (d.id, d.title, d.text, canonical(dict(d.metadata))))
    spans = [[p.document, p.start, p.end] for p in cut.passages]
    return digest(digest(*rows), canonical(spans), digest(*cut.texts), language, fingerprint())


def build(folder: Path, documents: Sequence[Document], cut: Cut, language: str = AUTO) -> Snapshot:
    """The snapshot of these documents: the one that is there when nothing changed, else a new one.

    `language` is a stemmer's, or `auto`: then the documents say which, once, and the snapshot keeps it.

    Raises:
        ResurveyError: when no stemmer has that name.
    """
    key = snapshot_key(documents, cut, language)
    there = [read_snapshot(path) for path in sorted((folder / "snapshots").glob("*.json"))]
    for snapshot in reversed(there):
        if snapshot.key == key:
            return snapshot
    if language == AUTO:
        language = detect([document.full_text for document in documents])
    check(language)
    database = lancedb.connect(str(folder / "lance"))
    versions = {
        DOCUMENTS: _write(database, DOCUMENTS, _document_table(documents)),
        PASSAGES: _write(database, PASSAGES, _passage_table(documents, cut, language), index=(WORDS, IDENTIFIERS)),
    }
    _sync(folder / "lance")
    number = 1 + max((snapshot.number for snapshot in there), default=0)
    facts: Json = {"number": number, "key": key, "versions": versions, "language": language}
    write_json(folder / "snapshots" / f"{number}.json", facts)
    return Snapshot(number, key, versions, language)


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot a file describes."""
    facts = read_json(path)
    return Snapshot(facts["number"], facts["key"], facts["versions"], facts["language"])


def _write(database: Any, name: str, table: pa.Table, index: Sequence[str] = ()) -> int:
    written = database.create_table(name, table, mode="overwrite")
    for column in index:
        # Pre-tokenised text: our analyser is the only one, so LanceDB must not stem or lower-case.
        written.create_index(column, config=FTS(
            base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False,
            ascii_folding=False, with_position=False, max_token_length=None,
        ))  # fmt: skip
    indexed = {column for found in written.list_indices() for column in found.columns} if index else set()
    assert indexed == set(index), "without its index, LanceDB would fall back to a scan silently"
    return int(written.version)


def _document_table(documents: Sequence[Document]) -> pa.Table:
    return pa.table({
        "id": [d.id for d in documents],
        "title": [d.title for d in documents],
        "text": [d.text for d in documents],
        "metadata": [json.dumps(dict(d.metadata), ensure_ascii=False) for d in documents],
        "row": pa.array(range(len(documents)), pa.int64()),
    })  # fmt: skip


def _passage_table(documents: Sequence[Document], cut: Cut, language: str) -> pa.Table:
    rows = {document.id: row for row, document in enumerate(documents)}
    found, codes = analysed(cut.texts, language)
    return pa.table({
        "document": pa.array([rows[p.document] for p in cut.passages], pa.int64()),
        "start": pa.array([p.start for p in cut.passages], pa.int64()),
        "end": pa.array([p.end for p in cut.passages], pa.int64()),
        WORDS: pa.array(found, pa.string()),
        IDENTIFIERS: pa.array(codes, pa.string()),
        "row": pa.array(range(len(cut.passages)), pa.int64()),
    })  # fmt: skip


def _sync(folder: Path) -> None:
    """Put every file and folder below `folder` on disk."""
    for place, _, files in os.walk(folder):
        for path in (*(Path(place) / name for name in files), Path(place)):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


class Store:
    """A snapshot opened for reading."""

    def __init__(self, folder: Path, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.folder = folder
        self._passages = self._open(PASSAGES)
        self._documents = self._open(DOCUMENTS)

    def _open(self, name: str) -> Any:
        try:
            table = lancedb.connect(str(self.folder / "lance")).open_table(name)
            table.checkout(self.snapshot.versions[name])
        except (ValueError, OSError, RuntimeError) as error:
            raise ResurveyError(
                [Problem(str(self.folder / "lance"), f"table `{name}` cannot be opened: {error}")],
                f"remove {self.folder}, then resurvey run DIR builds it anew",
            ) from error
        return table

    def owners(self) -> Ints:
        """For every passage row, the row of its document."""
        table = self._passages.to_arrow().select(["row", "document"]).sort_by("row")
        return np.asarray(table["document"].to_numpy(), dtype=np.int64)

    def documents(self) -> list[Document]:
        """All documents, in row order."""
        rows = self._documents.to_arrow().sort_by("row").to_pylist()
        return [Document(r["id"], r["text"], r["title"], json.loads(r["metadata"])) for r in rows]

    def column(self, name: str) -> pa.ChunkedArray:
        """One text column of the passages, in row order: space-joined terms."""
        return self._passages.search().select(["row", name]).limit(None).to_arrow().sort_by("row")[name]

    def match(self, terms: str, most: int, column: str = WORDS) -> tuple[Ints, Doubles]:
        """Passage rows and LanceDB's own BM25 scores of the best passages for space-joined terms."""
        if not terms:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        query = self._passages.search(MatchQuery(terms, column), query_type="fts")
        found = query.select(["row", "_score"]).limit(most).to_arrow()
        return np.asarray(found["row"].to_numpy(), dtype=np.int64), np.asarray(
            found["_score"].to_numpy(), dtype=np.float64
        )
