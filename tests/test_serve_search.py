"""Searching over HTTP: what a request may ask, what an answer tells, and what is left out when something is down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import client, ids, service_of, workspace
from starlette.testclient import TestClient

from resurvey import use
from resurvey.promote.live import Live, switch
from resurvey.search.ranker import EXPECTED
from resurvey.serve import engine as engine_of
from resurvey.serve.answering import snippet
from resurvey.session import Session
from resurvey.types import Document
from resurvey.workspace import Workspace

VALIDITY = 'valid_from_field = "from"\nvalid_until_field = "until"\nsuperseded_field = "newer"\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], model_folder: Path) -> Path:
    return workspace(tmp_path_factory.mktemp("search"), documents, model_folder)


@pytest.fixture(scope="module")
def asks(root: Path) -> Iterator[TestClient]:
    with client(root) as found:
        yield found


def test_an_answer_has_what_the_library_finds_and_says_what_it_was_made_of(asks: TestClient, root: Path) -> None:
    answer = asks.post("/search", json={"query": "replace the pump", "k": 5})
    session = Session(Workspace.open(root))
    hits = use.search(session, "replace the pump", "live", 5).hits
    assert ids(answer) == [hit.document for hit in hits]
    told = answer.json()
    np.testing.assert_allclose([hit["score"] for hit in told["hits"]], [hit.score for hit in hits], rtol=1e-4)
    assert (told["candidate"], told["snapshot"]) == ("rrf", 1)
    assert told["fingerprint"] == session.encoder.fingerprint
    assert answer.headers["x-request-id"] == told["query_id"]
    first = told["hits"][0]
    document = session.index.documents[session.index.rows[first["id"]]]
    assert (first["title"], first["metadata"]) == (document.title, dict(document.metadata))
    assert first["text"].rstrip(" …") in document.text
    assert told["words_known"]
    assert "explain" not in told


def test_an_address_asks_the_same(asks: TestClient) -> None:
    one = asks.post("/search", json={"query": "pump", "k": 3, "filter": "year >= 2005"})
    other = asks.get("/search", params={"query": "pump", "k": 3, "filter": "year >= 2005"})
    assert ids(one) == ids(other)
    assert asks.get("/search", params={"query": "pump", "k": 0}).status_code == 422


def test_all_problems_of_a_request_come_together(asks: TestClient) -> None:
    shape = asks.post("/search", json={"k": "3", "quer": "pump"})
    assert shape.status_code == 422
    assert shape.headers["content-type"] == "application/problem+json"
    assert {problem["where"] for problem in shape.json()["problems"]} == {"query", "k", "quer"}
    boosts = [{"field": "nothing", "weight": 1.0}, {"field": "price", "half_life": 3.0, "weight": 1.0}]
    wrong = asks.post(
        "/search", json={"query": "pump", "filter": "yeer > 3 or price = 'x'", "at": "soon", "boosts": boosts}
    )
    assert wrong.status_code == 400
    assert [problem["where"] for problem in wrong.json()["problems"]] == [
        "filter, character 1", "filter, character 13", "at", "boost of 'nothing'", "boost of 'price'",
    ]  # fmt: skip
    assert wrong.json()["next"]
    assert asks.post("/search", json={"query": "  "}).status_code == 400
    assert asks.post("/search", json={"query": "pump", "candidate": "0009"}).status_code == 404
    assert asks.post("/nowhere", json={}).json()["status"] == 404
    assert asks.post("/search", content=b"{").status_code == 422


def test_other_candidates_answer_over_the_same_snapshot(asks: TestClient) -> None:
    for name in ("base", "bm25"):
        told = asks.post("/search", json={"query": "pump", "candidate": name}).json()
        assert (told["candidate"], told["snapshot"]) == (name, 1)
    assert asks.post("/search", json={"query": "pump"}).json()["candidate"] == "rrf"
    unjudged = asks.post("/search", json={"query": "pump", "min_confidence": 0.5})
    assert unjudged.status_code == 400
    assert unjudged.json()["problems"][0]["where"] == "min_confidence"


def test_what_a_query_states_is_shown_applied_or_left_alone_and_taken_away_by_name(asks: TestClient) -> None:
    query = "pump from CDC under $100 2003"

    def told(**more: object) -> dict[str, list[dict[str, object]]]:
        answer = asks.post("/search", json={"query": query, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, list[dict[str, object]]] = answer.json()
        return found

    shown = told()["filters"]
    assert [(one["filter"], one["applied"]) for one in shown if one["words"] != "2003"] == [
        ("source = 'CDC'", False), ("price < 100", False),
    ]  # fmt: skip
    applied = told(constraints="apply")
    assert all(one["applied"] for one in applied["filters"])
    assert [hit["id"] for hit in applied["hits"]] == ["d3"]  # 2003: year or date, price 30, CDC
    freed = told(constraints="apply", without=["price < 100", "source"])
    assert {one["name"]: one["applied"] for one in freed["filters"]}["price < 100"] is False
    assert told(constraints="off")["filters"] == []
    impossible = asks.post("/search", json={"query": "pump over $900", "constraints": "apply"}).json()
    assert [one["why"] for one in impossible["filters"]] == ["no document would be left"]
    assert impossible["hits"]
    either = asks.post("/search", json={"query": "pump from CDC or WHO", "constraints": "apply"}).json()
    assert [one["filter"] for one in either["filters"]] == ["source = 'CDC' or source = 'WHO'"]
    beside = asks.post(
        "/search", json={"query": "pump from CDC", "filter": "source = 'WHO'", "constraints": "apply"}
    ).json()
    assert [(one["name"], one["applied"]) for one in beside["filters"]] == [("filter", True), ("source = 'CDC'", False)]
    assert beside["hits"]


def test_only_what_holds_is_found_and_nothing_that_was_replaced(
    tmp_path: Path, documents: tuple[Document, ...], model_folder: Path
) -> None:
    with client(workspace(tmp_path, documents, model_folder, VALIDITY)) as asks:
        found = asks.post("/search", json={"query": "pump", "k": 20, "explain": True})
        assert set(ids(found)) <= {f"d{place}" for place in range(10, 18)}
        assert {one["name"] for one in found.json()["filters"]} == {"valid_at", "superseded"}
        assert set(found.json()["hits"][0]["explain"]["filters"]) == {"valid_at", "superseded"}
        then = set(ids(asks.post("/search", json={"query": "pump", "k": 20, "at": "2005-05-05"})))
        assert {"d1", "d2"} & then
        assert not {"d18", "d19"} & then
        assert ids(asks.post("/search", json={"query": "pump", "k": 20, "at": "1999-01-01"})) == []
        everything = {"query": "pump", "k": 20, "at": "any", "without": ["superseded"]}
        assert {"d18", "d19"} & set(ids(asks.post("/search", json={**everything, "candidate": "base"})))


def test_boosts_of_a_request_and_of_the_settings_move_documents(
    tmp_path: Path, documents: tuple[Document, ...], model_folder: Path, asks: TestClient
) -> None:
    boost = {"field": "updated", "half_life": 300.0, "weight": 100.0}
    newest = ids(asks.post("/search", json={"query": "pump", "candidate": "base", "boosts": [boost]}))
    assert newest[:3] == ["d19", "d18", "d17"]
    valued = {
        "query": "pump",
        "candidate": "base",
        "k": 10,
        "boosts": [{"field": "source", "value": "WHO", "weight": 99.0}],
    }
    assert all(int(id[1:]) % 2 == 0 for id in ids(asks.post("/search", json=valued)))
    settings = f"boosts = '{json.dumps([boost])}'\n"
    with client(workspace(tmp_path, documents, model_folder, settings)) as other:
        assert ids(other.post("/search", json={"query": "pump", "candidate": "base"}))[:3] == ["d19", "d18", "d17"]
        plain = other.post("/search", json={"query": "pump", "candidate": "base", "boosts": []})
        assert ids(plain) == ids(asks.post("/search", json={"query": "pump", "candidate": "base"}))


def test_an_explanation_has_every_stage_the_shared_words_and_what_the_ranker_made_of_it(
    tmp_path: Path, beir_folder: Path, model_folder: Path
) -> None:
    from test_cli import call

    root = tmp_path / "ranked"
    assert call("init", root, "--beir", beir_folder, "--model", model_folder).code == 0
    assert call("treat", root, "ranker").code == 0
    ranked = next(path.name for path in (root / "candidates").iterdir() if path.name.endswith("ranker"))
    switch(Workspace.open(root), Live(ranked, 1), "test")
    with client(root) as asks:
        told = asks.post("/search", json={"query": "replace valve P0-100", "explain": True}).json()
        sure = asks.post("/search", json={"query": "replace valve P0-100", "min_confidence": 0.5})
        narrowed = asks.post("/search", json={"query": "replace valve P0-100", "filter": "year >= 2001"}).json()
    probabilities = {hit["id"]: hit["probability"] for hit in told["hits"]}
    assert told["confidence"]["why"] is None
    assert probabilities["d0"] > 0.5 > told["hits"][-1]["probability"]
    assert [hit["id"] for hit in sure.json()["hits"]] == [id for id, one in probabilities.items() if one >= 0.5]
    assert sure.json()["confidence"]["withheld"] == len(probabilities) - len(sure.json()["hits"])
    assert {hit["id"]: hit["probability"] for hit in narrowed["hits"]}.items() >= {
        id: one for id, one in probabilities.items() if id in ("d1", "d2", "d3")
    }.items()  # a filter moves no probability
    assert told["candidate"] == ranked
    assert {"dense", "lexical", "embedding", "ranker"} <= set(told["explain"]["milliseconds"])
    for hit in told["hits"]:
        why = hit["explain"]
        score = why["stages"]["ranker"]["score"]
        assert why["stages"]["ranker"]["rank"] == hit["rank"]
        assert sum(why["contributions"].values()) == pytest.approx(score, abs=1e-3)
        assert {"words", "meaning", EXPECTED} <= set(why["contributions"])
    first = next(hit for hit in told["hits"] if hit["id"] == "d0")
    assert first["explain"]["matched"] == {"words": ["valve", "P0-100"], "codes": ["p0-100", "p0100"]}


def test_what_was_made_with_another_encoder_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = engine_of.recipe_of

    def foreign(opened: Any, name: str) -> tuple[str, Any]:
        id, made = named(opened, name)
        return id, {**made, "encoder": {**made["encoder"], "fingerprint": "another"}} if name == "base" else made

    monkeypatch.setattr(engine_of, "recipe_of", foreign)
    with client(root) as asks:
        refused = asks.post("/search", json={"query": "pump", "candidate": "base"})
    assert refused.status_code == 409
    assert "spaces do not mix" in refused.json()["detail"]
    assert refused.json()["next"]


def test_a_query_is_embedded_once_and_nothing_of_it_is_kept(asks: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = service_of(asks).now()
    embedder = engine.spaces["live"]
    seen: list[list[str]] = []
    encode = embedder.encoder.encode
    monkeypatch.setattr(type(embedder.encoder), "encode", lambda self, texts, kind: seen.append(list(texts)) or encode(texts, kind))  # fmt: skip
    vectors = engine.opened.index.vectors.folder
    before = sorted(path.name for path in vectors.iterdir())
    assert asks.post("/search", json={"query": "a query nobody asked before"}).status_code == 200
    assert seen == [["a query nobody asked before"]]
    assert sorted(path.name for path in vectors.iterdir()) == before


def test_a_snippet_is_the_part_that_says_what_was_asked() -> None:
    text = f"{'filler ' * 50}the valve leaks {'more ' * 50}"
    found = snippet(text, frozenset({"valv"}), "english")
    assert "valve leaks" in found
    assert found.startswith("… ")
    assert found.endswith(" …")
    assert len(found.split()) <= 34
    assert snippet("short text", frozenset({"valv"}), "english") == "short text"
    assert snippet("  ", frozenset(), "english") == ""
