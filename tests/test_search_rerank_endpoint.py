"""Endpoints that rerank: a good one, a slow one, one that is down, and answers that are none."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from reranking import serving, shared_words

from resurvey.search.builder import Builder
from resurvey.search.recipe import dense, describe, reranked
from resurvey.search.rerank import NAME
from resurvey.search.rerank_endpoint import CHARACTERS, Endpoint, address
from resurvey.search.scorers import UnansweredError, open_scorer
from resurvey.types import Document, Json, Query
from resurvey.workspace import Artefacts


def test_scores_come_back_in_the_order_in_which_texts_were_sent() -> None:
    with serving(shared_words) as served:
        found = Endpoint(f"{served.url}#small", "secret").scores("red pump", ["valve", "a red pump", "red"])
    assert found.tolist() == [0.0, 2.0, 1.0]
    assert served.posted == [
        {"model": "small", "query": "red pump", "documents": ["valve", "a red pump", "red"], "top_n": 3}
    ]
    assert served.headers[0]["Authorization"] == "Bearer secret"
    assert served.paths == ["/v1/rerank"]


def test_without_a_key_and_a_model_none_is_sent() -> None:
    with serving(shared_words) as served:
        Endpoint(served.url).scores("q", ["text"])
    assert "Authorization" not in served.headers[0]
    assert "model" not in served.posted[0]


def test_the_key_is_read_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_KEY", "of mine")
    with serving(shared_words) as served:
        open_scorer(served.url, Artefacts(tmp_path), key_env="MY_KEY").scores("q", ["text"])
        open_scorer(served.url, Artefacts(tmp_path), key_env="NO_SUCH_KEY").scores("q", ["text"])
    assert [row.get("Authorization") for row in served.headers] == ["Bearer of mine", None]


def test_long_texts_are_sent_from_their_beginning() -> None:
    with serving(shared_words) as served:
        Endpoint(served.url).scores("q", ["ab" * CHARACTERS])
    assert served.posted[0]["documents"] == ["ab" * (CHARACTERS // 2)]


def test_nothing_is_asked_about_no_texts() -> None:
    assert len(Endpoint("http://127.0.0.1:1").scores("q", [])) == 0


@pytest.mark.parametrize(
    ("name", "url", "model"),
    [
        ("http://h:80", "http://h:80/v1/rerank", ""),
        ("http://h/#org/m", "http://h/v1/rerank", "org/m"),
        ("https://h/v2", "https://h/v2/rerank", ""),
        ("https://h/v1/rerank#m", "https://h/v1/rerank", "m"),
        ("http://h/tei/rerank?x=1", "http://h/tei/rerank?x=1", ""),
    ],
)
def test_what_a_url_leaves_out_is_filled_in(name: str, url: str, model: str) -> None:
    assert address(name) == (url, model)


def test_a_slow_endpoint_is_not_waited_for_beyond_the_deadline() -> None:
    def slow(posted: Json) -> tuple[int, Json]:
        time.sleep(0.6)
        return shared_words(posted)

    with serving(slow) as served:
        started = time.monotonic()
        with pytest.raises(UnansweredError, match=r"/v1/rerank: (no answer within 100 ms|timed out)"):
            Endpoint(served.url).scores("q", ["text"], 0.1)
        assert time.monotonic() - started < 0.5


BAD: dict[str, tuple[int, Any, str]] = {
    "error": (503, {}, "answered 503 Service Unavailable"),
    "redirect": (302, {}, "answered 302 Found"),
    "not JSON": (200, b"<html>", "Expecting value"),
    "no results": (200, {"detail": "no"}, "holds no `results`"),
    "wrong rows": (200, {"results": [1]}, "holds no `results`"),
    "too few": (200, {"results": [{"index": 0, "relevance_score": 1}]}, "lacks 1 of 2 documents"),
    "beyond": (200, {"results": [{"index": 2, "relevance_score": 1}]}, "names document 2 of 2"),
    "no score": (200, {"results": [{"index": 0}]}, "gives document 0 the score None"),
    "not finite": (200, b'{"results": [{"index": 0, "relevance_score": NaN}]}', "the score nan"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_answer_that_is_none_is_named(kind: str) -> None:
    status, body, reason = BAD[kind]
    with serving(lambda posted: (status, body)) as served, pytest.raises(UnansweredError) as caught:
        Endpoint(served.url, "secret").scores("q", ["a", "b"])
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(served.posted) == 1  # a redirect is not followed


def test_an_endpoint_that_is_not_there_cannot_be_reached() -> None:
    with pytest.raises(UnansweredError, match="cannot be reached"):
        Endpoint("http://127.0.0.1:9").scores("q", ["a"], 5)


def test_a_recipe_with_an_endpoint_reranks_and_searches_on_when_it_is_gone(
    builder: Builder, documents: tuple[Document, ...]
) -> None:
    asked = Query("q", " ".join(documents[7].text.split()[:3]))
    with serving(shared_words) as served:
        made = reranked(dense(20, view="truncated"), served.url, depth=20, blend=1.0, facts={"deadline_ms": 2000})
        retriever = builder.node(json.loads(json.dumps(made)))
        first = retriever.search([asked])["q"]
    assert first.documents[0] == "d7"
    assert NAME in next(iter(first)).stages
    second = retriever.search([asked])["q"]
    assert second.documents == builder.node(made["input"]).search([asked])["q"].documents
    assert NAME not in next(iter(second)).stages
    assert retriever.second.skipped == 1  # type: ignore[attr-defined]
    assert describe(made) == f"(dense over truncated) >> 1.00 {served.url} over the first 20"
