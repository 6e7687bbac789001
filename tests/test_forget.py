"""Forgetting and cleaning: what was forgotten is nowhere, what somebody may ask for stays, and a folder stays small."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lancedb
import pyarrow.parquet as pq
import pytest
from test_refresh import found, workspace  # noqa: F401  the same twenty documents, RRF live over them

from resurvey import loop, upkeep
from resurvey.forget import forget
from resurvey.opened import Opened
from resurvey.promote.live import Live, live
from resurvey.refresh import refresh
from resurvey.search.corpus import Corpus
from resurvey.search.store import snapshots
from resurvey.search.tables import FEW, Tables
from resurvey.session import Session
from resurvey.types import Document
from resurvey.workspace import Workspace, digest, write_bytes

SECRET = "xylophone quagmire"


def words(root: Path) -> Iterator[tuple[str, str]]:
    """Everything that can be read below a workspace: files as they are, tables in every version, Parquet files."""
    for path in root.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield str(path), json.dumps(pq.read_table(path).to_pylist())
    for lance in root.rglob("lance"):
        tables = Tables(lance)
        for folder in lance.glob("*.lance"):
            for number in range(1, tables.newest(folder.stem) + 1):
                table = lancedb.connect(str(lance)).open_table(folder.stem)
                table.checkout(number)
                yield f"{folder} {number}", json.dumps(table.to_arrow().to_pylist())


def quoting(root: Path, text: str) -> list[str]:
    return sorted({place for place, content in words(root) if text in content})


def keys_of(root: Path, *texts: str) -> int:
    """How many vectors of these texts are kept."""
    kept = b"".join(path.read_bytes() for path in root.rglob("*.keys"))
    return sum(bytes.fromhex(digest("", text)) in kept for text in texts)


def test_what_is_forgotten_is_nowhere(workspace: Workspace) -> None:  # noqa: F811
    corpus = Corpus(workspace)
    old = corpus.documents()[4]
    corpus.upsert(
        [Document("s", f"{SECRET} before {'gear ' * 60}", "secret title"), Document("s2", f"{SECRET} stays not")]
    )
    refresh(workspace)
    corpus.upsert([Document("s", f"{SECRET} afterwards", "secret title")])
    refresh(workspace)
    write_bytes(workspace.reports / "report.html", f"<p>{SECRET} before gear gear gear gear gear gear gear".encode())
    texts = (f"secret title {SECRET} afterwards", "secret title", f"{SECRET} stays not", old.full_text)
    assert len(quoting(workspace.root, SECRET[:9])) > 4
    assert keys_of(workspace.root, *texts) == len(texts) - 1, "rrf reads no titles"
    told = forget(workspace, ["s", "s2", old.id, "neither"])
    assert told.documents == 3
    assert told.removed == ("reports/report.html",)
    for text in ("xylophon", "quagmir", "secret title", "part P4-104."):
        assert quoting(workspace.root, text) == []
    assert keys_of(workspace.root, *texts) == 0
    assert found(workspace, "seal bearing")
    assert len(Opened(workspace).index.documents) == 19
    assert workspace.brought_key() == json.loads((workspace.data / "manifest.json").read_text())["origin"]
    assert Opened(workspace).brought.qrels
    assert refresh(workspace) is None
    assert corpus.upsert([Document("next", "zeppelin")]).added == 1
    assert refresh(workspace) is not None
    assert found(workspace, "zeppelin")[0] == "next"


def test_a_killed_forgetting_is_finished_by_the_next(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    Corpus(workspace).upsert([Document("s", SECRET)])
    refresh(workspace)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for name in ("collection.without", "advance", "forget_vectors", "retire"):
        with monkeypatch.context() as patch:
            patch.setattr(f"resurvey.forget.{name}", killed)
            with pytest.raises(KeyboardInterrupt):
                forget(workspace, ["s"])
    forget(workspace, ["s"])
    assert quoting(workspace.root, "xylophon") == []
    assert keys_of(workspace.root, SECRET) == 0


def test_many_small_writes_leave_a_small_folder(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("resurvey.refresh.warm", lambda *_: None)  # benchmarks/changes.py measures with all of it
    corpus = Corpus(workspace)
    for step in range(20):
        for place in range(5):
            corpus.upsert([Document(f"n{(5 * step + place) % 17}", f"text {step} {place} pump seal")])
        refresh(workspace)
        gc.collect()
    assert (corpus.head, live(workspace)) == (101, Live("rrf", 21))
    assert len(snapshots(workspace.index)) <= 4
    assert len(list((workspace.index / "lance").glob("documents-*"))) == 2
    size = sum(path.stat().st_size for path in workspace.index.rglob("*") if path.is_file())
    assert size < 2 * FEW * 100_000, "a hundred writes cost no more than two folders' worth of them"


def test_gc_removes_what_nothing_needs_and_says_what(workspace: Workspace) -> None:  # noqa: F811
    corpus = Corpus(workspace)
    for step in range(4):
        corpus.upsert([Document(f"n{step}", f"text {step}")])
        refresh(workspace)
    gc.collect()  # whoever opened a snapshot keeps it
    unnamed = workspace.artefacts.put(b"nobody names this")
    before = found(workspace, "valve seal")
    rows = upkeep.waste(workspace)
    assert all(row.path.exists() and row.bytes for row in rows)
    names = {row.path.name for row in rows}
    assert {unnamed.removeprefix("sha256:"), "3.json", "4.json"} <= names
    assert upkeep.gc(workspace) == rows
    assert not any(row.path.exists() for row in rows)
    assert [s.number for s in snapshots(workspace.index)] == [5]
    assert (upkeep.waste(workspace), found(workspace, "valve seal")) == ([], before)


def test_gc_keeps_all_that_candidates_name(workspace: Workspace) -> None:  # noqa: F811
    session = Session(workspace)
    loop.treat(session, "small", ["hybrid", "ranker"])
    named = set(workspace.artefacts.folder.iterdir())
    number = session.index.store.snapshot.number
    session.index.store.close()
    upkeep.gc(workspace)
    assert set(workspace.artefacts.folder.iterdir()) == named
    assert number in {s.number for s in snapshots(workspace.index)}
