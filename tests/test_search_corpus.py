"""The corpus: what was acknowledged is there, whole, in its version; what was not, is not; and the loop sees it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resurvey import loop
from resurvey.cli.faults import message_for
from resurvey.data.incoming import checked, documents_of
from resurvey.data.read import Sources, beir
from resurvey.errors import ResurveyError
from resurvey.search import corpus as module
from resurvey.search.corpus import Change, Corpus, current
from resurvey.search.tables import FEW, held
from resurvey.types import Document
from resurvey.workspace import Workspace

Write = Callable[[str, str], Path]


@pytest.fixture
def workspace(tmp_path: Path, write: Write) -> Workspace:
    """Three documents, brought."""
    rows = [{"_id": f"d{place}", "text": f"text {place}", "year": 2000 + place} for place in range(3)]
    corpus = write("corpus.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    loop.init(tmp_path / "ws", Sources(corpus=corpus), {})
    return Workspace.open(tmp_path / "ws")


def texts(corpus: Corpus, version: int | None = None) -> dict[str, str]:
    return {document.id: document.text for document in corpus.documents(version)}


def test_documents_come_change_and_go_and_every_version_stays_as_it_was(workspace: Workspace) -> None:
    corpus = Corpus(workspace)
    assert (corpus.head, texts(corpus)) == (0, {"d0": "text 0", "d1": "text 1", "d2": "text 2"})
    first = corpus.upsert(
        [Document("d1", "new 1"), Document("o'x", "text x"), Document("d0", "text 0", "", {"year": 2000})]
    )
    assert first == Change(2, added=1, updated=1, unchanged=1)
    assert corpus.delete(["d2", "d2", "neither", "o'x"]) == Change(3, deleted=2, missing=1)
    assert texts(corpus, 1) == {"d0": "text 0", "d1": "text 1", "d2": "text 2"}
    assert texts(corpus, 2) == {"d0": "text 0", "d1": "new 1", "d2": "text 2", "o'x": "text x"}
    assert texts(corpus) == texts(Corpus(workspace), 3) == {"d0": "text 0", "d1": "new 1"}
    with pytest.raises(ResurveyError, match="knows no version 4; the newest is 3"):
        corpus.documents(4)


def test_a_document_keeps_its_place_and_what_it_is(workspace: Workspace) -> None:
    corpus = Corpus(workspace)
    whole = Document("d1", "Straße\n\ntab\t“x”", "A title", {"s": "ü", "i": 3, "f": 0.25, "b": True, "none": ""})
    corpus.upsert([Document("z", "last"), whole])
    assert [d.id for d in corpus.documents()] == ["d0", "d1", "d2", "z"]
    found = corpus.documents()[1]
    assert found == whole
    assert [type(value) for value in found.metadata.values()] == [str, int, float, bool, str]
    assert corpus.upsert([replace(whole, metadata={**whole.metadata, "i": 3.0})]).updated == 1, "3 is not 3.0"


def test_a_write_that_changes_nothing_makes_no_version(workspace: Workspace) -> None:
    corpus = Corpus(workspace)
    assert corpus.upsert([Document("d0", " text 0 ", "", {"year": 2000})]) == Change(1, unchanged=1)
    assert corpus.delete(["neither"]) == Change(1, missing=1)
    assert workspace.data_key() == workspace.brought_key()


def test_the_data_key_follows_the_documents_and_comes_back_with_them(workspace: Workspace) -> None:
    corpus = Corpus(workspace)
    before, d1 = workspace.data_key(), corpus.documents()[1]
    keys = [before]
    for change in (replace(d1, text="x"), replace(d1, title="x"), replace(d1, metadata={}), replace(d1, id="x")):
        corpus.upsert([change])
        keys.append(workspace.data_key())
    assert len(set(keys)) == len(keys)
    corpus.upsert([d1])
    corpus.delete(["x"])
    assert workspace.data_key() == before


def test_all_that_is_wrong_with_a_batch_is_said_and_nothing_is_written(workspace: Workspace) -> None:
    wrong: Any = [
        Document("", "text"), Document("a b", "text"), Document("empty", " "), Document("twice", "one"),
        Document("twice", "two"), Document("deep", "text", "", {"list": [1]}),  # type: ignore[dict-item]
        Document("nan", "text", "", {"x": float("nan")}), Document("half", "\ud800"), Document(7, "text", 3),  # type: ignore[arg-type]
    ]  # fmt: skip
    with pytest.raises(ResurveyError) as caught:
        Corpus(workspace).upsert(wrong)
    said = str(caught.value)
    for part in ("documents:1: `id` is ''", "documents:2: `id` is 'a b'", "documents:3: document 'empty' has neither",
                 "documents:5: document id 'twice' is in this batch already", "documents:6: field 'list' is [1]",
                 "documents:7: field 'x' is nan", "documents:8: `text` holds half", "documents:9: `title` is 3"):  # fmt: skip
        assert part in said
    assert "nothing was written" in caught.value.next
    assert Corpus(workspace).head == 0
    assert [d.text for d in checked([Document("a", "\0x "), Document("b", "", "t")])] == ["x", ""]


def test_what_a_killed_writer_left_is_gone_with_the_next_write_or_opening(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, write = Corpus(workspace), module.Head.write
    corpus.upsert([Document("d0", "kept")])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for way in ("next write", "opening", "torn"):
        monkeypatch.setattr(module.Head, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            corpus.upsert([Document("lost", "never acknowledged")])
        monkeypatch.setattr(module.Head, "write", write)
        versions = workspace.index / "lance" / "documents-1.lance" / "_versions"
        newest = min(versions.iterdir())
        if way == "torn":
            newest.write_bytes(b"")
        if way != "next write":
            corpus.heal()
            assert not newest.exists()
        assert "lost" not in texts(corpus)
        corpus.upsert([Document("d1", way)])
        assert texts(corpus) == {"d0": "kept", "d1": way, "d2": "text 2"}


def test_nothing_is_acknowledged_before_all_of_it_is_on_disk(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(workspace)
    corpus.state()
    lance = workspace.index / "lance" / "documents-1.lance"
    before = {path for path in lance.rglob("*") if path.is_file()}
    synced: list[Path] = []
    at_head: list[set[Path]] = []
    fsync, write = os.fsync, module.Head.write

    def noted(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def acknowledged(self: module.Head, path: Path) -> None:
        at_head.append(set(synced))
        write(self, path)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(module.Head, "write", acknowledged)
    corpus.upsert([Document("d0", "new")])
    new = {path for path in lance.rglob("*") if path.is_file()} - before
    assert len(new) >= 3
    assert at_head[0] >= new | {path.parent for path in new}
    assert not at_head[0] & before, "a small write must not walk through a large table"


def test_a_name_that_was_torn_keeps_nobody_from_naming_versions(workspace: Workspace) -> None:
    corpus = Corpus(workspace)
    head = corpus.state()
    corpus.tables.tag(head.at, "one")
    folder = workspace.index / "lance" / "documents-1.lance" / "_refs" / "tags"
    (folder / "one.json").write_bytes(b"")
    corpus.tables.tag(head.at, "two")
    assert [path.name for path in folder.iterdir()] == ["two.json"]


def test_many_writes_move_to_a_new_folder_and_versions_go_on(workspace: Workspace) -> None:
    corpus = Corpus(workspace)
    for place in range(FEW + 5):
        assert corpus.upsert([Document("d0", f"text {place} again")]).version == place + 2
    assert sorted(path.name for path in (workspace.index / "lance").iterdir()) == [
        "documents-1.lance", "documents-2.lance",
    ]  # fmt: skip
    for version in (FEW - 1, FEW, FEW + 1, FEW + 6):
        assert texts(corpus, version) == {"d0": f"text {version - 2} again", "d1": "text 1", "d2": "text 2"}


def test_a_second_writer_waits_and_is_told_in_the_end(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(workspace)
    lock = workspace.index / ".writer"
    done = threading.Event()
    with held(lock, 0):
        waiting = threading.Thread(target=lambda: (corpus.upsert([Document("w", "waited")]), done.set()))
        waiting.start()
        assert not done.wait(0.3)
    waiting.join()
    assert "w" in texts(corpus)
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with held(lock, 0), pytest.raises(ResurveyError, match=r"another writer .* 0\.1 seconds"):
        corpus.upsert([Document("x", "text")])
    with workspace.lease():  # a long run
        corpus.upsert([Document("x", "text")])


def test_two_threads_lose_no_write(workspace: Workspace) -> None:
    def write(name: str) -> None:
        for place in range(5):
            Corpus(workspace).upsert([Document(f"{name}{place}", "text"), Document("shared", name)])

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [document.id for document in Corpus(workspace).documents()]
    assert len(found) == len(set(found)) == 3 + 10 + 1


def test_judgments_about_documents_that_are_gone_count_no_longer(tmp_path: Path, beir_folder: Path) -> None:
    loop.init(tmp_path / "ws", beir(beir_folder), {})
    workspace = Workspace.open(tmp_path / "ws")
    whole = current(workspace)
    Corpus(workspace).delete(["d0", "d1"])
    left = current(workspace)
    assert len(left.documents) == 18
    assert len(whole.judged("train", "dev")) - len(left.judged("train", "dev")) == 6
    assert not {d for grades in left.merged("train", "dev").values() for d in grades} & {"d0", "d1"}
    assert left.statement == f"{whole.statement} 6 judgments name documents that are gone, and count no longer."


def test_a_file_adds_documents_only_by_ids_of_its_own(write: Write) -> None:
    assert [d.id for d in documents_of(write("a.jsonl", '{"_id": "a", "text": "x"}\n'), {})] == ["a"]
    with pytest.raises(ResurveyError, match="no column of ids"):
        documents_of(write("b.csv", "text\nx\n"), {})


def test_a_lock_that_cannot_be_had_is_a_message(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "lock", 0), pytest.raises(ResurveyError) as caught, held(tmp_path / "a" / "lock", 0):
        pass
    assert message_for(caught.value) is caught.value
