"""The OpenAI embeddings protocol, asked by OpenAI's own client; and queries of many requests embedded together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from serving import client, service_of, workspace
from starlette.testclient import TestClient

from resurvey.search.encode import SentenceEncoder
from resurvey.search.trace import Trace
from resurvey.search.vectors import VectorStore
from resurvey.serve.embedder import Embedder, ServingVectors
from resurvey.types import Document, Floats


@pytest.fixture(scope="module")
def asks(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], model_folder: Path
) -> Iterator[TestClient]:
    with client(workspace(tmp_path_factory.mktemp("embeddings"), documents, model_folder)) as found:
        yield found


@pytest.fixture(scope="module")
def api(asks: TestClient) -> openai.OpenAI:
    """OpenAI's client, its requests answered in this process."""
    import httpx

    def passed_on(request: httpx.Request) -> httpx.Response:
        found = asks.request(request.method, request.url.path, content=request.read(), headers=dict(request.headers))
        return httpx.Response(found.status_code, headers=dict(found.headers), content=found.content)

    made = httpx.Client(transport=httpx.MockTransport(passed_on))
    return openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=made, max_retries=0)


def test_openais_client_gets_the_models_own_vectors(api: openai.OpenAI, encoder: SentenceEncoder) -> None:
    texts = ["replace the valve", "a pump"]
    found = api.embeddings.create(model="live", input=texts)  # the client asks for base64 and unpacks it
    np.testing.assert_allclose([row.embedding for row in found.data], encoder.encode(texts, "passage"), atol=1e-5)
    assert [row.index for row in found.data] == [0, 1]
    assert found.usage.prompt_tokens == sum(len(spans) for spans in encoder.offsets(texts))
    plain = api.embeddings.create(model="base:query", input="a pump", encoding_format="float")
    np.testing.assert_allclose(plain.data[0].embedding, encoder.encode(["a pump"], "query")[0], atol=1e-5)
    assert plain.model == "base:query"


def test_shorter_vectors_are_cut_and_of_unit_length(api: openai.OpenAI, encoder: SentenceEncoder) -> None:
    found = np.array(api.embeddings.create(model="live", input="a pump", dimensions=8).data[0].embedding)
    whole = encoder.encode(["a pump"], "passage")[0][:8]
    np.testing.assert_allclose(found, whole / np.linalg.norm(whole), atol=1e-5)


def test_queries_and_passages_get_their_own_prompts(asks: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    embedder = service_of(asks).now().spaces["live"]
    encode = embedder.encoder.encode
    monkeypatch.setattr(
        type(embedder.encoder), "encode", lambda _, texts, kind: seen.append(kind) or encode(texts, kind)
    )
    for body in (
        {"model": "live:query"},
        {"model": "live:passage"},
        {"input_type": "query"},
        {"input_type": "document"},
        {},
    ):
        assert asks.post("/v1/embeddings", json={"input": "pump", **body}).status_code == 200
    assert seen == ["query", "passage", "query", "passage", "passage"]


def test_what_cannot_be_embedded_is_refused_in_openais_words_and_ours(api: openai.OpenAI, asks: TestClient) -> None:
    with pytest.raises(openai.BadRequestError, match="token ids"):
        api.embeddings.create(model="live", input=[[1, 2], [3]])
    with pytest.raises(openai.NotFoundError, match="'gpt' is no model, there are live, live:query, live:passage"):
        api.embeddings.create(model="gpt", input="pump")
    long = "pump " * 100
    wrong = asks.post("/v1/embeddings", json={"input": ["pump", long, " "], "dimensions": 33})
    assert [one["where"] for one in wrong.json()["problems"]] == ["input[2]", "dimensions"]
    assert wrong.json()["error"]["type"] == "invalid_request_error"
    cut = asks.post("/v1/embeddings", json={"input": ["pump", long]})
    assert "input[1]: has 100 tokens, and the model reads" in cut.json()["detail"]
    assert asks.post("/v1/embeddings", json={"input": ["pump", long], "truncate": True}).status_code == 200
    both = asks.post("/v1/embeddings", json={"input": "pump", "model": "live:query", "input_type": "passage"})
    assert both.status_code == 400


def test_the_models_are_told_with_what_they_read(api: openai.OpenAI, encoder: SentenceEncoder) -> None:
    found = {model.id: model for model in api.models.list()}
    assert set(found) == {f"{name}{kind}" for name in ("live", "base") for kind in ("", ":query", ":passage")}
    extra: Any = found["live"].model_extra
    assert (extra["fingerprint"], extra["dimensions"]) == (encoder.fingerprint, 32)
    assert api.models.retrieve("live:query").id == "live:query"
    with pytest.raises(openai.NotFoundError):
        api.models.retrieve("other")


class Slow:
    """An encoder that takes its time, and refuses to be in two places."""

    name = fingerprint = "slow"
    dimensions = max_tokens = 4

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.free = threading.Event()
        self._busy = threading.Lock()

    def prompt(self, _: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str) -> Floats:
        assert self._busy.acquire(blocking=False), "two threads at once"
        self.batches.append(len(texts))
        self.free.wait(5)
        if "bad" in texts:
            self._busy.release()
            raise ValueError("bad")
        self._busy.release()
        return np.array([[len(text), 0, 0, 0] for text in texts], dtype=np.float32)


def test_requests_that_come_while_others_are_embedded_are_embedded_together() -> None:
    slow = Slow()
    told: list[tuple[int, int]] = []
    embedder = Embedder(slow, told=lambda texts, requests: told.append((texts, requests)))  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(embedder.vectors, ["a"], "query")
        while not slow.batches:
            assert not first.done(), first.exception()
            time.sleep(0.001)
        rest = [pool.submit(embedder.vectors, ["b" * size], "query") for size in range(2, 8)]
        while embedder.waiting < 6:
            time.sleep(0.001)
        slow.free.set()
        assert [int(found.result()[0, 0]) for found in (first, *rest)] == [1, 2, 3, 4, 5, 6, 7]
    assert slow.batches == [1, 6]
    assert told == [(1, 1), (6, 6)]


def test_one_that_cannot_be_embedded_does_not_stop_the_next() -> None:
    slow = Slow()
    slow.free.set()
    embedder = Embedder(slow)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bad"):
        embedder.vectors(["bad"], "query")
    assert embedder.vectors(["good"], "query")[0, 0] == 4
    assert embedder.waiting == 0
    assert len(embedder.vectors(["t"] * 70, "passage")) == 70
    assert max(slow.batches) == 32


def test_a_search_embeds_a_text_once_and_preparing_keeps_what_it_embeds(
    tmp_path: Path, encoder: SentenceEncoder
) -> None:
    made: list[Embedder] = []

    def embedders(one: Any) -> Embedder:
        made.append(Embedder(one))
        return made[-1]

    vectors = ServingVectors(VectorStore(tmp_path, encoder), embedders)
    with Trace() as trace:
        first = vectors.vectors(["pump", "valve", "pump"], "query")
        again = vectors.vectors(["valve"], "query")
    np.testing.assert_array_equal(first[1], again[0])
    np.testing.assert_array_equal(first[0], first[2])
    assert set(trace.seconds) == {"embedding"}
    assert not list(vectors.folder.glob("*.npy"))
    vectors.vectors([f"query {place}" for place in range(40)], "query")
    assert list(vectors.folder.glob("*.npy"))
    assert isinstance(vectors.beside(encoder), ServingVectors)
