"""The whole job with an encoder behind an endpoint: every rung that needs no weights, through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedding_server import Server, serve
from test_cli import call

from resurvey import calls
from resurvey.calls import Patience
from resurvey.search.encode import SentenceEncoder
from resurvey.treat.catalog import available
from resurvey.workspace import read_json

VALUES = 'endpoint_tokenizer = "{model}"\ndepth = 20\nfolds = 3\npassage_tokens = 32\nstandin_queries = 40\n'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE", Patience(tries=2, first_wait=0.01, timeout=60))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def server(encoder: SentenceEncoder) -> Iterator[Server]:
    made = Server(lambda texts: encoder.encode(texts, "passage"))
    running = serve(made)
    yield made
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def restored(server: Server) -> Iterator[None]:
    """Every test meets the endpoint as it was at first."""
    embed, before = server.embed, server.before
    yield
    server.embed, server.before = embed, before


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    """The workspace in which the main job has ended."""
    return {}


@pytest.fixture
def ran(
    made: dict[str, Path], server: Server, beir_folder: Path, model_folder: Path, tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """A copy of a workspace that was made and run through the endpoint."""
    if not made:
        root = tmp_path_factory.mktemp("endpoint") / "ws"
        begun = call("init", root, "--beir", beir_folder, "--endpoint", server.url, "--model", "tiny")
        assert begun.code == 0, begun.err
        with (root / "resurvey.toml").open("a") as file:
            file.write(VALUES.format(model=model_folder))
        ended = call("run", root)
        assert ended.code == 0, ended.err
        made["root"] = root
    shutil.copytree(made["root"], tmp_path / "ws")
    return tmp_path / "ws"


def test_every_rung_that_needs_no_weights_runs_and_an_open_base_is_offered(ran: Path, server: Server) -> None:
    planned = [step["treatment"] for step in read_json(ran / "plan.json")["steps"]]
    tried = [id[5:] for id in read_json(ran / "candidates" / "ladder.json")["candidates"]]
    assert tried == planned
    assert {"passages", "hybrid", "identifiers"} <= set(tried) <= {row.name for row in available("small")}
    assert read_json(ran / "live.json")["candidate"]
    assert f"tiny at {server.url}" in json.loads(call("status", ran, "--json").out)["facts"]["encoder"]
    advice = {step["treatment"]: step["reason"] for step in read_json(ran / "plan.json")["avoid"]}
    assert "--model BAAI/bge-base-en-v1.5" in advice["training this encoder"]


def test_vectors_of_a_run_are_those_of_the_model_behind_it(
    ran: Path, model_folder: Path, beir_folder: Path, tmp_path: Path
) -> None:
    """The same data and settings with the encoder on this machine: the same ranking, to rounding."""
    assert call("init", tmp_path / "local", "--beir", beir_folder, "--model", model_folder).code == 0
    found = []
    for root in (ran, tmp_path / "local"):
        output = tmp_path / f"{root.name}.trec"
        asked = ("--queries", beir_folder / "queries.jsonl", "--output", output, "--candidate", "base")
        assert call("rank", root, *asked).code == 0
        found.append([line.split() for line in output.read_text().splitlines()])
    best = [{row[0]: float(row[4]) for row in rows if row[3] == "1"} for rows in found]
    assert best[0] == pytest.approx(best[1], abs=1e-5)


def test_nothing_is_embedded_twice(ran: Path, server: Server) -> None:
    server.asked.clear()
    assert call("run", ran).code == 0
    assert len(server.asked) == 1  # the probe texts


def test_a_run_stops_where_the_model_was_exchanged(ran: Path, server: Server) -> None:
    before, diagnosed = read_json(ran / "live.json"), read_json(ran / "manifests" / "diagnose.json")["key"]
    still = server.embed
    server.embed = lambda texts: still(texts)[:, ::-1]
    for command in (("run", ran), ("search", ran, "pump leak")):
        ended = call(*command)
        assert ended.code == 1
        assert "tiny is not the model it was" in ended.err
        assert "Next: name the model's former version" in ended.err
    assert read_json(ran / "live.json") == before
    next(iter((ran / "index" / "engines").glob("endpoint-*.json"))).unlink()
    assert call("run", ran).code == 0  # everything anew, in the new space
    assert len(list((ran / "index" / "vectors").iterdir())) == 2
    assert read_json(ran / "manifests" / "diagnose.json")["key"] != diagnosed


def test_a_run_whose_endpoint_fails_goes_on_later(server: Server, beir_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "ws"
    assert call("init", root, "--beir", beir_folder, "--endpoint", server.url, "--model", "tiny").code == 0
    server.asked.clear()
    server.before = lambda _: (503, {}, b"") if len(server.asked) > 2 else None
    ended = call("diagnose", root)
    assert ended.code == 1
    assert f"{server.url}/embeddings: answers 503, after 2 tries" in ended.err
    assert not (root / "diagnosis.json").exists()
    server.before = lambda _: None
    assert call("diagnose", root).code == 0


def test_init_makes_nothing_for_an_endpoint_that_gives_no_vectors(
    server: Server, beir_folder: Path, tmp_path: Path
) -> None:
    server.before = lambda _: (401, {}, b'{"error": {"message": "no key"}}')
    ended = call("init", tmp_path / "ws", "--beir", beir_folder, "--endpoint", server.url, "--model", "tiny")
    assert ended.code == 1
    assert "answers 401: no key\nNext: put a key into the environment variable OPENAI_API_KEY" in ended.err
    unnamed = call("init", tmp_path / "ws", "--beir", beir_folder, "--endpoint", "host/v1")
    assert "must begin with https://" in unnamed.err
    assert "model: is bundled, must be what host/v1 calls its model" in unnamed.err
    assert not (tmp_path / "ws").exists()


def test_the_doctor_says_what_is_unknown(ran: Path, server: Server) -> None:
    ended = call("doctor", ran, "--json")
    rows = {row["name"]: row for row in json.loads(ended.out)["checks"]}
    assert rows["endpoint"]["what"] == f"tiny at {server.url}, 32 dimensions, longest text: 64 tokens"
    toml = ran / "resurvey.toml"
    toml.write_text(toml.read_text().replace("endpoint_tokenizer = ", "# ", 2))
    ended = call("doctor", ran, "--json")
    rows = {row["name"]: row for row in json.loads(ended.out)["checks"]}
    assert "longest text: unknown" in rows["endpoint"]["what"]
    server.before = lambda _: (500, {}, b"down")
    ended = call("doctor", ran, "--json")
    rows = {row["name"]: row for row in json.loads(ended.out)["checks"]}
    assert (rows["embedding"]["state"], ended.code) == ("wrong", 1)
