"""Refresh: only what changed is cut and embedded, what serves goes on, and the next snapshot is whole before it is live."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resurvey import loop, use
from resurvey.data.chunk import cut
from resurvey.data.read import beir
from resurvey.errors import ResurveyError
from resurvey.opened import Opened
from resurvey.promote.live import Live, history, live, rollback, switch
from resurvey.promote.registry import Registry
from resurvey.protocols import Kind
from resurvey.refresh import refresh
from resurvey.search import recipe, snapshots
from resurvey.search.corpus import Corpus
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import index_at, open_index
from resurvey.search.store import PASSAGES, Store, build
from resurvey.search.store import snapshots as published
from resurvey.session import Session
from resurvey.types import Candidate, Document, Floats
from resurvey.workspace import Workspace, read_json

VALUES = {"depth": 20, "folds": 3, "passage_tokens": 32}


@pytest.fixture
def workspace(tmp_path: Path, beir_folder: Path, model_folder: Path) -> Workspace:
    """Twenty documents, with RRF live over their first snapshot."""
    loop.init(tmp_path / "ws", beir(beir_folder), {**VALUES, "model": str(model_folder)})
    workspace = Workspace.open(tmp_path / "ws")
    switch(workspace, Live("rrf", Opened(workspace).index.store.snapshot.number), "test")
    use.search(Opened(workspace), "valve", "rrf", 5)
    return workspace


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passages that are embedded from now on."""
    seen: list[str] = []
    encode = SentenceEncoder.encode

    def noted(self: SentenceEncoder, texts: Sequence[str], kind: Kind) -> Floats:
        seen.extend(texts if kind == "passage" else ())
        return encode(self, texts, kind)

    monkeypatch.setattr(SentenceEncoder, "encode", noted)
    return seen


def found(workspace: Workspace, text: str) -> list[str]:
    """What is found in the snapshot that is live."""
    now = live(workspace)
    assert now is not None
    return [hit.document for hit in use.search(Opened(workspace, snapshot=now.snapshot), text, now.candidate, 5).hits]


def test_only_what_changed_is_embedded_and_then_it_is_found(workspace: Workspace, embedded: list[str]) -> None:
    assert refresh(workspace) is None
    corpus = Corpus(workspace)
    corpus.upsert([Document("new", "zeppelin zeppelin"), replace(corpus.documents()[3], text="quixotic washer")])
    corpus.delete(["d5"])
    assert "new" not in found(workspace, "zeppelin")
    assert refresh(workspace) == Live("rrf", 2) == live(workspace)
    assert sorted(set(embedded)) == sorted({"zeppelin zeppelin", f"{corpus.documents()[3].title} quixotic washer"})
    assert found(workspace, "zeppelin")[0] == "new"
    assert found(workspace, "quixotic")[0] == "d3"
    assert "d5" not in found(workspace, "P5-105")
    assert refresh(workspace) is None


def test_a_followed_snapshot_is_the_one_that_would_be_made_anew(
    workspace: Workspace, tmp_path: Path, encoder: SentenceEncoder
) -> None:
    corpus = Corpus(workspace)
    for step in range(6):
        one = corpus.documents()[step]
        corpus.upsert(
            [replace(one, text=" ".join(["gear"] * 40 * step + [one.text])), Document(f"n{step}", f"new {step} valve")]
        )
        corpus.delete([f"d{step + 10}"])
        refresh(workspace)
    now = live(workspace)
    assert now is not None
    opened = Opened(workspace, snapshot=now.snapshot)
    documents = corpus.documents()
    anew = open_index(tmp_path / "anew", documents, encoder, opened.settings)
    assert (opened.index.documents, opened.collection.documents) == (documents, documents)
    assert opened.index.cut == anew.cut
    np.testing.assert_array_equal(opened.index.owners, anew.owners)
    np.testing.assert_array_equal(opened.index.store.owners(), anew.owners)
    np.testing.assert_allclose(opened.index.passages, anew.passages, rtol=0, atol=1e-6)  # blocks round apart
    for column in ("words", "identifiers"):
        assert opened.index.store.column(column).to_pylist() == anew.store.column(column).to_pylist()
        np.testing.assert_array_equal(opened.index.postings(column).scores([["valv", "gear", "p3"]]).toarray(),
                                      anew.postings(column).scores([["valv", "gear", "p3"]]).toarray())  # fmt: skip
    for term in ("gear", "valv"):
        assert set(opened.index.store.match(term, 99)[0]) == set(anew.store.match(term, 99)[0])


def test_metadata_alone_embeds_nothing_and_touches_no_passage(
    workspace: Workspace, embedded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(workspace.index)[-1]
    derived = sorted((workspace.index / "derived").iterdir())
    corpus = Corpus(workspace)
    corpus.upsert([replace(corpus.documents()[0], metadata={"line": 77})])
    monkeypatch.setattr(snapshots, "cut", None)
    assert refresh(workspace) == Live("rrf", 2)
    assert published(workspace.index)[-1].versions[PASSAGES] == before.versions[PASSAGES]
    assert (embedded, sorted((workspace.index / "derived").iterdir())) == ([], derived)
    opened = Opened(workspace, snapshot=2)
    assert [h.document for h in use.search(opened, "valve", "rrf", 20, "line = 77").hits] == ["d0"]


def test_a_snapshot_opens_as_it_was_whatever_was_written_since(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(workspace, "valve seal")
    Corpus(workspace).delete(before)
    monkeypatch.setattr(snapshots, "cut", None)  # nothing is cut again, analysed again, or looked for in the head
    opened = Opened(workspace, snapshot=1)
    assert [hit.document for hit in use.search(opened, "valve seal", "rrf", 5).hits] == before
    assert len(opened.collection.documents) == 20
    with pytest.raises(ResurveyError, match="is not there any more") as caught:
        assert Opened(workspace, snapshot=9).index
    assert "resurvey refresh" in caught.value.next


def test_what_a_killed_refresh_began_is_finished_by_the_next(
    workspace: Workspace, embedded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    Corpus(workspace).upsert([Document("new", "zeppelin")])
    for where, name in ((snapshots, "publish"), (use, "search_all"), (loop, "nothing")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "resurvey.refresh.warm" if where is use else f"{where.__name__}.{name}", killed, raising=False
            )
            if where is not loop:
                with pytest.raises(KeyboardInterrupt):
                    refresh(workspace)
                assert live(workspace) == Live("rrf", 1)
                assert "new" not in found(workspace, "zeppelin")
    assert refresh(workspace) == Live("rrf", 2)
    assert found(workspace, "zeppelin")[0] == "new"
    assert len(embedded) == len(set(embedded)), "nothing is embedded twice"


def test_an_adapted_model_gets_the_new_documents_too(workspace: Workspace, tmp_path: Path) -> None:
    from conftest import make_model

    model = workspace.artefacts.put_folder(make_model(tmp_path / "other", seed=8))
    opened = Opened(workspace)
    root = {**recipe.dense(20), "model": model}
    made = recipe.recipe(root, opened.encoder)
    Registry(workspace).add(Candidate("0001-own", "own", "base", made, True, "", None), {}, "key")
    switch(workspace, Live("0001-own", 1), "test")
    Corpus(workspace).upsert([Document("new", "weld weld alloy")])
    assert refresh(workspace) == Live("0001-own", 2)
    assert found(workspace, "weld weld alloy")[0] == "new"


def test_a_refresh_is_no_step_that_a_rollback_undoes(workspace: Workspace) -> None:
    switch(workspace, Live("bm25", 1), "test")
    Corpus(workspace).upsert([Document("new", "zeppelin")])
    refresh(workspace)
    assert history(workspace) == [Live("rrf", 1), Live("bm25", 2)]
    assert rollback(workspace) == (Live("bm25", 2), Live("rrf", 2))
    assert found(workspace, "zeppelin")[0] == "new", "going back takes no acknowledged document away"


def test_the_loop_works_on_the_documents_as_they_are_now(workspace: Workspace) -> None:
    session = Session(workspace)
    loop.diagnose(session)
    made = read_json(workspace.root / "manifests" / "diagnose.json")
    Corpus(workspace).delete(["d0", "d1"])
    again = Session(workspace)
    loop.diagnose(again)
    assert read_json(workspace.root / "manifests" / "diagnose.json")["key"] != made["key"]
    assert len(again.index.documents) == 18
    assert {d for grades in again.trial.qrels.values() for d in grades} <= set(again.index.rows)


def test_what_somebody_reads_is_not_removed_under_them(tmp_path: Path, documents: tuple[Document, ...], encoder: SentenceEncoder, workspace: Workspace) -> None:  # fmt: skip
    reader = Opened(workspace, snapshot=1)
    words = reader.index.store.column("words").to_pylist()
    corpus = Corpus(workspace)
    for step in range(8):
        corpus.upsert([Document(f"n{place}", f"text {step} {place}") for place in range(9)])
        refresh(workspace)
        gc.collect()
    assert [s.number for s in published(workspace.index)] == [1, 7, 8, 9]
    assert reader.index.store.column("words").to_pylist() == words
    reader.index.store.close()
    corpus.upsert([Document("last", "text")])
    refresh(workspace)
    assert [s.number for s in published(workspace.index)] == [8, 9, 10]


def test_a_store_of_anybodys_documents_is_rebuilt_from_its_tables(
    tmp_path: Path, documents: tuple[Document, ...], encoder: SentenceEncoder, workspace: Workspace
) -> None:
    parts = cut(documents, encoder, 32)
    store = Store(tmp_path, build(tmp_path, documents, parts, "english"))
    assert index_at(tmp_path, store, store.documents(), encoder, workspace.settings).cut.texts == parts.texts
