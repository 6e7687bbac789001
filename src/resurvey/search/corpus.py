"""The corpus: the documents of a workspace, which come, change and go.

One table (`tables.py`) keeps them; `index/head.json` names its newest acknowledged version and is replaced only when
all of that version is on disk. So a write is there, whole, or was never acknowledged. Who reads picks a version and
is not disturbed by those who write. One writer at a time, whatever else runs in the workspace. Knows nothing about
passages or vectors.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from resurvey.data import collection as brought
from resurvey.data.collection import Collection, with_documents
from resurvey.data.incoming import checked
from resurvey.errors import Problem, ResurveyError
from resurvey.search.tables import Tables, Version, held
from resurvey.types import Document
from resurvey.workspace import HEAD, WRITER, Workspace, canonical, digest, read_json, write_json

PATIENCE = 5.0
"""Seconds that a write waits for another one."""
ASKED = 500
"""Ids of one look-up."""
KIND = "documents"
SCHEMA = pa.schema([
    # Declared, so that LanceDB itself refuses to hold an id twice (undeclared, concurrent upserts did).
    pa.field("id", pa.string(), nullable=False, metadata={b"lance-schema:unenforced-primary-key": b"true"}),
    pa.field("title", pa.string()), pa.field("text", pa.string()), pa.field("metadata", pa.string()),
    pa.field("row", pa.int64()),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did, in documents, and the acknowledged version that holds it."""

    version: int
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    missing: int = 0
    """Ids to be deleted that were not there."""


@dataclass(frozen=True, slots=True)
class Head:
    """One acknowledged state of the documents.

    `version` only grows; `at` is where LanceDB has it. `key` is a hash of all documents and their places, `texts`
    the same without metadata; both are sums, so that a write costs what it changes. `origin` is the key of what was
    brought, `rows` the place that the next new document gets. `tables` says at which version each folder began.
    """

    version: int
    at: Version
    documents: int
    rows: int
    key: str
    texts: str
    origin: str
    tables: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> Head | None:
        """The head in a file; None where nothing was written yet."""
        if not path.exists():
            return None
        facts = read_json(path)
        at = Version(facts["table"], facts["table_version"])
        rest = (facts[name] for name in ("documents", "rows", "key", "texts", "origin", "tables"))
        return cls(facts["version"], at, *rest)

    def write(self, path: Path) -> None:
        """Acknowledge this state."""
        facts = {
            "version": self.version, "table": self.at.table, "table_version": self.at.number,
            "documents": self.documents, "rows": self.rows, "key": self.key, "texts": self.texts,
            "origin": self.origin, "tables": dict(self.tables),
        }  # fmt: skip
        write_json(path, facts)

    def place(self, version: int) -> Version | None:
        """Where an acknowledged version is; None where its table is gone."""
        there = [(began, name) for name, began in self.tables.items() if began <= version]
        if not there or version > self.version:
            return None
        began, name = max(there)
        return Version(name, version - began + 1)


Placed = Mapping[str, tuple[int, Document]]
"""Documents by id, each with the place it has among all."""


class Corpus:
    """The documents of a workspace, as they are now and as they were."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.index
        self.tables = Tables(workspace.index / "lance")
        self._head = workspace.index / HEAD

    @property
    def head(self) -> int:
        """The newest acknowledged version; 0 while what was brought was never indexed."""
        found = Head.read(self._head)
        return found.version if found else 0

    def state(self) -> Head:
        """The newest acknowledged state; what was brought becomes version 1 when there is none."""
        found = Head.read(self._head)
        if found is not None:
            return found
        with self._lease():
            return self._begin()

    def documents(self, version: int | None = None) -> tuple[Document, ...]:
        """All documents of a version (the newest one where none is named), in order.

        Raises:
            ResurveyError: when that version is not there any more, or not yet.
        """
        found = Head.read(self._head)
        if found is None and version in (None, 0):
            return brought.load(self.workspace.data).documents
        if found is None:
            found = self.state()
        wanted = found.version if version is None else version
        at = found.place(wanted)
        if at is None:
            raise ResurveyError(
                [Problem(str(self._head), f"knows no version {wanted}; the newest is {found.version}")],
                f"resurvey status {self.workspace.root}",
            )
        return self.at(at)

    def at(self, place: Version) -> tuple[Document, ...]:
        """All documents of one table version, in order."""
        return tuple(document for _, document in self.placed(place))

    def placed(self, place: Version) -> list[tuple[int, Document]]:
        """All documents of one table version with their places, in order."""
        return read_rows(self.tables.open(place).to_arrow().sort_by("row"))

    def upsert(self, documents: Sequence[Document]) -> Change:
        """Add documents, or replace those whose id is there; acknowledged, and on disk, when this returns.

        Raises:
            ResurveyError: with all that is wrong with them (then none is written), or when another writer is at it.
        """
        given = checked(documents)
        with self._lease():
            head = self._begin()
            there = self._find(head, [document.id for document in given])
            changed = [d for d in given if d.id not in there or _differs(d, there[d.id][1])]
            added = [d for d in changed if d.id not in there]
            if changed:
                rows = {d.id: head.rows + place for place, d in enumerate(added)}
                rows |= {d.id: there[d.id][0] for d in changed if d.id in there}
                new = {d.id: (rows[d.id], d) for d in changed}
                old = {d.id: there[d.id] for d in changed if d.id in there}
                head = self._change(head, old, new)
            return Change(head.version, len(added), len(changed) - len(added), len(given) - len(changed))

    def delete(self, ids: Sequence[str]) -> Change:
        """Take documents out; acknowledged, and on disk, when this returns."""
        wanted = list(dict.fromkeys(ids))
        with self._lease():
            head = self._begin()
            old = self._find(head, wanted)
            if old:
                head = self._change(head, old, {})
            return Change(head.version, deleted=len(old), missing=len(wanted) - len(old))

    def heal(self) -> None:
        """Remove what a killed writer left beyond the head; a writer at work is left alone."""
        with contextlib.suppress(ResurveyError), held(self.folder / WRITER, 0):
            found = Head.read(self._head)
            if found is not None:
                self.tables.heal(found.at)

    def rewrite(self) -> Head:
        """Put the newest state alone into a new table, which then is the only one that the head names."""
        with self._lease():
            head = self._moved(self._begin())
            head = replace(head, tables={head.at.table: head.version})
            head.write(self._head)
            return head

    def history(self) -> Iterator[Document]:
        """Every document of every version that can still be read, the newest too."""
        found = Head.read(self._head)
        for path in self.tables.unneeded(()):
            name, _, number = path.stem.rpartition("-")
            if name == KIND and number.isdecimal() and found is not None:
                for version in range(1, self.tables.newest(path.stem) + 1):
                    with contextlib.suppress(ResurveyError):
                        yield from self.at(Version(path.stem, version))

    @contextlib.contextmanager
    def _lease(self) -> Iterator[None]:
        with held(self.folder / WRITER, PATIENCE):
            yield

    def _begin(self) -> Head:
        """The head; what was brought becomes the first one. With the lease."""
        found = Head.read(self._head)
        if found is not None:
            return found
        placed = list(enumerate(brought.load(self.workspace.data).documents))
        found = begun(self.tables, placed, 1)
        found.write(self._head)
        return found

    def _change(self, head: Head, old: Placed, new: Placed) -> Head:
        """Take `old` out and put `new` in, and acknowledge that."""
        if head.at.full:
            head = self._moved(head)
        gone = [id for id in old if id not in new]
        rows = document_table(list(new.values()))

        def work(table: Any) -> None:
            if new:
                merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
                merge.execute(rows)
            else:
                table.delete(" OR ".join(f"id IN ({_quoted(part)})" for part in _parts(gone)))

        assert not (new and gone), "a write adds or deletes, never both: one LanceDB version each"
        at = self.tables.change(head.at, work)
        assert at.number == head.at.number + 1, f"one write made {at.number - head.at.number} versions"
        head = replace(
            head,
            version=head.version + 1,
            at=at,
            documents=head.documents + len(new) - len(old),
            rows=max([head.rows, *(row + 1 for row, _ in new.values())]),
            key=_summed(head.key, old, new, whole=True),
            texts=_summed(head.texts, old, new, whole=False),
        )
        head.write(self._head)
        return head

    def _moved(self, head: Head) -> Head:
        """The same state in a new folder; the one before stays for whoever reads it."""
        at = self.tables.create(KIND, self.tables.open(head.at).to_arrow().sort_by("row").cast(SCHEMA))
        kept = {name: began for name, began in head.tables.items() if (self.tables.folder / f"{name}.lance").exists()}
        # The new folder's first version is the head's again: version numbers go on as if nothing had moved.
        return replace(head, at=at, tables={**kept, at.table: head.version})

    def _find(self, head: Head, ids: Sequence[str]) -> dict[str, tuple[int, Document]]:
        """Those of the ids that are there."""
        table = self.tables.open(head.at)
        found: dict[str, tuple[int, Document]] = {}
        for part in _parts(ids):
            rows = table.search().where(f"id IN ({_quoted(part)})").limit(None).to_arrow()
            found |= {document.id: (row, document) for row, document in read_rows(rows)}
        return found


def current(workspace: Workspace, whole: Collection | None = None) -> Collection:
    """What was brought, with the documents as they are now.

    Judgments, runs and answers that name documents which are gone lose those rows, and the statement says how many.

    Args:
        whole: what was brought, where it is read already.
    """
    found = whole or brought.load(workspace.data)
    head = Head.read(workspace.index / HEAD)
    return found if head is None else with_documents(found, Corpus(workspace).at(head.at))


def begun(tables: Tables, placed: Sequence[tuple[int, Document]], version: int) -> Head:
    """A new table of these documents as a head that is not acknowledged yet."""
    at = tables.create(KIND, document_table(placed))
    by_id = {document.id: (row, document) for row, document in placed}
    key, texts = _summed("0", {}, by_id, whole=True), _summed("0", {}, by_id, whole=False)
    rows = 1 + max((row for row, _ in placed), default=-1)
    return Head(version, at, len(placed), rows, key, texts, key, {at.table: version})


def document_table(placed: Sequence[tuple[int, Document]]) -> pa.Table:
    """Documents with their places as the table keeps them."""
    documents = [document for _, document in placed]
    columns = {
        "id": [d.id for d in documents],
        "title": [d.title for d in documents],
        "text": [d.text for d in documents],
        "metadata": [json.dumps(dict(d.metadata), ensure_ascii=False) for d in documents],
        "row": [row for row, _ in placed],
    }
    return pa.table(columns, schema=SCHEMA)


def read_rows(rows: pa.Table) -> list[tuple[int, Document]]:
    """What `document_table` made, in the order of the rows given."""
    return [(r["row"], Document(r["id"], r["text"], r["title"], json.loads(r["metadata"]))) for r in rows.to_pylist()]


def _differs(one: Document, other: Document) -> bool:
    """Whether anything differs; 1, 1.0 and true are not the same value."""
    metadata = [json.dumps(dict(d.metadata), sort_keys=True) for d in (one, other)]
    return (one.title, one.text, metadata[0]) != (other.title, other.text, metadata[1])


def _summed(key: str, old: Placed, new: Placed, *, whole: bool) -> str:
    """The sum of the documents' hashes after a change; order does not matter, places do."""
    total = int(key, 16)
    for sign, placed in ((-1, old), (1, new)):
        for row, d in placed.values():
            parts = (str(row), d.id, d.title, d.text, *([canonical(dict(d.metadata))] if whole else []))
            total += sign * int(digest(*parts), 16)
    return f"{total % 2**256:064x}"


def _quoted(ids: Sequence[str]) -> str:
    return ", ".join("'" + id.replace("'", "''") + "'" for id in ids)


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + ASKED] for start in range(0, len(ids), ASKED))
