"""Real servers on free ports: start, a switch under load, several workers, and a stop that fails nobody."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving import goes_live, workspace

from resurvey.types import Document

PATIENCE = 120.0


@dataclass
class Running:
    """One `resurvey serve`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer; status 0 where nobody listens."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as found:
                text = found.read().decode()
                return found.status, json.loads(text) if text.startswith("{") else text
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")
        except OSError:
            return 0, None

    def lines(self, what: str) -> list[dict[str, Any]]:
        """Lines of its log."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line["what"] == what]


@contextlib.contextmanager
def served(root: Path, log: Path, *more: str) -> Iterator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "resurvey", "serve", str(root), "--port", str(port), *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with log.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, env=environment)
    running = Running(process, port, log)
    try:
        until = time.monotonic() + PATIENCE
        while running.ask("/ready")[0] != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def root(tmp_path: Path, documents: tuple[Document, ...], model_folder: Path) -> Path:
    return workspace(tmp_path, documents, model_folder, "serve_drain_seconds = 0.5\n")


def test_a_switch_and_a_stop_under_load_fail_no_request_and_mix_nothing(root: Path, tmp_path: Path) -> None:
    answers: list[tuple[int, Any]] = []
    stop = threading.Event()
    with served(root, tmp_path / "log") as running:

        def ask() -> None:
            while not stop.is_set():
                answers.append(running.ask("/search", {"query": "replace the pump", "k": 3, "explain": True}))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        new = [{"id": "fresh", "title": "pump", "text": "replace the pump replace the pump"}]
        written = running.ask("/documents?refresh=wait", {"documents": new})
        goes_live(root, "bm25")
        until = time.monotonic() + PATIENCE
        while answers[-1][1]["candidate"] != "bm25":
            assert time.monotonic() < until
            time.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        while (ready := running.ask("/ready"))[0] == 200:
            time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        assert running.process.wait(30) == 0
        told = running.lines("request")
    assert written[0] == 200, written
    assert ready == (503, {"ready": False, "why": "stopping"})
    assert {status for status, _ in answers} == {200}
    made = {(one["candidate"], one["snapshot"], one["explain"]["pipeline"]) for _, one in answers}
    assert {candidate for candidate, _, _ in made} == {"rrf", "bm25"}
    assert {pipeline for candidate, _, pipeline in made if candidate == "bm25"} == {"BM25"}
    assert [one["snapshot"] for _, one in answers[-1:]] == [written[1]["snapshot"]]
    assert {hit["id"] for _, one in answers[-1:] for hit in one["hits"]} >= {"fresh"}
    searches = [line for line in told if line["route"] == "/search"]
    assert len(searches) == len(answers)
    assert {"id", "status", "milliseconds", "candidate", "snapshot"} <= set(searches[0])
    assert "replace the pump" not in json.dumps(told)


def test_several_workers_share_a_port_and_their_numbers(root: Path, tmp_path: Path) -> None:
    with served(root, tmp_path / "log", "--workers", "2") as running:
        until = time.monotonic() + PATIENCE
        while len(running.lines("live")) < 2:
            assert time.monotonic() < until, running.log.read_text()
            time.sleep(0.1)
        with_threads = [threading.Thread(target=running.ask, args=("/search", {"query": "pump"})) for _ in range(12)]
        for thread in with_threads:
            thread.start()
        for thread in with_threads:
            thread.join()
        assert 'resurvey_requests_total{route="/search",status="200"} 12.0' in running.ask("/metrics")[1]
        first = running.lines("worker started")[0]["process"]
        os.kill(first, signal.SIGKILL)
        while len(running.lines("worker started")) < 3:
            assert time.monotonic() < until, running.log.read_text()
            time.sleep(0.1)
        assert running.ask("/search", {"query": "pump"})[0] == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert running.lines("stopped")


def test_a_port_that_is_taken_and_a_workspace_that_cannot_be_opened_end_with_the_reason(
    root: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def ended(port: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "resurvey", "serve", str(root), "--port", str(port)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = ended(taken.getsockname()[1])
    assert refused.returncode == 1
    assert "cannot be listened at: address already in use" in refused.stderr
    assert "Next: name another one with --port" in refused.stderr
    (root / "live.json").write_text('{"candidate": "0042-gone", "snapshot": 1}')
    unopened = ended(0)
    assert unopened.returncode == 1
    assert "0042-gone: is no candidate" in unopened.stderr
