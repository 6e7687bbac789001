"""Calls to an endpoint: what passes is waited for, what does not is said with address, status and next command."""

from __future__ import annotations

import email.utils
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from embedding_server import Answer, Server, serve

from resurvey.calls import EndpointError, Patience, post

QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.5, timeout=30)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(lambda texts: np.ones((len(texts), 2), dtype=np.float32))
    running = serve(made)
    yield made
    running.shutdown()
    running.server_close()


def failing(times: int, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
    """The first `times` requests get this status."""
    left = [times]

    def before(_: dict[str, Any]) -> Answer | None:
        left[0] -= 1
        return (status, headers or {}, body) if left[0] >= 0 else None

    return before


def ask(server: Server, patience: Patience = QUICK, **more: Any) -> dict[str, Any]:
    return post(f"{server.url}/embeddings", {"model": "m", "input": ["a"]}, patience=patience, **more)


def refused(server: Server, patience: Patience = QUICK, **more: Any) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        ask(server, patience, **more)
    assert caught.value.problems[0].where == f"{server.url}/embeddings"
    assert caught.value.next
    return caught.value


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_what_passes_is_asked_again(server: Server, status: int) -> None:
    server.before = failing(2, status)
    assert len(ask(server)["data"]) == 1
    assert len(server.asked) == 3


def test_what_does_not_pass_is_said_after_the_last_try(server: Server) -> None:
    server.before = failing(9, 503, body=b'{"error": {"message": "all\\n busy"}}')
    error = refused(server)
    assert error.status == 503
    assert error.problems[0].what == "answers 503: all busy, after 3 tries"
    assert error.next == "when the endpoint answers, the same command goes on where it was"
    assert len(server.asked) == 3


@pytest.mark.parametrize(("status", "next"), [(400, "resurvey.toml"), (404, "resurvey.toml"), (401, "variable MY_KEY")])
def test_a_refusal_is_final(server: Server, status: int, next: str) -> None:
    server.before = failing(9, status, body=b"<html> no </html>")
    error = refused(server, key_env="MY_KEY")
    assert (error.status, error.problems[0].what) == (status, f"answers {status}: <html> no </html>")
    assert next in error.next
    assert len(server.asked) == 1


def test_retry_after_is_obeyed_in_seconds_and_as_a_date(server: Server) -> None:
    server.before = failing(1, 429, {"Retry-After": "0.3"})
    began = time.monotonic()
    ask(server)
    assert time.monotonic() - began >= 0.3
    began = time.monotonic()
    server.before = failing(1, 429, {"Retry-After": email.utils.formatdate(time.time() - 60, usegmt=True)})
    ask(server, Patience(tries=2, first_wait=60, longest_wait=60))  # a date that is over: at once
    assert time.monotonic() - began < 60


def test_nobody_waits_an_hour(server: Server) -> None:
    server.before = failing(9, 429, {"Retry-After": "3600"})
    assert refused(server).problems[0].what == "answers 429; it asks to wait 3600 s"
    assert len(server.asked) == 1


def test_a_slow_endpoint_is_given_up(server: Server) -> None:
    over = threading.Event()
    server.before = lambda _: over.wait(60) and None
    try:
        error = refused(server, Patience(tries=2, first_wait=0.01, timeout=0.1))
    finally:
        over.set()
    assert (error.status, error.problems[0].what) == (0, "does not answer within 0.1 s, after 2 tries")


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = Server(lambda _: np.zeros((0, 0)), url=f"http://127.0.0.1:{free.getsockname()[1]}/v1")
        assert "cannot be reached: [Errno" in refused(nowhere).problems[0].what


def test_the_key_goes_where_it_was_meant_to_and_is_never_repeated(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(server, key_env="MY_KEY")
    monkeypatch.setenv("MY_KEY", "sk-secret")
    ask(server, key_env="MY_KEY")
    assert server.keys == ["", "Bearer sk-secret"]
    server.before = failing(9, 401, body=b'{"error": {"message": "sk-secret is no key"}}')
    error = refused(server, key_env="MY_KEY")
    assert error.problems[0].what == "answers 401: … is no key"
    assert "another key" in error.next
    server.before = failing(9, 302, {"Location": "http://elsewhere.invalid/v1"})
    assert "it has moved to http://elsewhere.invalid/v1" in refused(server, key_env="MY_KEY").problems[0].what


@pytest.mark.parametrize("body", [b"<html>", b"[1, 2]", b"\xff\xfe", b""])
def test_what_is_no_json_object_is_refused(server: Server, body: bytes) -> None:
    server.before = failing(9, 200, body=body)
    assert "answers no JSON object, but" in refused(server).problems[0].what
    assert len(server.asked) == 1
