"""Keys: kept as hashes, shown once, refused the moment they are revoked; and the rate that one may ask at."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import client, service_of, workspace
from starlette.testclient import TestClient
from test_cli import call

from resurvey.errors import ResurveyError
from resurvey.serve import gate, keys
from resurvey.serve.limits import Buckets
from resurvey.serve.start import Place, is_loopback, serve
from resurvey.types import Document
from resurvey.workspace import Workspace


@pytest.fixture
def root(tmp_path: Path, documents: tuple[Document, ...], model_folder: Path) -> Path:
    return workspace(tmp_path, documents, model_folder, "serve_megabytes = 1\n")


@pytest.fixture
def asks(root: Path) -> Iterator[TestClient]:
    with client(root) as found:
        yield found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_key_is_shown_once_and_its_hash_is_kept(root: Path) -> None:
    token = call("keys", root, "add", "shop", "--scope", "search,write", "--json").json["key"]
    kept = (root / keys.FILE).read_text()
    assert token not in kept
    assert len(token) >= 43
    assert (root / keys.FILE).stat().st_mode & 0o77 == 0
    found = keys.Keyring(Workspace(root)).of(token)
    assert found is not None
    assert (found.name, found.may("write"), found.may("admin")) == ("shop", True, False)
    assert keys.Keyring(Workspace(root)).of(f"{token}x") is None
    assert "shop: search, write, made" in call("keys", root, "list").out
    again = call("keys", root, "add", "shop", "--scope", "everything")
    assert again.code == 1
    assert "'everything': is no scope" in again.err
    assert "shop: is there already" in again.err
    assert call("keys", root, "revoke", "shop").code == 0
    assert call("keys", root, "revoke", "shop").code == 1
    assert call("keys", root, "list", "shop").code == 2


def test_without_a_key_anybody_here_may_ask_and_with_one_nobody_without(root: Path, asks: TestClient) -> None:
    assert asks.post("/search", json={"query": "pump"}).status_code == 200
    search, admin = (keys.add(Workspace(root), name, [name]) for name in ("search", "admin"))
    bare = asks.post("/search", json={"query": "pump"})
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
    assert asks.post("/search", json={"query": "pump"}, headers=bearer("wrong")).status_code == 401
    assert asks.post("/search", json={"query": "pump"}, headers=bearer(search)).status_code == 200
    refused = asks.post("/events", json={"events": []}, headers=bearer(search))
    assert (refused.status_code, refused.json()["detail"]) == (403, "the key 'search' may search, and this wants write")
    assert asks.get("/metrics", headers=bearer(search)).status_code == 403
    assert asks.get("/metrics", headers=bearer(admin)).status_code == 200
    assert asks.get("/health").status_code == asks.get("/ready").status_code == 200
    keys.revoke(Workspace(root), "search")
    assert asks.post("/search", json={"query": "pump"}, headers=bearer(search)).status_code == 401


def test_every_route_is_open_or_wants_a_scope(asks: TestClient) -> None:
    paths = asks.get("/openapi.json").json()["paths"]
    assert set(paths) <= gate.OPEN | set(gate.SCOPES)
    assert {gate.route_of("/documents/a/b"), gate.route_of("/v1/models/live")} == {
        "/documents/{id}",
        "/v1/models/{model}",
    }
    assert gate.route_of("/anything/else") == gate.OTHER


def test_a_bucket_gives_its_rate_and_twice_as_much_at_once(tmp_path: Path) -> None:
    now = [100.0]
    buckets = Buckets(2.0, clock=lambda: now[0])
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0]
    assert buckets.wait("a") == pytest.approx(0.5)
    assert buckets.wait("b") == 0
    now[0] += 0.5
    assert buckets.wait("a") == 0
    assert buckets.wait("a") > 0
    assert Buckets(0.0).wait("a") == 0


def test_workers_share_their_buckets(tmp_path: Path) -> None:
    one, other = (Buckets(5.0, tmp_path / "rates", clock=lambda: 7.0) for _ in range(2))
    granted: list[float] = []

    def ask(buckets: Buckets) -> None:
        granted.extend([buckets.wait("a") for _ in range(50)])

    threads = [threading.Thread(target=ask, args=(buckets,)) for buckets in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted.count(0.0) == 10


def test_too_many_too_large_and_too_strange_requests_are_refused_before_they_are_read(
    tmp_path: Path, documents: tuple[Document, ...], model_folder: Path
) -> None:
    with client(workspace(tmp_path, documents, model_folder, "serve_megabytes = 1\nserve_rate = 1\n")) as asks:
        assert asks.post("/search", content=b" " * 1_000_001).status_code == 413
        streamed = asks.post("/search", content=(b" " * 300_000 for _ in range(4)))
        assert (streamed.status_code, streamed.headers["connection"]) == (413, "close")
        late = asks.post("/search", json={"query": "pump"})
        assert late.status_code == 429
        assert re.fullmatch(r"\d+", late.headers["retry-after"])
        assert "1 requests a second" in late.json()["detail"]
        assert asks.get("/health").status_code == 200
        page = service_of(asks).metrics.page().decode()
    assert 'resurvey_refused_total{why="413"} 2.0' in page


def test_what_stands_in_the_way_is_told_before_anything_listens(
    tmp_path: Path, documents: tuple[Document, ...], model_folder: Path, root: Path
) -> None:
    (root / "live.json").unlink()
    with pytest.raises(ResurveyError) as caught:
        serve(Workspace.open(root), Place("0.0.0.0", 0))
    told = str(caught.value)
    assert "nothing is live yet" in told
    assert "--host 0.0.0.0: lets other machines in, and there is no key yet" in told
    assert f"resurvey run {root}" in told
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "a.host")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
