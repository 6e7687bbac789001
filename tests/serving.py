"""Workspaces to serve: twenty documents with dates, prices and sources, something live, and a client that asks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from test_cli import call

from resurvey.opened import Opened
from resurvey.promote.live import Live, switch
from resurvey.serve.api import make
from resurvey.serve.service import Service
from resurvey.types import Document
from resurvey.workspace import Workspace

SOURCES = ("WHO", "CDC")


def rows(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """The documents with fields to filter by: the last two are replaced by newer ones, half of them no longer hold."""
    made = []
    for place, document in enumerate(documents):
        fields: dict[str, Any] = {
            "source": SOURCES[place % 2],
            "price": 10.0 * place,
            "year": 2000 + place,
            "updated": f"20{place:02d}-03-01",
            "from": "2001-01-01",
            "until": "2010-12-31" if place < 10 else "2090-12-31",
        }
        if place >= 18:
            fields["newer"] = f"d{place - 18}"
        made.append({"_id": document.id, "title": document.title, "text": document.text, **fields})
    return made


def workspace(folder: Path, documents: Sequence[Document], model: Path, settings: str = "", live: str = "rrf") -> Path:
    """A workspace whose untouched pipeline `live` is live; `settings` are lines of its resurvey.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(documents)))
    root = folder / "ws"
    assert call("init", root, "--corpus", folder / "corpus.jsonl", "--model", model).code == 0
    with (root / "resurvey.toml").open("a") as file:
        file.write("\n" + settings)
    goes_live(root, live)
    return root


def goes_live(root: Path, candidate: str) -> Live:
    """Make a candidate live over the documents as they are."""
    opened = Opened(Workspace.open(root))
    found = Live(candidate, opened.index.store.snapshot.number)
    opened.index.store.close()
    switch(opened.workspace, found, "test")
    return found


@contextlib.contextmanager
def client(root: Path) -> Iterator[TestClient]:
    """Asks a service that is open and answers in this process; `client.app.service` is the service."""
    service = Service(Workspace.open(root))
    service.open()
    with TestClient(make(service), raise_server_exceptions=False) as asks:
        yield asks


def service_of(asks: TestClient) -> Service:
    """The service behind a client."""
    found: Service = asks.app.service  # type: ignore[attr-defined]
    return found


def ids(answer: Any) -> list[str]:
    """The documents of an answer."""
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]
