"""Documents and events over HTTP: acknowledged when they are on disk, found when a new snapshot is live."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import client, ids, service_of, workspace
from starlette.testclient import TestClient

from resurvey import refresh as refresh_of
from resurvey.feedback import events
from resurvey.promote.live import live
from resurvey.search.corpus import Corpus
from resurvey.serve import refreshing
from resurvey.serve.refreshing import Refresher
from resurvey.types import Document
from resurvey.workspace import Workspace


@pytest.fixture
def root(tmp_path: Path, documents: tuple[Document, ...], model_folder: Path) -> Path:
    return workspace(tmp_path, documents, model_folder)


@pytest.fixture
def asks(root: Path) -> Iterator[TestClient]:
    with client(root) as found:
        yield found


def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refresh in this process: the other one is tested once."""

    def refreshed(self: Refresher) -> dict[str, Any]:
        found = refresh_of.refresh(Workspace.open(self.root))
        return {"snapshot": found.snapshot if found else None}

    monkeypatch.setattr(Refresher, "_refreshed", refreshed)


def test_what_is_written_is_on_disk_found_and_taken_out_again(
    asks: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch)
    service_of(asks).start()
    new = {"id": "new/1", "title": "zeppelin", "text": "a zeppelin over the pump", "metadata": {"year": 2030}}
    quiet = asks.post("/documents", params={"refresh": "none"}, json={"documents": [new]})
    assert quiet.status_code == 202
    assert quiet.json() == {"version": 2, "added": 1, "updated": 0, "unchanged": 0, "deleted": 0, "missing": 0, "searchable": False, "snapshot": 1}  # fmt: skip
    assert {d.id: d for d in Corpus(Workspace.open(root)).documents()}["new/1"].title == "zeppelin"
    assert "new/1" not in ids(asks.post("/search", json={"query": "zeppelin"}))
    waited = asks.post(
        "/documents", params={"refresh": "wait"}, json={"documents": [{**new, "text": "another zeppelin"}]}
    )
    assert (waited.status_code, waited.json()["updated"], waited.json()["searchable"]) == (200, 1, True)
    found = asks.post("/search", json={"query": "zeppelin", "filter": "year = 2030"})
    assert ids(found) == ["new/1"]
    assert found.json()["hits"][0]["text"] == "another zeppelin"
    assert found.json()["snapshot"] == waited.json()["snapshot"] == 2
    same = asks.post("/documents", json={"documents": [{**new, "text": "another zeppelin"}]})
    assert (same.status_code, same.json()["unchanged"]) == (200, 1)
    gone = asks.delete("/documents/new/1", params={"refresh": "wait"})
    assert (gone.status_code, gone.json()["deleted"]) == (200, 1)
    assert "new/1" not in ids(asks.post("/search", json={"query": "zeppelin"}))
    batch = asks.post("/documents/delete", params={"refresh": "none"}, json={"ids": ["d0", "d1", "nobody"]})
    assert (batch.json()["deleted"], batch.json()["missing"]) == (2, 1)
    assert asks.get("/metrics").text.count("resurvey_documents 20.0") == 1


def test_a_batch_is_written_whole_or_not_at_all_and_all_that_is_wrong_is_named(asks: TestClient, root: Path) -> None:
    rows = [{"id": "a", "text": "fine"}, {"id": "b"}, {"id": "a", "text": "twice"}]
    wrong = asks.post("/documents", json={"documents": rows})
    assert wrong.status_code == 400
    assert len(wrong.json()["problems"]) == 2
    assert Corpus(Workspace.open(root)).head <= 1
    shape = asks.post("/documents", json={"documents": [{"id": 3, "text": "x", "metadata": {"a": [1]}, "extra": 1}]})
    assert {one["where"].split(".metadata")[0] for one in shape.json()["problems"]} == {
        "documents[0].id", "documents[0]", "documents[0].extra",
    }  # fmt: skip


def test_another_writer_is_waited_for_and_then_told(
    asks: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resurvey.search.corpus.PATIENCE", 0.05)
    with Corpus(Workspace.open(root))._lease():
        busy = asks.post("/documents", json={"documents": [{"id": "a", "text": "x"}]})
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")


def test_a_process_of_its_own_makes_writes_searchable_once_for_all_of_them(root: Path) -> None:
    corpus = Corpus(Workspace.open(root))
    found = [1]

    def done() -> int:
        return found[0]

    refresher = Refresher(root, done)
    try:
        for number in range(3):
            refresher.ask(corpus.upsert([Document(f"n{number}", f"new number {number}")]).version)
        assert refresher.behind == 3
        until = time.monotonic() + 60
        while (now := live(Workspace.open(root))) is None or now.snapshot < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        found[0] = 4
        assert refresher.behind == 0
        process = refresher._process
        assert process is not None
    finally:
        refresher.close()
    assert process.wait(10) is not None


def test_a_refresh_that_fails_is_told_and_tried_again(
    asks: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "FIRST", 0.05)
    tries: list[float] = []

    def failing(self: Refresher) -> dict[str, Any]:
        tries.append(time.monotonic())
        return {"problems": [["the disk", "is full"]]} if len(tries) < 3 else {"snapshot": 2}

    monkeypatch.setattr(Refresher, "_refreshed", failing)
    service = service_of(asks)
    service.seconds = 5.0
    told = asks.post("/documents", params={"refresh": "wait"}, json={"documents": [{"id": "a", "text": "x"}]})
    assert (told.status_code, told.json()["searchable"]) == (202, False)
    assert asks.get("/health").json()["trouble"] == [{"where": "the disk", "what": "is full"}]
    until = time.monotonic() + 10
    while service.refresher.trouble:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len(tries) == 3
    assert tries[2] - tries[1] > tries[1] - tries[0] > 0.05


def test_what_was_written_before_a_stop_is_refreshed_at_the_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Corpus(Workspace.open(root)).upsert([Document("late", "written and forgotten")])
    asked: list[int] = []
    monkeypatch.setattr(Refresher, "ask", lambda self, version: asked.append(version))
    with client(root) as asks:
        service_of(asks).start()
        until = time.monotonic() + 10
        while not asked:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert asked == [2]


def test_events_are_on_disk_when_they_are_answered_and_taken_once(asks: TestClient, root: Path) -> None:
    rows = [
        {"kind": "query", "query": "pump", "user": "u1"},
        {"kind": "click", "query_id": "q1", "document": "d1", "rank": 2, "id": "e1", "at": "2024-05-01T10:00:00Z"},
        {"kind": "dwell", "query_id": "q1", "document": "d1", "value": 12.5, "attributes": {"device": "phone"}},
    ]
    first = asks.post("/events", json={"events": rows})
    assert (first.status_code, first.json()) == (202, {"accepted": 3, "duplicates": 0})
    again = asks.post("/events", json={"events": rows[1:2]})
    assert again.json() == {"accepted": 0, "duplicates": 1}
    kept = events.read(root / events.FILE)
    assert [event.kind for event in kept] == ["query", "click", "dwell"]
    assert (kept[1].at, kept[1].rank, kept[2].attributes) == (1714557600.0, 2, {"device": "phone"})
    assert kept[0].at == pytest.approx(time.time(), abs=60)
    assert 'resurvey_events_total{kind="click"} 2.0' in asks.get("/metrics").text


def test_an_event_that_says_too_little_is_refused_with_all_others(asks: TestClient, root: Path) -> None:
    rows = [{"kind": "click"}, {"kind": "dwell", "query": "a", "document": "d", "at": "soon"}, {"kind": "query", "query": "a", "at": "2999-01-01"}]  # fmt: skip
    wrong = asks.post("/events", json={"events": rows})
    assert wrong.status_code == 400
    assert [one["where"] for one in wrong.json()["problems"]] == [
        "events[0].document", "events[0]", "events[1].at", "events[1].value", "events[2].at",
    ]  # fmt: skip
    assert events.read(root / events.FILE) == []
    assert asks.post("/events", json={"events": [{"kind": "smell", "query": "a"}]}).status_code == 422


def test_writers_of_events_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / events.FILE
    counts: list[int] = []

    def write(number: int) -> None:
        counts.extend(events.append(path, [events.Event("query", 1.0, id=f"{number}-{n}")]) for n in range(5))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 20
    assert len(events.read(path)) == 20
