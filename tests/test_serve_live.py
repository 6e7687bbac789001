"""What goes live takes over while requests are under way, and what is late or down is done without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedding_server import Server
from embedding_server import serve as serve_vectors
from serving import client, ids, service_of, workspace
from starlette.testclient import TestClient

from resurvey.promote.live import Live, switch
from resurvey.search import recipe
from resurvey.search.encode import SentenceEncoder
from resurvey.search.rerank import Reranking
from resurvey.search.scorers import UnansweredError
from resurvey.serve import engine as engine_of
from resurvey.serve import logs
from resurvey.serve.engine import Engine, model_of
from resurvey.types import Document
from resurvey.workspace import Workspace


def until(reached: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def root(tmp_path: Path, documents: tuple[Document, ...], model_folder: Path) -> Path:
    return workspace(tmp_path, documents, model_folder)


def test_a_switch_is_seen_and_no_answer_mixes_two_engines(root: Path) -> None:
    with client(root) as asks:
        service = service_of(asks)
        service.start()
        told: list[dict[str, Any]] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                told.append(asks.post("/search", json={"query": "replace the pump", "explain": True}).json())

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            until(lambda: len(told) > 3)
            switch(Workspace.open(root), Live("bm25", 1), "test")
            until(lambda: service.now().main.id == "bm25")
            seen = len(told)
            until(lambda: len(told) > seen + 3)
        finally:
            stop.set()
            asking.join()
        page = service.metrics.page().decode()
    assert [one["candidate"] for one in told] == sorted((one["candidate"] for one in told), reverse=True)
    assert {one["candidate"] for one in told} == {"rrf", "bm25"}
    pipelines = {one["candidate"]: one["explain"]["pipeline"] for one in told}
    assert pipelines == {"rrf": "RRF(BM25, dense over truncated)", "bm25": "BM25"}
    assert all(one["explain"]["pipeline"] == pipelines[one["candidate"]] for one in told)
    lines = {line.partition("}")[0].partition("candidate=")[2][1:4]: line[-3:] for line in page.splitlines() if line.startswith("resurvey_live{")}  # fmt: skip
    assert lines == {"rrf": "0.0", "bm2": "1.0"}
    assert 'resurvey_switches_total{outcome="done"} 1.0' in page


def test_what_cannot_be_opened_leaves_the_old_one_answering_and_says_why(root: Path) -> None:
    with client(root) as asks:
        service = service_of(asks)
        switch(Workspace.open(root), Live("0007-gone", 1), "test")
        with pytest.raises(Exception, match="0007-gone"):
            service.look()
        assert asks.post("/search", json={"query": "pump"}).json()["candidate"] == "rrf"
        health = asks.get("/health").json()
        assert health["status"] == "troubled"
        assert health["trouble"][0]["where"] == "0007-gone"
        assert asks.get("/ready").status_code == 200
        assert 'resurvey_switches_total{outcome="failed"} 1.0' in service.metrics.page().decode()
        switch(Workspace.open(root), Live("base", 1), "test")
        assert service.look()
        assert not service.look()
        assert asks.get("/health").json()["status"] == "ok"


def test_ready_is_said_when_a_query_was_answered_and_taken_back_when_it_stops(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(root) as asks:
        service = service_of(asks)
        made, service.engine = service.engine, None
        not_yet = asks.get("/ready")
        assert (not_yet.status_code, not_yet.json()["why"]) == (503, "opening what is live")
        early = asks.post("/search", json={"query": "pump"})
        assert (early.status_code, early.headers["retry-after"]) == (503, "1")
        assert asks.get("/health").json()["status"] == "opening"
        service.engine = made
        assert asks.get("/ready").json() == {"ready": True, "why": ""}
        service.draining = True
        assert asks.get("/ready").status_code == 503
        assert asks.post("/search", json={"query": "pump"}).status_code == 200
    searched: list[str] = []
    found = Engine.search
    monkeypatch.setattr(
        Engine, "search", lambda self, ask, trace: searched.append(ask.query) or found(self, ask, trace)
    )
    Engine(root, Live("rrf", 1))
    assert searched


def test_too_many_waiting_and_too_late_are_told_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(root) as asks:
        service = service_of(asks)
        service.seconds = 0.05
        free = threading.Event()
        monkeypatch.setattr(Engine, "search", lambda *_: free.wait(5))
        assert asks.post("/search", json={"query": "pump"}).status_code == 504
        free.set()
        monkeypatch.setattr("resurvey.serve.service.MOST_WAITING", 0)
        assert asks.post("/search", json={"query": "pump"}).status_code == 503


def test_a_defect_is_told_with_the_id_under_which_the_log_has_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    caplog.set_level("INFO", logs.NAME)
    with client(root) as asks:
        monkeypatch.setattr(Engine, "search", broken)
        strict = TestClient(asks.app)  # would raise what the server would have to log once more
        found = strict.post("/search", json={"query": "my query"}, headers={"X-Request-ID": "mine-1"})
    assert found.status_code == 500
    assert "mine-1" in found.json()["next"]
    assert "secret" not in found.text
    told = [record for record in caplog.records if record.message in ("defect", "request")]
    assert [record.facts["id"] for record in told] == ["mine-1", "mine-1"]  # type: ignore[attr-defined]
    assert not any("my query" in str(vars(record)) for record in told)


def test_an_embedding_endpoint_that_is_down_leaves_the_words(
    tmp_path: Path, documents: tuple[Document, ...], model_folder: Path, encoder: SentenceEncoder
) -> None:
    server = Server(lambda texts: encoder.encode(texts, "passage"))
    running = serve_vectors(server)
    settings = f'endpoint_url = "{server.url}"\nembed_seconds = 0.2\n'
    try:
        with client(workspace(tmp_path, documents, model_folder, settings)) as asks:
            whole = asks.post("/search", json={"query": "replace the pump"})
            assert whole.json()["skipped"] == []
            server.before = lambda _: time.sleep(1) or (500, {}, b"{}")
            words = asks.post("/search", json={"query": "replace the valve"})
            alone = asks.post("/search", json={"query": "replace the valve", "candidate": "bm25"})
            assert ids(words) == ids(alone)
            assert [one["stage"] for one in words.json()["skipped"]] == ["embedding", "dense"]
            assert "within 0.2 s" in words.json()["skipped"][0]["why"]
            dense = asks.post("/search", json={"query": "replace the valve", "candidate": "base"})
            assert ids(dense) == ids(alone)
            asks.post("/search", json={"query": "a third"})
            began = time.perf_counter()
            left_alone = asks.post("/search", json={"query": "a fourth pump"})
            assert time.perf_counter() - began < 0.15
            assert "left alone for a while" in left_alone.json()["skipped"][0]["why"]
            assert asks.get("/health").json()["open_breakers"] == ["embedding"]
            page = asks.get("/metrics").text
            assert 'resurvey_breaker_open{stage="embedding"} 1.0' in page
            assert 'resurvey_skipped_total{stage="dense"} 4.0' in page
            assert asks.post("/v1/embeddings", json={"input": "pump"}).status_code == 503
    finally:
        running.shutdown()
        running.server_close()


def test_a_reranker_that_is_late_is_left_out_and_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late:
        name = "late"
        cut_short = 0

        def scores(self, *_: Any) -> None:
            raise UnansweredError("late: 0 of 20 pairs scored in 300 ms")

    monkeypatch.setattr("resurvey.search.builder.open_scorer", lambda *_, **__: Late())
    named = engine_of.recipe_of

    def reranked(opened: Any, name: str) -> tuple[str, Any]:
        id, made = named(opened, name)
        return id, {**made, "root": recipe.reranked(made["root"], "late", depth=10, blend=0.5)}

    monkeypatch.setattr(engine_of, "recipe_of", reranked)
    with client(root) as asks:
        plain = service_of(asks).now()
        told = asks.post("/search", json={"query": "pump"}).json()
        assert told["skipped"] == [{"stage": "reranker", "why": "late: 0 of 20 pairs scored in 300 ms"}]
        assert told["hits"]
        asks.post("/search", json={"query": "pump", "filter": "year > 2003"})
        resting = asks.post("/search", json={"query": "pump", "filter": "year > 2004"}).json()
        assert resting["skipped"][0]["why"].startswith("left alone for a while")  # one breaker, whatever the filter
        assert [name for name, breaker in plain.breakers() if breaker.open] == ["reranker"]
        assert all(isinstance(part, Reranking) for part in plain.opened.builder._parts.values())


def test_words_alone_are_what_is_left_of_a_tree_without_vectors() -> None:
    words, vectors = recipe.lexical(50), recipe.dense(50)
    both = recipe.fused([words, vectors], 50)
    tree = recipe.reranked(recipe.ranked(both, "sha256:x"), "m", depth=5, blend=0.5, facts={"read": "passages"})
    assert recipe.words_alone(tree) == (words, ["dense", "ranker", "reranker"])
    assert recipe.words_alone(vectors) == (recipe.lexical(50), ["dense"])
    kept = recipe.filtered(recipe.boosted(both, {}), "a = 1")
    assert recipe.words_alone(kept)[0] == recipe.filtered(recipe.boosted(words, {}), "a = 1")
    filtered = recipe.filtered(vectors, "a = 1")
    assert recipe.words_alone(filtered)[0] == recipe.filtered(recipe.lexical(50), "a = 1")
    assert (model_of(both), model_of(words)) == ("", None)
