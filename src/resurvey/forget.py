"""Forgetting: documents go from a workspace, with everything that was made of their words.

Not only from the table: from what was brought, from every older version, from vectors, text indexes and derived files,
from reports and the diagnosis. What was learned stays what it is: a recipe or a trained model holds no document, and
rankings that were kept name it by its bare id. A killed one does the rest when it is run again. Knows where words are
kept, and nothing about what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resurvey.data import collection
from resurvey.opened import Opened
from resurvey.promote.live import REFRESH, Live, live, switch
from resurvey.refresh import warm
from resurvey.search.corpus import Corpus
from resurvey.search.snapshots import advance, building, retire
from resurvey.search.store import Store, snapshots
from resurvey.search.vectors import forget as forget_vectors
from resurvey.types import Document, Progress, silent
from resurvey.upkeep import remove, underived
from resurvey.workspace import Workspace

PIECE = 40
"""Characters by which a text is known again in a page."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: documents that were there, vectors, files; and what is left to look at."""

    documents: int
    vectors: int
    removed: tuple[str, ...]
    left: tuple[str, ...]
    """Artefacts that quote a text, such as queries a model wrote from it; `resurvey treat` makes others."""


def forget(workspace: Workspace, ids: Sequence[str], progress: Progress = silent) -> Forgotten:
    """Remove documents for good. Call with the workspace's lease.

    Raises:
        ResurveyError: when another command builds and does not end.
    """
    corpus = Corpus(workspace)
    corpus.state()
    gone = set(ids)
    texts = _texts(workspace, corpus, gone)
    change = corpus.delete(ids)
    collection.without(workspace.data, gone)
    head = corpus.rewrite()
    opened = Opened(workspace, progress)
    made = advance(corpus, head, corpus.placed(head.at), opened.rule, anew=True)
    now = live(workspace)
    if now is not None:
        warm(opened, now.candidate)
        switch(workspace, Live(now.candidate, made.number), REFRESH)
    opened.index.store.close()
    with building(workspace.index):
        vectors = sum(forget_vectors(folder, sorted(texts)) for folder in (workspace.index / "vectors").glob("*"))
        removed, left = _quoting(workspace, texts)
        for path in (workspace.index / "standin", workspace.index / "sizes"):
            remove(path)
        retire(workspace.index, {made.number}, head, forced=True)  # last: until then all texts can be found again
        for path in underived(workspace):
            remove(path)
    workspace.record("forgot", documents=change.deleted)
    return Forgotten(change.deleted, vectors, tuple(removed), tuple(left))


def _texts(workspace: Workspace, corpus: Corpus, gone: set[str]) -> set[str]:
    """All texts of these documents that were ever embedded or shown: whole, titles, passages, in every version."""
    found: set[str] = set()
    for document in (*corpus.history(), *collection.load(workspace.data).documents):
        if document.id in gone:
            found |= {document.full_text, document.title, document.text}
    for folder in (workspace.index, workspace.index / "standin"):
        for snapshot in snapshots(folder):
            found |= _passages(Store(folder, snapshot), gone)
    return found - {""}


def _passages(store: Store, gone: set[str]) -> set[str]:
    documents: list[Document] = store.documents()
    parts = store.cut(documents)
    passages = zip(parts.passages, parts.texts, strict=True)
    store.close()
    shown = {text for d in documents if d.id in gone for text in (d.full_text, d.title)}
    return shown | {text for passage, text in passages if passage.document in gone}


def _quoting(workspace: Workspace, texts: set[str]) -> tuple[list[str], list[str]]:
    """Pages and notes that quote a text are removed, since they can be written again; artefacts are named."""
    pieces = {piece for text in texts for piece in _pieces(text)}
    removed: list[str] = []
    left: list[str] = []
    for path in sorted(workspace.root.rglob("*")):
        inside = path.relative_to(workspace.root).parts
        if not path.is_file() or inside[:2] in {("index", "lance"), ("index", "vectors")} or inside[0] == "data":
            continue
        if not any(piece in path.read_bytes() for piece in pieces):
            continue
        kept = inside[0] in ("artefacts", "candidates", "lineage.jsonl", "state.db", "resurvey.toml")
        (left if kept else removed).append(str(Path(*inside)))
        if not kept:
            path.unlink()
    return removed, left


def _pieces(text: str) -> list[bytes]:
    """The beginning and the middle of a text, as they would stand in a file."""
    middle = len(text) // 2
    some = {text[:PIECE], text[middle : middle + PIECE]} if len(text) > PIECE else {text}
    return [piece.encode("utf-8", "replace") for piece in some if len(piece) >= PIECE // 4]
