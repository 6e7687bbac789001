"""The page about the service is true: every example runs, and every setting that it names is one."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serving import client, workspace
from starlette.testclient import TestClient

from resurvey.serve import gate
from resurvey.serve.refreshing import Refresher
from resurvey.settings import TABLE
from resurvey.types import Document

PAGE = (Path(__file__).parent.parent / "docs" / "serve.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCK.findall(PAGE) for line in block.splitlines()]


@pytest.fixture(scope="module")
def asks(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], model_folder: Path
) -> Iterator[TestClient]:
    settings = 'valid_from_field = "from"\nvalid_until_field = "until"\nserve_seconds = 2.0\n'
    with client(workspace(tmp_path_factory.mktemp("page"), documents, model_folder, settings)) as found:
        yield found


@pytest.mark.parametrize("line", LINES)
def test_every_example_runs(line: str, asks: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refresher, "ask", lambda *_: None)
    words = shlex.split(line)
    assert words[0] == "curl"
    given = dict(itertools.pairwise(words))
    url = next(word for word in words if word.startswith("localhost:8080/"))
    parts = urlsplit(f"http://{url}")
    method = given.get("-X", "POST" if "-d" in given else "GET")
    headers = dict([given["-H"].split(": ")]) if "-H" in given else {}
    body = given["-d"].encode() if "-d" in given else None
    found = asks.request(method, f"{parts.path}?{parts.query}", content=body, headers=headers)
    assert found.status_code in (200, 202), found.text
    if parts.path == "/search":
        assert found.json()["hits"], line


def test_every_route_has_an_example_and_what_is_named_is_there() -> None:
    asked = {gate.route_of(urlsplit(f"http://{word}").path) for line in LINES for word in shlex.split(line) if word.startswith("localhost")}  # fmt: skip
    assert set(gate.SCOPES) | gate.OPEN == asked | {"/openapi.json", "/v1/models/{model}"}
    names = {row.name for row in TABLE if row.serving and row.name not in ("serve_megabytes", "embed_seconds")}
    assert names <= set(re.findall(r"`(\w+)[` =]", PAGE)), names
